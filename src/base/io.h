/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whole reads and writes, whole files, and files that are replaced at once or not at all. */
#ifndef BASE_IO_H
#define BASE_IO_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* All of it or -errno; a short read is -EIO. NAME is for the reason. EINTR is retried. */
int io_pread(int fd, void *buf, size_t bytes, uint64_t offset_bytes, const char *name);
int io_pwrite(int fd, const void *buf, size_t bytes, uint64_t offset_bytes, const char *name);
int io_write(int fd, const void *buf, size_t bytes, const char *name);

/* Open with O_CLOEXEC; returns the descriptor or -errno with a reason. */
int io_open(const char *path, int flags, mode_t mode);

/*
 * The whole file, NUL-terminated behind its end, into *data (free() it) and *bytes (may be NULL).
 * -EFBIG when it is larger than max_bytes.
 */
int io_read_file(const char *path, size_t max_bytes, char **data, size_t *bytes);

/* First line of a small file (sysfs) without its newline. Returns -errno without a reason text. */
int io_read_line(const char *path, char *buf, size_t buf_bytes);

/*
 * A file that takes PATH's place when it is whole. Opens PATH.new for reading and writing, its name
 * into fresh. -EEXIST when PATH is there and no regular file: as root, "-o /dev/null" would
 * otherwise put a file in the device's place.
 */
int io_fresh_open(const char *path, mode_t mode, char fresh[PATH_MAX]);

/* The same with what stands in PATH.new already. */
int io_fresh_reopen(const char *path, mode_t mode, char fresh[PATH_MAX]);

/* rc 0: sync it, rename it over PATH, sync the directory; else remove it and return rc. */
int io_fresh_done(int fd, const char *fresh, const char *path, int rc);

/* Both, around one write. */
int io_replace_file(const char *path, const void *data, size_t bytes, mode_t mode);

/* mkdir -p for one level; an existing directory is success. */
int io_mkdir(const char *path, mode_t mode);

/* Size of a regular file or block device. */
int io_size(int fd, const char *name, uint64_t *bytes);

/* True when all bytes are zero; fast. */
bool io_is_zero(const void *data, size_t bytes);

#endif
