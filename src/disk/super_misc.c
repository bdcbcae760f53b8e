/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Superblocks of which little is wanted (btrfs, swap), and feature lists. */
#include "disk/probe.h"

#include "base/cursor.h"
#include "base/num.h"

#define BTRFS_SUPER_OFFSET 65536

void super_features(struct arena *a, const char ***list, size_t *count, uint32_t bits,
		    const struct super_feature *names, const char *prefix)
{
	for (; names->name; names++) {
		if (!(bits & names->bit))
			continue;
		*arena_push(a, list, count) = names->name;
		bits &= ~names->bit;
	}
	for (unsigned i = 0; i < 32; i++)
		if (bits >> i & 1)
			*arena_push(a, list, count) = arena_printf(a, "%s%u", prefix, i);
}

void super_features_end(struct arena *a, const char ***list, size_t *count)
{
	*arena_push(a, list, count) = NULL;
}

/* fs/btrfs/accessors.h, struct btrfs_super_block. A tree log means that it was not unmounted. */
int super_btrfs(struct arena *a, const struct probe_source *s, struct disk_fs *out)
{
	uint8_t sb[256] = {0};
	struct cursor c = cursor_of(sb, sizeof(sb));
	int rc = probe_read(s, sb, sizeof(sb), BTRFS_SUPER_OFFSET);

	(void)a;
	if (rc < 0)
		return rc;
	cursor_skip(&c, 0x60);
	out->dirty = cursor_le64(&c) != 0;
	cursor_skip(&c, 8);
	out->size_bytes = cursor_le64(&c);
	out->used_bytes = cursor_le64(&c);
	cursor_skip(&c, 0x90 - 0x80);
	out->block_bytes = cursor_le32(&c);
	if (out->used_bytes > out->size_bytes)
		out->used_bytes = 0;
	return 0;
}

/*
 * mm/swapfile.c, union swap_header: version, last page and so on follow 1 KiB of boot block. The
 * signature at the page's end says nothing about a hibernation's own header further in, which the
 * kernel marks by replacing the signature; libblkid has looked at that.
 */
int super_swap(struct arena *a, const struct probe_source *s, struct disk_fs *out)
{
	uint8_t info[8] = {0};
	struct cursor c = cursor_of(info, sizeof(info));
	uint64_t last_page;
	int rc = probe_read(s, info, sizeof(info), 1024);

	(void)a;
	if (rc < 0)
		return rc;
	cursor_skip(&c, 4);
	last_page = cursor_le32(&c);
	out->block_bytes = 4096;
	out->size_bytes = (last_page + 1) * 4096;
	out->used_bytes = 4096;
	return 0;
}
