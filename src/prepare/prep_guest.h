/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's file systems, mounted from the views below one directory, and bounded access to its
 * files: a path is resolved as the guest itself would resolve it (absolute links start at its own
 * root) and cannot leave it. Mounts are nosuid, nodev, noexec, and read-only until a repair has
 * something to write. One thread.
 */
#ifndef PREPARE_PREP_GUEST_H
#define PREPARE_PREP_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#define GUEST_MOUNTS_MAX 8

struct guest_mount {
	char where[256]; /* guest's own path: "/boot" */
	char device[256];
	char fs_type[32];
	char options[256]; /* of the file system's own, as given to mount(2) */
	dev_t dev;
	bool writable;
};

struct guest {
	char dir[256];
	int root_fd; /* -1 when no guest is mounted */
	struct guest_mount mounts[GUEST_MOUNTS_MAX];
	size_t mount_count;
};

void guest_init(struct guest *g, const char *dir);

/*
 * Mount device at the guest's path (first "/"). Only options that select what is mounted
 * (subvol=, subvolid=) are taken from fstab_options. A path that is not there is -ENOENT.
 */
int guest_mount(struct guest *g, const char *where, const char *device, const char *fs_type,
		const char *fstab_options);

/* All off, last first. Safe to call twice. */
int guest_unmount(struct guest *g);

/* As open(2), within the guest; the descriptor or -errno with a reason. */
int guest_open(const struct guest *g, const char *path, int flags, mode_t mode);

/* As io_read_file(). -ENOENT without a reason worth showing when it does not exist. */
int guest_read(const struct guest *g, const char *path, size_t max_bytes, char **data,
	       size_t *bytes);

bool guest_exists(const struct guest *g, const char *path);

/* Names in a directory, sorted; free_names() them. An absent directory has none. */
int guest_list(const struct guest *g, const char *path, char ***names, size_t *count);
void guest_free_names(char **names, size_t count);

/* Let the file system that holds this descriptor be written, from now on. */
int guest_allow_writes(struct guest *g, int fd);

/*
 * Replace a file at once or not at all, with mode, owner and extended attributes of the old one.
 * Links are followed within the guest.
 */
int guest_replace(struct guest *g, const char *path, const void *data, size_t bytes);

#endif
