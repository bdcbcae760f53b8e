/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * XFS: xfs_db's own map of what each block is (blockget), asked for the blocks in question, with
 * names. The kernel's GETFSMAP knows owners only where the file system has a reverse map, and most
 * have none. The map takes a byte for each block of the file system, and more where data is, so a
 * machine that is short of memory does not try.
 */
#include "disk/where.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/num.h"
#include "base/run.h"

#define SUPER_BYTES    128
#define XFS_MAGIC      0x58465342 /* "XFSB" */
#define DB_DEADLINE_MS (30 * 60 * 1000)
#define BLOCKS_MAX     4096
#define SECTOR_BYTES   512
/* Of xfs_db's map: a byte a block, and a pointer where an inode owns it. */
#define MAP_BYTES 9

struct xfs {
	struct where_request *w;
	uint64_t blocks;
	uint32_t block_bytes;
	uint32_t ag_blocks;
};

static int read_geometry(struct xfs *x)
{
	CLEANUP_CLOSE int fd = io_open(x->w->path, O_RDONLY, 0);
	uint8_t raw[SUPER_BYTES];
	struct cursor c = cursor_of(raw, sizeof(raw));
	int rc;

	if (fd < 0)
		return fd;
	rc = io_pread(fd, raw, sizeof(raw), 0, x->w->path);
	if (rc < 0)
		return rc;
	if (cursor_be32(&c) != XFS_MAGIC)
		return fail(EINVAL, "%s has no XFS superblock", x->w->path);
	x->block_bytes = cursor_be32(&c);
	x->blocks = cursor_be64(&c);
	cursor_skip(&c, 84 - 16);
	x->ag_blocks = cursor_be32(&c);
	if (!cursor_ok(&c) || x->block_bytes < 512 || x->block_bytes > 65536 || !x->ag_blocks)
		return fail(EINVAL, "the XFS superblock of %s contradicts itself", x->w->path);
	return 0;
}

static int check_memory(const struct xfs *x)
{
	CLEANUP_FREE char *text = NULL;
	uint64_t kib = 0, need;
	const char *at;

	if (io_read_file("/proc/meminfo", 64 * KIB, &text, NULL) < 0)
		return 0;
	at = strstr(text, "MemAvailable:");
	if (!at || sscanf(at, "MemAvailable: %" SCNu64, &kib) != 1)
		return 0;
	if (!mul_ok(x->blocks, MAP_BYTES, &need) || need > kib * KIB / 2)
		return fail(ENOMEM,
			    "%s: looking for the names of files takes up to %" PRIu64
			    " MiB of memory; run xfs_db on a larger machine",
			    x->w->path, x->blocks / MIB * MAP_BYTES);
	return 0;
}

static const struct {
	const char *type; /* as xfs_db says it */
	enum disk_place_kind kind;
	const char *what;
} types[] = {
	{"unknown", DISK_PLACE_UNKNOWN, "a place of which no inode is known that has it"},
	{"free1", DISK_PLACE_UNUSED, "free space"},
	{"free2", DISK_PLACE_UNUSED, "free space"},
	{"freelist", DISK_PLACE_UNUSED, "free space"},
	{"data", DISK_PLACE_FILE, "file"},
	{"symlink", DISK_PLACE_FILE, "symbolic link"},
	{"attr", DISK_PLACE_FILE, "extended attributes of a file"},
	{"btbmapa", DISK_PLACE_FILE, "block list of a file"},
	{"btbmapd", DISK_PLACE_FILE, "block list of a file"},
	{"dir", DISK_PLACE_METADATA, "directory"},
	{"sb", DISK_PLACE_METADATA, "superblock and headers of an allocation group"},
	{"agf", DISK_PLACE_METADATA, "free space header"},
	{"agi", DISK_PLACE_METADATA, "inode header"},
	{"agfl", DISK_PLACE_METADATA, "free list"},
	{"btbno", DISK_PLACE_METADATA, "free space tree"},
	{"btcnt", DISK_PLACE_METADATA, "free space tree"},
	{"btino", DISK_PLACE_METADATA, "inode tree"},
	{"btfino", DISK_PLACE_METADATA, "inode tree"},
	{"inode", DISK_PLACE_METADATA, "inodes"},
	{"log", DISK_PLACE_METADATA, "log"},
	{"quota", DISK_PLACE_METADATA, "quota file"},
	{"rmapbt", DISK_PLACE_METADATA, "reverse map"},
	{"refcntbt", DISK_PLACE_METADATA, "reference counts"},
};

