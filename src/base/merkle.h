/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Merkle root of a disk: one number that stands for all of its bytes, carried from the source
 * to the image. The leaf of a chunk (1 MiB, the last one may be short) is SHA-256(0x00 digest),
 * digest being the 16 bytes of XXH3-128 or the 32 of SHA-256 of the plain chunk, zeros included and
 * the same one for all chunks of a disk; a node is SHA-256(0x01 left right); a node without a
 * partner goes up as it is; the root of no chunks is SHA-256 of nothing. Made as a stream of
 * leaves, in 2 KiB. One thread at a time.
 */
#ifndef BASE_MERKLE_H
#define BASE_MERKLE_H

#include <stddef.h>
#include <stdint.h>

#define MERKLE_ROOT_BYTES 32
#define MERKLE_DIGEST_MAX 32

struct merkle {
	uint64_t leaves;
	/* nodes[k]: of 2^k leaves, where bit k of leaves is set */
	uint8_t nodes[64][MERKLE_ROOT_BYTES];
};

void merkle_init(struct merkle *m);
/* digest_bytes: at most MERKLE_DIGEST_MAX. */
void merkle_add(struct merkle *m, const uint8_t *digest, size_t digest_bytes);
void merkle_root(const struct merkle *m, uint8_t root[MERKLE_ROOT_BYTES]);

#endif
