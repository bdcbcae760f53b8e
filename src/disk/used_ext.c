/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ext2, ext3, ext4: what the block bitmaps call used, as libext2fs reads them (groups whose bitmap
 * was never written, clusters, meta block groups and 64-bit block numbers included), and whatever
 * the bitmaps say, every superblock and descriptor copy. Left out is the tail of an inode table
 * that its group descriptor declares as never used: neither the kernel nor e2fsck reads it.
 */
#include "disk/used.h"

#include <errno.h>
#include <ext2fs/ext2_fs.h>
#include <ext2fs/ext2fs.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "base/num.h"

static void close_fs(ext2_filsys *fs)
{
	if (*fs)
		ext2fs_close_free(fs);
}

static int whole(const struct used_request *r, const char *why)
{
	log_warn("%s: %s; all of it is copied, free space too", r->path, why);
	return USED_WHOLE;
}

static void mark_range(ext2_filsys fs, blk64_t first, blk64_t count)
{
	blk64_t end = ext2fs_blocks_count(fs->super);

	if (first >= end || first < fs->super->s_first_data_block)
		return;
	ext2fs_mark_block_bitmap_range2(fs->block_map, first,
					(unsigned)min_of(count, (blk64_t)(end - first)));
}

/* Superblock, descriptors, bitmaps and inode table of a group: never free, whatever a bitmap says.
 */
static void keep_metadata(ext2_filsys fs, dgrp_t group)
{
	blk64_t super, old_desc, new_desc;
	blk_t used;

	ext2fs_super_and_bgd_loc2(fs, group, &super, &old_desc, &new_desc, &used);
	if (super || group == 0)
		mark_range(fs, super, 1);
	if (old_desc)
		mark_range(fs, old_desc, fs->desc_blocks);
	if (new_desc)
		mark_range(fs, new_desc, 1);
	mark_range(fs, ext2fs_block_bitmap_loc(fs, group), 1);
	mark_range(fs, ext2fs_inode_bitmap_loc(fs, group), 1);
	mark_range(fs, ext2fs_inode_table_loc(fs, group), fs->inode_blocks_per_group);
}

/* With clusters, a bit also stands for the table's neighbours, so nothing is taken out then. */
static void drop_unused_inodes(ext2_filsys fs, dgrp_t group)
{
	uint64_t inodes = fs->super->s_inodes_per_group, unused, keep_blocks;
	blk64_t table = ext2fs_inode_table_loc(fs, group);

	if (!ext2fs_has_group_desc_csum(fs) || EXT2FS_CLUSTER_RATIO(fs) != 1 ||
	    !ext2fs_group_desc_csum_verify(fs, group))
		return;
	unused = ext2fs_bg_flags_test(fs, group, EXT2_BG_INODE_UNINIT)
			 ? inodes
			 : ext2fs_bg_itable_unused(fs, group);
	if (unused > inodes)
		return;
	keep_blocks = div_up((inodes - unused) * EXT2_INODE_SIZE(fs->super), fs->blocksize);
	if (keep_blocks >= fs->inode_blocks_per_group ||
	    !range_ok(table, fs->inode_blocks_per_group, ext2fs_blocks_count(fs->super)))
		return;
	ext2fs_unmark_block_bitmap_range2(fs->block_map, table + keep_blocks,
					  (unsigned)(fs->inode_blocks_per_group - keep_blocks));
}

static int collect(struct arena *a, const struct used_request *r, ext2_filsys fs,
		   struct disk_extents *out)
{
	blk64_t at = fs->super->s_first_data_block, count = ext2fs_blocks_count(fs->super);
	uint64_t fs_bytes;

	if (!mul_ok(count, fs->blocksize, &fs_bytes) || fs_bytes > r->length_bytes)
		return whole(r, "the file system is larger than what it stands on");
	/* The boot sector's kibibyte, where block 0 is not part of a group. */
	disk_extents_add(a, out, 0, at * fs->blocksize);
	while (at < count) {
		blk64_t first, end;
		errcode_t err =
			ext2fs_find_first_set_block_bitmap2(fs->block_map, at, count - 1, &first);

		if (err == ENOENT)
			break;
		if (!err)
			err = ext2fs_find_first_zero_block_bitmap2(fs->block_map, first, count - 1,
								   &end);
		if (err == ENOENT)
			end = count;
		else if (err)
			return whole(r, error_message(err));
		disk_extents_add(a, out, first * fs->blocksize, (end - first) * fs->blocksize);
		at = end;
	}
	return 0;
}

static int check_state(const struct used_request *r, const struct ext2_super_block *super)
{
	if (super->s_feature_incompat & EXT3_FEATURE_INCOMPAT_RECOVER)
		return used_dirty(r, "has a journal that was not replayed");
	if (!(super->s_state & EXT2_VALID_FS))
		return used_dirty(r, "was not unmounted cleanly");
	if (super->s_state & EXT2_ERROR_FS)
		return whole(r, "the file system is marked as having errors");
	return 0;
}

int used_ext(struct arena *a, const struct used_request *r, struct disk_extents *out)
{
	__attribute__((cleanup(close_fs))) ext2_filsys fs = NULL;
	char options[40];
	errcode_t err;
	int rc;

	initialize_ext2_error_table(); /* texts for error_message(); does nothing the second time */
	snprintf(options, sizeof(options), "offset=%" PRIu64, r->offset_bytes);
	err = ext2fs_open2(r->path, options,
			   EXT2_FLAG_64BITS | EXT2_FLAG_SOFTSUPP_FEATURES | EXT2_FLAG_SKIP_MMP, 0,
			   0, unix_io_manager, &fs);
	if (err)
		return whole(r, error_message(err));
	rc = check_state(r, fs->super);
	if (rc)
		return rc;
	/* Trees, so that a large and mostly empty file system does not cost a bit a block. */
	fs->default_bitmap_type = EXT2FS_BMAP64_RBTREE;
	err = ext2fs_read_block_bitmap(fs);
	if (err)
		return whole(r, error_message(err));
	for (dgrp_t group = 0; group < fs->group_desc_count; group++) {
		keep_metadata(fs, group);
		drop_unused_inodes(fs, group);
	}
	return collect(a, r, fs, out);
}