/* "block 32792 (1/24) type data inode 262273 a/b/file1"; whatever else it says is not for us. */
static int take_line(void *ctx, const char *line)
{
	struct xfs *x = ctx;
	uint64_t ag, block, inode = 0;
	struct where_block *b;
	char type[16];
	int end = 0, more = 0;

	if (sscanf(line, "block %*u (%" SCNu64 "/%" SCNu64 ") type %15s%n", &ag, &block, type,
		   &end) != 3)
		return 0;
	b = where_find(x->w, ag * x->ag_blocks + block);
	if (!b)
		return 0;
	b->kind = DISK_PLACE_UNKNOWN;
	b->what = arena_strdup(x->w->arena, type);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (strcmp(types[i].type, type) == 0) {
			b->kind = types[i].kind;
			b->what = types[i].what;
		}
	}
	if (sscanf(line + end, " inode %" SCNu64 "%n", &inode, &more) != 1)
		return 0;
	b->inode = inode;
	if (line[end + more] == ' ' && line[end + more + 1]) {
		const char *path = arena_printf(x->w->arena, "/%s", line + end + more + 1);

		b->names = arena_alloc(x->w->arena, 2 * sizeof(*b->names));
		b->names[0] = where_printable(x->w->arena, path);
	}
	return 0;
}

/* As many of these blocks as follow each other inside one allocation group. */
static size_t run_of(const struct xfs *x, const struct where_block *b, size_t count)
{
	size_t n = 1;

	while (n < count && b[n].block == b[0].block + n && b[n].block % x->ag_blocks != 0)
		n++;
	return n;
}

/*
 * xfs_db -r -c "blockget -n", and for each run of blocks -c "daddr N" -c "blockuse -n -c COUNT". To
 * go to a place is to read it, which is what cannot be done with bad blocks; so it goes to the one
 * before them and is asked for one more.
 */
static int ask(struct xfs *x)
{
	struct where_request *w = x->w;
	const char **argv = arena_alloc(w->arena, (4 * w->block_count + 8) * sizeof(*argv));
	size_t n = 0, run;

	argv[n++] = "xfs_db";
	argv[n++] = "-r";
	argv[n++] = "-c";
	argv[n++] = "blockget -n";
	for (size_t i = 0; i < w->block_count; i += run) {
		uint64_t block = w->blocks[i].block;
		unsigned before = block % x->ag_blocks != 0;

		run = 1;
		if (block >= x->blocks) {
			w->blocks[i].kind = DISK_PLACE_UNUSED;
			w->blocks[i].what = "behind the end of the file system";
			continue;
		}
		run = run_of(x, &w->blocks[i], w->block_count - i);
		run = (size_t)min_of((uint64_t)run, x->blocks - block);
		argv[n++] = "-c";
		argv[n++] = arena_printf(w->arena, "daddr %" PRIu64,
					 (block - before) * (x->block_bytes / SECTOR_BYTES));
		argv[n++] = "-c";
		argv[n++] = arena_printf(w->arena, "blockuse -n -c %zu", run + before);
	}
	argv[n++] = w->path;
	argv[n] = NULL;
	return run_lines(argv, DB_DEADLINE_MS, take_line, x);
}

/* Where metadata cannot be read, xfs_db complains and still tells what it knows. */
static int take_rest(struct xfs *x, int rc)
{
	struct where_request *w = x->w;
	size_t told = 0;

	for (size_t i = 0; i < w->block_count; i++)
		told += w->blocks[i].what != NULL;
	if (rc < 0 && !told)
		return rc;
	if (rc < 0)
		log_warn("%s: not all of its metadata can be read, so names may be lacking (%s)",
			 w->path, err_reason());
	for (size_t i = 0; i < w->block_count; i++) {
		struct where_block *b = &w->blocks[i];

		if (b->what)
			continue;
		b->what = "a place that its metadata does not tell of";
		if (b->block % x->ag_blocks == 0) {
			b->kind = DISK_PLACE_METADATA;
			b->what = "superblock and headers of an allocation group";
		}
	}
	return 0;
}

int where_xfs(struct where_request *w)
{
	struct xfs x = {.w = w};
	int rc;

	if (w->offset_bytes)
		return fail(ENOTSUP, "XFS inside a larger file");
	rc = read_geometry(&x);
	if (rc == 0)
		rc = check_memory(&x);
	if (rc < 0)
		return rc;
	where_blocks(w, x.block_bytes, BLOCKS_MAX);
	return take_rest(&x, ask(&x));
}
