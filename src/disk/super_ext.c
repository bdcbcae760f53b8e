/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ext2/3/4 superblock (kernel: fs/ext4/ext4.h): size, use, features, and whether it is clean.
 */
#include "disk/probe.h"

#include "base/cursor.h"
#include "base/num.h"

#define SUPER_OFFSET 1024
#define SUPER_BYTES  1024

#define STATE_VALID	       1
#define STATE_ERROR	       2
#define INCOMPAT_RECOVER       4
#define INCOMPAT_64BIT	       0x80
#define RO_COMPAT_ORPHAN_THERE 0x10000

static const struct super_feature compat[] = {
	{0x1, "dir_prealloc"},	  {0x2, "imagic_inodes"},   {0x4, "has_journal"},
	{0x8, "ext_attr"},	  {0x10, "resize_inode"},   {0x20, "dir_index"},
	{0x40, "lazy_bg"},	  {0x200, "sparse_super2"}, {0x400, "fast_commit"},
	{0x800, "stable_inodes"}, {0x1000, "orphan_file"},  {0, NULL},
};
static const struct super_feature incompat[] = {
	{0x1, "compression"},
	{0x2, "filetype"},
	{0x4, "needs_recovery"},
	{0x8, "journal_dev"},
	{0x10, "meta_bg"},
	{0x40, "extent"},
	{0x80, "64bit"},
	{0x100, "mmp"},
	{0x200, "flex_bg"},
	{0x400, "ea_inode"},
	{0x1000, "dirdata"},
	{0x2000, "metadata_csum_seed"},
	{0x4000, "large_dir"},
	{0x8000, "inline_data"},
	{0x10000, "encrypt"},
	{0x20000, "casefold"},
	{0, NULL},
};
static const struct super_feature ro_compat[] = {
	{0x1, "sparse_super"}, {0x2, "large_file"},	    {0x8, "huge_file"},
	{0x10, "uninit_bg"},   {0x20, "dir_nlink"},	    {0x40, "extra_isize"},
	{0x100, "quota"},      {0x200, "bigalloc"},	    {0x400, "metadata_csum"},
	{0x1000, "read-only"}, {0x2000, "project"},	    {0x4000, "shared_blocks"},
	{0x8000, "verity"},    {0x10000, "orphan_present"}, {0, NULL},
};

static uint32_t le32_at(const uint8_t *sb, size_t offset)
{
	struct cursor c = cursor_of(sb + offset, 4);

	return cursor_le32(&c);
}

int super_ext(struct arena *a, const struct probe_source *s, struct disk_fs *out)
{
	uint8_t sb[SUPER_BYTES];
	uint64_t blocks, free_blocks;
	uint32_t log, in, ro, state;
	size_t count = 0;
	int rc = probe_read(s, sb, sizeof(sb), SUPER_OFFSET);

	if (rc < 0)
		return rc;
	blocks = le32_at(sb, 4);
	free_blocks = le32_at(sb, 12);
	log = le32_at(sb, 24);
	state = le32_at(sb, 58) & 0xffff;
	in = le32_at(sb, 96);
	ro = le32_at(sb, 100);
	if (in & INCOMPAT_64BIT) {
		blocks |= (uint64_t)le32_at(sb, 0x150) << 32;
		free_blocks |= (uint64_t)le32_at(sb, 0x158) << 32;
	}
	if (log > 6 || free_blocks > blocks || blocks > UINT64_MAX >> (10 + log))
		return 0;
	out->block_bytes = 1024u << log;
	out->size_bytes = blocks << (10 + log);
	out->used_bytes = (blocks - free_blocks) << (10 + log);
	out->dirty = !(state & STATE_VALID) || state & STATE_ERROR || in & INCOMPAT_RECOVER ||
		     ro & RO_COMPAT_ORPHAN_THERE;
	super_features(a, &out->features, &count, le32_at(sb, 92), compat, "FEATURE_C");
	super_features(a, &out->features, &count, in, incompat, "FEATURE_I");
	super_features(a, &out->features, &count, ro, ro_compat, "FEATURE_R");
	super_features_end(a, &out->features, &count);
	return 0;
}
