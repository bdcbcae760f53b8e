/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Merkle roots in one pass and 2 KiB; see merkle.h for what is hashed. */
#include <stdbool.h>
#include <string.h>

#include "base/hash.h"
#include "base/merkle.h"

void merkle_init(struct merkle *m)
{
	m->leaves = 0;
}

static void join(const uint8_t *left, const uint8_t *right, uint8_t *out)
{
	uint8_t both[1 + 2 * MERKLE_ROOT_BYTES] = {1};

	memcpy(both + 1, left, MERKLE_ROOT_BYTES);
	memcpy(both + 1 + MERKLE_ROOT_BYTES, right, MERKLE_ROOT_BYTES);
	hash_sha256(both, sizeof(both), out);
}

void merkle_add(struct merkle *m, const uint8_t *digest, size_t digest_bytes)
{
	uint8_t leaf[1 + MERKLE_DIGEST_MAX] = {0}, node[MERKLE_ROOT_BYTES];
	unsigned level = 0;

	memcpy(leaf + 1, digest, digest_bytes);
	hash_sha256(leaf, 1 + digest_bytes, node);
	/* As in adding one: each full pair is joined and carried up. */
	for (; m->leaves >> level & 1; level++)
		join(m->nodes[level], node, node);
	memcpy(m->nodes[level], node, sizeof(node));
	m->leaves++;
}

void merkle_root(const struct merkle *m, uint8_t root[MERKLE_ROOT_BYTES])
{
	bool have = false;

	hash_sha256("", 0, root);
	for (unsigned level = 0; level < 64; level++) {
		if (!(m->leaves >> level & 1))
			continue;
		if (have)
			join(m->nodes[level], root, root);
		else
			memcpy(root, m->nodes[level], MERKLE_ROOT_BYTES);
		have = true;
	}
}
