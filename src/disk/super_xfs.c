/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The XFS superblock and the state of its log (kernel: fs/xfs/libxfs/xfs_format.h and
 * xfs_log_format.h). All of it big-endian.
 */
#include "disk/probe.h"

#include "base/cursor.h"
#include "base/num.h"

#define SUPER_BYTES 512
#define BB_BYTES    512 /* "basic block": what the log counts in */

#define VERSION_MASK	      0xf
#define VERSION_MOREBITS      0x8000
#define VERSION2_FTYPE	      0x200
#define RECORD_MAGIC	      0xfeedbabeu
#define UNMOUNT_FLAG	      0x20
#define RECORD_MAX_BYTES      (256 * KIB)
#define RECORD_HEAD_PER_BYTES 32768u /* of a record's size: one block of head each */

static const struct super_feature version_bits[] = {
	{0x0010, "attr"},   {0x0020, "nlink"},	{0x0040, "quota"},    {0x0080, "align"},
	{0x0100, "dalign"}, {0x0200, "shared"}, {0x0400, "logv2"},    {0x0800, "sector"},
	{0x1000, "extflg"}, {0x2000, "dirv2"},	{0x4000, "ascii-ci"}, {0, NULL},
};
static const struct super_feature version2_bits[] = {
	{0x2, "lazy-count"},   {0x8, "attr2"},	 {0x10, "parent-old"},
	{0x80, "projid32bit"}, {0x200, "ftype"}, {0, NULL},
};
static const struct super_feature ro_compat[] = {
	{0x1, "finobt"}, {0x2, "rmapbt"}, {0x4, "reflink"}, {0x8, "inobtcount"}, {0, NULL},
};
static const struct super_feature incompat[] = {
	{0x1, "ftype"},	       {0x2, "sparse"},	  {0x4, "meta_uuid"}, {0x8, "bigtime"},
	{0x10, "needsrepair"}, {0x20, "nrext64"}, {0x40, "exchange"}, {0x80, "parent"},
	{0x100, "metadir"},    {0, NULL},
};

struct log_place {
	const struct probe_source *s;
	uint64_t offset_bytes;
	uint64_t blocks; /* of BB_BYTES */
};

static int log_read(const struct log_place *l, uint64_t block, uint8_t bb[BB_BYTES])
{
	return probe_read(l->s, bb, BB_BYTES, l->offset_bytes + block * BB_BYTES);
}

static uint32_t be32_at(const uint8_t *p, size_t offset)
{
	struct cursor c = cursor_of(p + offset, 4);

	return cursor_be32(&c);
}

/* Each block of the log begins with the number of its round, behind the magic in a record's head.
 */
static int log_round(const struct log_place *l, uint64_t block, uint32_t *round)
{
	uint8_t bb[BB_BYTES];
	int rc = log_read(l, block, bb);

	if (rc < 0)
		return rc;
	*round = be32_at(bb, 0);
	if (*round == RECORD_MAGIC)
		*round = be32_at(bb, 4);
	return 0;
}

/* The first block behind the last one written: where the round number of block 0 ends. */
static int log_head(const struct log_place *l, uint64_t *head)
{
	uint64_t low = 0, high = l->blocks;
	uint32_t first, round;
	int rc = log_round(l, 0, &first);

	while (rc == 0 && high - low > 1) {
		uint64_t middle = low + (high - low) / 2;

		rc = log_round(l, middle, &round);
		if (round == first)
			low = middle;
		else
			high = middle;
	}
	*head = high;
	return rc;
}

/*
 * A log that was closed in order ends in a record that holds one operation, the unmount mark. Any
 * other end may want a replay. (A torn last write moves the head a little; that is an unclean end.)
 */
