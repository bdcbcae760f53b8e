/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Merkle roots in one pass and 2 KiB; see verify.h for what is hashed. */
#include <string.h>

#include "base/hash.h"
#include "verify/verify.h"

void verify_tree_init(struct verify_tree *t)
{
	t->leaves = 0;
}

static void join(const uint8_t *left, const uint8_t *right, uint8_t *out)
{
	uint8_t both[1 + 2 * VERIFY_ROOT_BYTES] = {1};

	memcpy(both + 1, left, VERIFY_ROOT_BYTES);
	memcpy(both + 1 + VERIFY_ROOT_BYTES, right, VERIFY_ROOT_BYTES);
	hash_sha256(both, sizeof(both), out);
}

void verify_tree_add(struct verify_tree *t, const uint8_t digest[WIRE_DIGEST_BYTES])
{
	uint8_t leaf[1 + WIRE_DIGEST_BYTES] = {0}, node[VERIFY_ROOT_BYTES];
	unsigned level = 0;

	memcpy(leaf + 1, digest, WIRE_DIGEST_BYTES);
	hash_sha256(leaf, sizeof(leaf), node);
	/* As in adding one: each full pair is joined and carried up. */
	for (; t->leaves >> level & 1; level++)
		join(t->nodes[level], node, node);
	memcpy(t->nodes[level], node, sizeof(node));
	t->leaves++;
}

void verify_tree_root(const struct verify_tree *t, uint8_t root[VERIFY_ROOT_BYTES])
{
	bool have = false;

	hash_sha256("", 0, root);
	for (unsigned level = 0; level < 64; level++) {
		if (!(t->leaves >> level & 1))
			continue;
		if (have)
			join(t->nodes[level], root, root);
		else
			memcpy(root, t->nodes[level], VERIFY_ROOT_BYTES);
		have = true;
	}
}
