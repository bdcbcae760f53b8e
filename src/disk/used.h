/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Used bytes, one reader a kind of content. Each is given the device or file at path, of which the
 * content takes [offset_bytes, offset_bytes + length_bytes), and answers relative to its start.
 * USED_WHOLE (no reason needed, a log line says why): the content cannot be read in parts safely.
 */
#ifndef DISK_USED_H
#define DISK_USED_H

#include "disk/disk.h"

struct used_request {
	const char *path;
	int fd; /* of path, read-only */
	uint64_t offset_bytes;
	uint64_t length_bytes;
};

#define USED_WHOLE 1

int used_ext(struct arena *a, const struct used_request *r, struct disk_extents *out);
int used_xfs(struct arena *a, const struct used_request *r, struct disk_extents *out);
int used_swap(struct arena *a, const struct used_request *r, struct disk_extents *out);

/* The code and reason of a file system that has to be replayed or checked first. */
int used_dirty(const struct used_request *r, const char *what);

#endif
