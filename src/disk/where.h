/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which file holds a block, one reader a kind of file system. The reader is given blocks in rising
 * order and writes its answers into them. Private to disk.
 */
#ifndef DISK_WHERE_H
#define DISK_WHERE_H

#include "disk/disk.h"

struct where_block {
	uint64_t block; /* counted from the content's start */
	enum disk_place_kind kind;
	const char *what;
	uint64_t inode;
	const char **names;
};

struct where_request {
	struct arena *arena;
	const char *path;
	uint64_t offset_bytes; /* of the content in path */
	uint64_t length_bytes;
	const struct disk_range *ranges; /* from the content's start; sorted */
	size_t range_count;

	/* Filled by where_blocks(). */
	unsigned block_bytes;
	struct where_block *blocks;
	size_t block_count;
};

/*
 * Open what is needed to answer, fill blocks (by where_blocks()) and answer. A negative result has
 * a reason and leaves the blocks, if any, without answers.
 */
int where_ext(struct where_request *w);
int where_xfs(struct where_request *w);

/* Cut the ranges into blocks of this size, at most max of them. */
void where_blocks(struct where_request *w, unsigned block_bytes, size_t max);

/* NULL when it was not asked for. */
struct where_block *where_find(const struct where_request *w, uint64_t block);

/* A name of foreign bytes in a form that can be printed and put into JSON. */
const char *where_printable(struct arena *a, const char *name);

/* Add a name to all blocks of an inode. */
void where_name(struct where_request *w, uint64_t inode, const char *name);

#endif
