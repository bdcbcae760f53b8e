/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ext2, ext3, ext4: which inode a block belongs to, and its names. One scan over all inodes that
 * are in use finds the blocks, a second one over the directories the names. Damage on the way, and
 * that is likely here, costs an answer and not the rest.
 */
#include "disk/where.h"

#include <errno.h>
#include <ext2fs/ext2_fs.h>
#include <ext2fs/ext2fs.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"

#define BLOCKS_MAX 65536

struct ext {
	struct where_request *w;
	ext2_filsys fs;
	/* Of the inode that is being looked at. */
	ext2_ino_t inode;
	const char *what;
	enum disk_place_kind kind;
	/* Whose names are looked for, in rising order. */
	ext2_ino_t *wanted;
	size_t wanted_count;
};

static void close_fs(ext2_filsys *fs)
{
	if (*fs)
		ext2fs_close_free(fs);
}

static void close_scan(ext2_inode_scan *scan)
{
	if (*scan)
		ext2fs_close_inode_scan(*scan);
}

/* ---- what the layout says ---- */

static void say(struct ext *x, uint64_t first, uint64_t count, const char *what)
{
	for (uint64_t i = first; i < first + count; i++) {
		struct where_block *b = where_find(x->w, i);

		if (b) {
			b->kind = DISK_PLACE_METADATA;
			b->what = what;
		}
	}
}

static void say_group(struct ext *x, dgrp_t group)
{
	blk64_t super, old_desc, new_desc;
	blk_t used;
	const char *table = arena_printf(x->w->arena, "inode table of group %u", group);

	ext2fs_super_and_bgd_loc2(x->fs, group, &super, &old_desc, &new_desc, &used);
	if (super || group == 0)
		say(x, super, 1, "superblock");
	if (old_desc)
		say(x, old_desc, x->fs->desc_blocks, "group descriptors");
	if (new_desc)
		say(x, new_desc, 1, "group descriptors");
	say(x, ext2fs_block_bitmap_loc(x->fs, group), 1, "block bitmap");
	say(x, ext2fs_inode_bitmap_loc(x->fs, group), 1, "inode bitmap");
	say(x, ext2fs_inode_table_loc(x->fs, group), x->fs->inode_blocks_per_group, table);
}

static void say_layout(struct ext *x)
{
	blk64_t end = ext2fs_blocks_count(x->fs->super);

	for (size_t i = 0; i < x->w->block_count; i++) {
		struct where_block *b = &x->w->blocks[i];

		b->what = "a block that no file claims";
		if (b->block < x->fs->super->s_first_data_block) {
			b->kind = DISK_PLACE_METADATA;
			b->what = "boot sector";
		} else if (b->block >= end) {
			b->kind = DISK_PLACE_UNUSED;
			b->what = "behind the end of the file system";
		} else if (!ext2fs_fast_test_block_bitmap2(x->fs->block_map, b->block)) {
			b->kind = DISK_PLACE_UNUSED;
			b->what = "free space";
		}
	}
	for (dgrp_t group = 0; group < x->fs->group_desc_count; group++)
		say_group(x, group);
}

/* ---- inodes ---- */

static int take_block(ext2_filsys fs, blk64_t *block, e2_blkcnt_t number, blk64_t from, int offset,
		      void *ctx)
{
	struct ext *x = ctx;
	struct where_block *b = where_find(x->w, *block);

	(void)fs;
	(void)from;
	(void)offset;
	if (!b)
		return 0;
	b->inode = x->inode;
	b->kind = x->kind;
	b->what = x->what;
	if (number < 0)
		b->what = arena_printf(x->w->arena, "block list of a %s", x->what);
	return 0;
}

static void classify(struct ext *x, const struct ext2_inode *inode)
{
	x->kind = DISK_PLACE_METADATA;
	if (x->inode == x->fs->super->s_journal_inum)
		x->what = "journal";
	else if (x->inode == EXT2_RESIZE_INO)
		x->what = "blocks reserved for growing";
	else if (x->inode == EXT4_USR_QUOTA_INO || x->inode == EXT4_GRP_QUOTA_INO)
		x->what = "quota file";
	else if (LINUX_S_ISDIR(inode->i_mode))
		x->what = "directory";
	else if (x->inode < EXT2_FIRST_INODE(x->fs->super) && x->inode != EXT2_ROOT_INO)
		x->what = "reserved inode";
	else {
		x->kind = DISK_PLACE_FILE;
		x->what = LINUX_S_ISLNK(inode->i_mode) ? "symbolic link" : "file";
	}
}

static void look_at_inode(struct ext *x, struct ext2_inode *inode)
{
	struct where_block *b = where_find(x->w, ext2fs_file_acl_block(x->fs, inode));

	classify(x, inode);
	if (b && b->block) {
		b->inode = x->inode;
		b->kind = x->kind;
		b->what = "extended attributes of a file";
	}
	if (ext2fs_inode_has_valid_blocks2(x->fs, inode))
		ext2fs_block_iterate3(x->fs, x->inode, BLOCK_FLAG_READ_ONLY, NULL, take_block, x);
}

