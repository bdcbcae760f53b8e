/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading verify.leaves, which has the digest of each chunk of the disks that were verified
 * (docs/copy.md has the layout; src/verify writes it). In place, without memory of its own.
 */
#ifndef BASE_LEAVES_H
#define BASE_LEAVES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/merkle.h"

#define LEAVES_MAGIC	   "CLFTLEAF" /* 8 bytes */
#define LEAVES_VERSION	   1
#define LEAVES_CHUNK_SHIFT 20
#define LEAVES_XXH3_128	   1 /* the protocol's numbers of digests */
#define LEAVES_SHA256	   2
#define LEAVES_HEAD_BYTES  16
#define LEAVES_DISK_BYTES  24
#define LEAVES_RUN_BYTES   8
#define LEAVES_CHECK_BYTES 32
#define LEAVES_ZERO	   1
#define LEAVES_DATA	   2

/* The part of one disk, in the file's memory. */
struct leaves {
	unsigned disk;
	uint64_t size_bytes;
	uint64_t chunks;
	unsigned digest;     /* LEAVES_XXH3_128 or LEAVES_SHA256 */
	size_t digest_bytes; /* 16 or 32 */
	const uint8_t *runs, *end;
};

/* Find a disk's part. Foreign bytes: -EINVAL, LEAVES_INVALID, whatever they are. */
int leaves_find(const void *data, size_t bytes, unsigned disk, struct leaves *out);

/* One chunk after the other. NULL: zeros. Only as often as the part has chunks. */
struct leaf_cursor {
	const uint8_t *at;
	size_t digest_bytes;
	uint64_t left; /* of this run */
	bool data;
};
void leaves_begin(const struct leaves *l, struct leaf_cursor *c);
const uint8_t *leaves_next(struct leaf_cursor *c);

/* The Merkle root of the disk; zero and last_zero: digests of a whole and of the last chunk of
 * zeros. */
void leaves_root(const struct leaves *l, const uint8_t *zero, const uint8_t *last_zero,
		 uint8_t root[MERKLE_ROOT_BYTES]);

#endif