static int log_is_dirty(const struct probe_source *s, uint64_t log_offset_bytes, uint64_t log_bytes,
			bool *dirty)
{
	struct log_place l = {
		.s = s, .offset_bytes = log_offset_bytes, .blocks = log_bytes / BB_BYTES};
	uint64_t head = 0;
	uint8_t bb[BB_BYTES];
	int rc;

	*dirty = true;
	if (l.blocks < 4)
		return 0;
	rc = log_head(&l, &head);
	for (uint64_t back = 1; rc == 0 && back <= RECORD_MAX_BYTES / BB_BYTES && back < l.blocks;
	     back++) {
		uint64_t at = (head + l.blocks - back) % l.blocks;
		uint32_t operations, size_bytes;

		rc = log_read(&l, at, bb);
		if (rc < 0 || be32_at(bb, 0) != RECORD_MAGIC)
			continue;
		operations = be32_at(bb, 40);
		size_bytes = be32_at(bb, 8) & 2 ? be32_at(bb, 320) : 0;
		at += max_of(size_bytes / RECORD_HEAD_PER_BYTES, 1u);
		rc = log_read(&l, at % l.blocks, bb);
		if (rc == 0 && operations == 1 && bb[9] & UNMOUNT_FLAG)
			*dirty = false;
		return rc;
	}
	return rc;
}

static void features(struct arena *a, const uint8_t *sb, struct disk_fs *out)
{
	uint32_t version = be32_at(sb, 98) & 0xffff, version2 = be32_at(sb, 200);
	size_t count = 0;

	if ((version & VERSION_MASK) == 5) {
		*arena_push(a, &out->features, &count) = "crc";
		version2 &= ~(uint32_t)VERSION2_FTYPE;
	}
	super_features(a, &out->features, &count,
		       version & ~(uint32_t)(VERSION_MASK | VERSION_MOREBITS), version_bits,
		       "version_");
	if (version & VERSION_MOREBITS)
		super_features(a, &out->features, &count, version2 & ~0x101u, version2_bits,
			       "version2_");
	if ((version & VERSION_MASK) == 5) {
		super_features(a, &out->features, &count, be32_at(sb, 212), ro_compat,
			       "ro_compat_");
		super_features(a, &out->features, &count, be32_at(sb, 216), incompat, "incompat_");
	}
	super_features_end(a, &out->features, &count);
}

int super_xfs(struct arena *a, const struct probe_source *s, struct disk_fs *out)
{
	uint8_t sb[SUPER_BYTES] = {0};
	struct cursor c = cursor_of(sb, sizeof(sb));
	uint64_t blocks, log_start, free_blocks;
	uint32_t block_bytes, group_blocks, log_blocks;
	unsigned group_log;
	int rc = probe_read(s, sb, sizeof(sb), 0);

	if (rc < 0)
		return rc;
	cursor_skip(&c, 4);
	block_bytes = cursor_be32(&c);
	blocks = cursor_be64(&c);
	cursor_skip(&c, 48 - 16);
	log_start = cursor_be64(&c);
	cursor_skip(&c, 84 - 56);
	group_blocks = cursor_be32(&c);
	cursor_skip(&c, 96 - 88);
	log_blocks = cursor_be32(&c);
	cursor_skip(&c, 124 - 100);
	group_log = cursor_u8(&c);
	cursor_skip(&c, 144 - 125);
	free_blocks = cursor_be64(&c);
	if (block_bytes < 512 || block_bytes > 65536 || blocks > UINT64_MAX / block_bytes ||
	    group_log > 32 || free_blocks > blocks)
		return 0;
	out->block_bytes = block_bytes;
	out->size_bytes = blocks * block_bytes;
	out->used_bytes = (blocks - free_blocks) * block_bytes;
	features(a, sb, out);
	/* An external log is another device; nothing can be said, so it counts as wanting a replay.
	 */
	out->dirty = true;
	if (!log_start)
		return 0;
	log_start = (log_start >> group_log) * group_blocks +
		    (log_start & (((uint64_t)1 << group_log) - 1));
	if (log_start >= blocks || log_blocks > blocks - log_start)
		return 0;
	return log_is_dirty(s, log_start * block_bytes, (uint64_t)log_blocks * block_bytes,
			    &out->dirty);
}