static int scan_inodes(struct ext *x, void (*look)(struct ext *x, struct ext2_inode *inode))
{
	__attribute__((cleanup(close_scan))) ext2_inode_scan scan = NULL;
	struct ext2_inode inode;
	errcode_t err = ext2fs_open_inode_scan(x->fs, 0, &scan);

	if (err)
		return fail(EIO, "%s: %s", x->w->path, error_message(err));
	/* Blocks of the inode table that cannot be read are passed over. */
	ext2fs_inode_scan_flags(scan, EXT2_SF_SKIP_MISSING_ITABLE, 0);
	for (;;) {
		err = ext2fs_get_next_inode(scan, &x->inode, &inode);
		if (err == EXT2_ET_BAD_BLOCK_IN_INODE_TABLE || err == EXT2_ET_INODE_CSUM_INVALID)
			continue;
		/* The scan cannot go on behind a block that does not read. */
		if (err || x->inode == 0)
			return 0;
		if (inode.i_links_count)
			look(x, &inode);
	}
}

/* ---- names ---- */

static int by_inode(const void *left, const void *right)
{
	ext2_ino_t a = *(const ext2_ino_t *)left, b = *(const ext2_ino_t *)right;

	return (a > b) - (a < b);
}

static void collect_wanted(struct ext *x)
{
	const struct where_request *w = x->w;
	size_t n = 0;

	for (size_t i = 0; i < w->block_count; i++)
		if (w->blocks[i].inode && (i == 0 || w->blocks[i].inode != w->blocks[i - 1].inode))
			*arena_push(w->arena, &x->wanted, &n) = (ext2_ino_t)w->blocks[i].inode;
	x->wanted_count = n;
	if (n)
		qsort(x->wanted, n, sizeof(*x->wanted), by_inode);
}

static bool wanted(const struct ext *x, ext2_ino_t inode)
{
	return x->wanted_count &&
	       bsearch(&inode, x->wanted, x->wanted_count, sizeof(*x->wanted), by_inode);
}

static int take_entry(ext2_ino_t directory, int entry, struct ext2_dir_entry *e, int offset,
		      int block_bytes, char *block, void *ctx)
{
	struct ext *x = ctx;
	char *path = NULL;
	int name_bytes = ext2fs_dirent_name_len(e);

	(void)offset;
	(void)block_bytes;
	(void)block;
	if (entry == DIRENT_DOT_FILE || entry == DIRENT_DOT_DOT_FILE || !wanted(x, e->inode))
		return 0;
	if (ext2fs_get_pathname(x->fs, directory, 0, &path) || !path)
		return 0;
	where_name(x->w, e->inode,
		   arena_printf(x->w->arena, "%s/%.*s", strcmp(path, "/") == 0 ? "" : path,
				name_bytes, e->name));
	ext2fs_free_mem(&path);
	return 0;
}

static void look_for_names(struct ext *x, struct ext2_inode *inode)
{
	if (!LINUX_S_ISDIR(inode->i_mode))
		return;
	if (x->inode == EXT2_ROOT_INO && wanted(x, EXT2_ROOT_INO))
		where_name(x->w, EXT2_ROOT_INO, "/");
	ext2fs_dir_iterate2(x->fs, x->inode, 0, NULL, take_entry, x);
}

int where_ext(struct where_request *w)
{
	__attribute__((cleanup(close_fs))) ext2_filsys fs = NULL;
	struct ext x = {.w = w};
	bool asked = false;
	char options[40];
	errcode_t err;
	int rc;

	initialize_ext2_error_table();
	snprintf(options, sizeof(options), "offset=%" PRIu64, w->offset_bytes);
	err = ext2fs_open2(w->path, options,
			   EXT2_FLAG_64BITS | EXT2_FLAG_SOFTSUPP_FEATURES | EXT2_FLAG_SKIP_MMP |
				   EXT2_FLAG_IGNORE_CSUM_ERRORS,
			   0, 0, unix_io_manager, &fs);
	if (err)
		return fail(EIO, "%s: %s", w->path, error_message(err));
	x.fs = fs;
	fs->default_bitmap_type = EXT2FS_BMAP64_RBTREE;
	err = ext2fs_read_block_bitmap(fs);
	if (err)
		return fail(EIO, "%s: %s", w->path, error_message(err));
	where_blocks(w, fs->blocksize, BLOCKS_MAX);
	say_layout(&x);
	for (size_t i = 0; i < w->block_count; i++)
		asked |= w->blocks[i].kind == DISK_PLACE_UNKNOWN;
	if (!asked)
		return 0;
	rc = scan_inodes(&x, look_at_inode);
	if (rc < 0)
		return rc;
	collect_wanted(&x);
	return x.wanted_count ? scan_inodes(&x, look_for_names) : 0;
}
