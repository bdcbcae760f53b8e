/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Private to disk: readers of superblocks, for what libblkid does not tell. */
#ifndef DISK_PROBE_H
#define DISK_PROBE_H

#include "disk/disk.h"

struct probe_source {
	const struct disk_piece *pieces;
	size_t count;
	const char *name;
	uint64_t length_bytes;
};

/* As disk_pieces_read(). */
int probe_read(const struct probe_source *s, void *buf, size_t bytes, uint64_t offset_bytes);

/*
 * Fill in size, used, features, dirty of a content that libblkid has named. A superblock that does
 * not make sense leaves them empty; errors are read errors.
 */
int super_ext(struct arena *a, const struct probe_source *s, struct disk_fs *out);
int super_xfs(struct arena *a, const struct probe_source *s, struct disk_fs *out);
int super_btrfs(struct arena *a, const struct probe_source *s, struct disk_fs *out);
int super_swap(struct arena *a, const struct probe_source *s, struct disk_fs *out);

struct super_feature {
	uint32_t bit;
	const char *name;
};

/* Append the names of the bits that are set; of unknown ones "PREFIX_bit". List ends at name NULL.
 */
void super_features(struct arena *a, const char ***list, size_t *count, uint32_t bits,
		    const struct super_feature *names, const char *prefix);

/* Close the list with its NULL. */
void super_features_end(struct arena *a, const char ***list, size_t *count);

#endif
