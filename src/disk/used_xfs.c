/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * XFS: all but the free extents that `xfs_db -c freesp` reads from the free-space trees and free
 * lists of each allocation group. Source: XFS Algorithms & Data Structures, "Superblocks" and "AG
 * Free Space Management". What xfs_db prints is checked against the superblock's geometry and its
 * own total; whatever does not add up means that the whole is copied.
 */
#include "disk/used.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/num.h"
#include "base/run.h"

#define SUPER_BYTES    512
#define XFS_MAGIC      0x58465342 /* "XFSB" */
#define DB_DEADLINE_MS (10 * 60 * 1000)

struct geometry {
	uint32_t block_bytes;
	uint64_t data_blocks;
	uint64_t realtime_blocks;
	uint64_t log_start;   /* 0: the log is on another device */
	uint64_t free_blocks; /* and those of the free-space trees themselves */
	uint32_t ag_blocks;
	uint32_t ag_count;
};

struct free_list {
	struct arena *arena;
	struct geometry geometry;
	struct disk_extent *list; /* in blocks until all is read */
	size_t count;
	uint64_t blocks;
	uint64_t said_blocks; /* xfs_db's own total */
	bool said;
	bool rows_done;
};

static int whole(const struct used_request *r, const char *why)
{
	log_warn("%s: %s; all of it is copied, free space too", r->path, why);
	return USED_WHOLE;
}

static int read_geometry(const struct used_request *r, struct geometry *g)
{
	uint8_t raw[SUPER_BYTES] = {0};
	struct cursor c = cursor_of(raw, sizeof(raw));
	uint64_t bytes;
	int rc;

	if (r->length_bytes < sizeof(raw))
		return whole(r, "too small for XFS");
	rc = io_pread(r->fd, raw, sizeof(raw), r->offset_bytes, r->path);
	if (rc < 0)
		return rc;
	if (cursor_be32(&c) != XFS_MAGIC)
		return whole(r, "no XFS superblock");
	g->block_bytes = cursor_be32(&c);
	g->data_blocks = cursor_be64(&c);
	g->realtime_blocks = cursor_be64(&c);
	cursor_skip(&c, 8 + 16); /* realtime extents, UUID */
	g->log_start = cursor_be64(&c);
	cursor_skip(&c, 3 * 8 + 4); /* root, rbmino, rsumino, rextsize */
	g->ag_blocks = cursor_be32(&c);
	g->ag_count = cursor_be32(&c);
	cursor_skip(&c, 52); /* bitmap and log sizes, version, label, logarithms, inode counts */
	g->free_blocks = cursor_be64(&c);
	if (!cursor_ok(&c) || g->block_bytes < 512 || g->block_bytes > 65536 || !g->ag_blocks ||
	    !g->ag_count || !mul_ok(g->data_blocks, g->block_bytes, &bytes) ||
	    bytes > r->length_bytes || div_up(g->data_blocks, g->ag_blocks) != g->ag_count)
		return whole(r, "the XFS superblock contradicts itself");
	if (!g->log_start || g->realtime_blocks)
		return whole(r, "XFS with its log or realtime part on another device");
	return 0;
}

static int add_free(struct free_list *f, uint64_t ag, uint64_t first, uint64_t count)
{
	const struct geometry *g = &f->geometry;
	uint64_t start;

	if (ag >= g->ag_count || count == 0 || !range_ok(first, count, g->ag_blocks))
		return fail(EINVAL, "free extent %" PRIu64 ":%" PRIu64 "+%" PRIu64 " is impossible",
			    ag, first, count);
	start = ag * g->ag_blocks + first;
	if (!range_ok(start, count, g->data_blocks))
		return fail(EINVAL, "free extent %" PRIu64 ":%" PRIu64 "+%" PRIu64 " is impossible",
			    ag, first, count);
	*arena_push(f->arena, &f->list, &f->count) =
		(struct disk_extent){.offset_bytes = start, .length_bytes = count};
	f->blocks += count;
	return 0;
}

/*
 * Lines: "agno agbno len" as a head, rows of three numbers, "from to extents blocks pct" and its
 * rows, "total free extents N", "total free blocks N", an average.
 */
static int take_line(void *ctx, const char *line)
{
	struct free_list *f = ctx;
	uint64_t ag, first, count;

	if (sscanf(line, " total free blocks %" SCNu64, &f->said_blocks) == 1)
		f->said = true;
	if (strstr(line, "from"))
		f->rows_done = true;
	if (f->rows_done || strstr(line, "agno"))
		return 0;
	if (sscanf(line, " %" SCNu64 " %" SCNu64 " %" SCNu64, &ag, &first, &count) != 3)
		return fail(EINVAL, "xfs_db printed \"%.60s\"", line);
	return add_free(f, ag, first, count);
}

static int by_offset(const void *left, const void *right)
{
	const struct disk_extent *a = left, *b = right;

	return (a->offset_bytes > b->offset_bytes) - (a->offset_bytes < b->offset_bytes);
}

/* Everything that lies between the free extents. */
static int complement(struct free_list *f, struct disk_extents *out)
{
	uint64_t at = 0, block_bytes = f->geometry.block_bytes;

	if (f->count)
		qsort(f->list, f->count, sizeof(*f->list), by_offset);
	for (size_t i = 0; i < f->count; i++) {
		const struct disk_extent *e = &f->list[i];

		if (e->offset_bytes < at)
			return fail(EINVAL, "two free extents overlap at block %" PRIu64,
				    e->offset_bytes);
		disk_extents_add(f->arena, out, at * block_bytes,
				 (e->offset_bytes - at) * block_bytes);
		at = e->offset_bytes + e->length_bytes;
	}
	disk_extents_add(f->arena, out, at * block_bytes,
			 (f->geometry.data_blocks - at) * block_bytes);
	return 0;
}

static int check_clean(struct arena *a, const struct used_request *r)
{
	struct disk_fs fs;
	int rc = disk_probe(a, r->fd, r->path, r->offset_bytes, r->length_bytes, &fs);

	if (rc < 0)
		return rc;
	return fs.dirty ? used_dirty(r, "has a log that was not replayed") : 0;
}

int used_xfs(struct arena *a, const struct used_request *r, struct disk_extents *out)
{
	const char *const argv[] = {"xfs_db", "-r", "-c", "freesp -d -s", r->path, NULL};
	struct free_list f = {.arena = a};
	int rc = read_geometry(r, &f.geometry);

	if (rc == 0)
		rc = check_clean(a, r);
	if (rc)
		return rc;
	if (r->offset_bytes)
		return whole(r, "XFS inside a larger file");
	rc = run_lines(argv, DB_DEADLINE_MS, take_line, &f);
	if (rc < 0)
		return whole(r, err_reason());
	/* A damaged tree that offers less is harmless: what is not known to be free is copied. */
	if (!f.said || f.said_blocks != f.blocks || f.blocks > f.geometry.free_blocks)
		return whole(r, "xfs_db's list of free extents does not add up");
	rc = complement(&f, out);
	return rc < 0 ? whole(r, err_reason()) : 0;
}
