/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Foreign bytes: all is checked when a disk is found, so that walking over it needs no checks. */
#include "base/leaves.h"

#include <errno.h>
#include <string.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/num.h"

static int invalid(const char *what)
{
	return fail_code(EINVAL, "LEAVES_INVALID", "verify.leaves: %s", what);
}

/* Walk over the runs of a disk; bad when they do not make up its chunks exactly. */
static void skip_runs(struct cursor *c, uint64_t chunks, size_t digest_bytes)
{
	for (uint64_t at = 0; at < chunks && cursor_ok(c);) {
		uint32_t count = cursor_be32(c);
		uint8_t state = cursor_u8(c);

		cursor_skip(c, 3);
		if (count == 0 || count > chunks - at ||
		    (state != LEAVES_ZERO && state != LEAVES_DATA))
			cursor_fail(c);
		else if (state == LEAVES_DATA)
			cursor_skip(c, (size_t)count * digest_bytes);
		at += count;
	}
}

static int open_head(const void *data, size_t bytes, struct cursor *c, uint32_t *disks,
		     unsigned *digest)
{
	uint8_t sum[LEAVES_CHECK_BYTES], head[8];

	if (bytes < LEAVES_HEAD_BYTES + LEAVES_CHECK_BYTES)
		return invalid("too short");
	hash_sha256(data, bytes - LEAVES_CHECK_BYTES, sum);
	if (memcmp(sum, (const uint8_t *)data + bytes - LEAVES_CHECK_BYTES, LEAVES_CHECK_BYTES) !=
	    0)
		return invalid("its checksum is wrong; it was damaged or cut");
	*c = cursor_of(data, bytes - LEAVES_CHECK_BYTES);
	cursor_copy(c, head, sizeof(head));
	if (memcmp(head, LEAVES_MAGIC, sizeof(head)) != 0)
		return invalid("not a file of digests");
	if (cursor_be16(c) != LEAVES_VERSION || cursor_u8(c) != LEAVES_CHUNK_SHIFT)
		return invalid("of another version");
	*digest = cursor_u8(c);
	if (*digest != LEAVES_XXH3_128 && *digest != LEAVES_SHA256)
		return invalid("its digests are of a kind that is not known here");
	*disks = cursor_be32(c);
	return 0;
}

int leaves_find(const void *data, size_t bytes, unsigned disk, struct leaves *out)
{
	struct cursor c = {0};
	uint32_t disks = 0;
	unsigned digest = 0;
	int rc = open_head(data, bytes, &c, &disks, &digest);
	bool found = false;

	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < disks && cursor_ok(&c); i++) {
		struct leaves l = {.disk = cursor_be32(&c)};

		cursor_skip(&c, 4);
		l.digest = digest;
		l.digest_bytes = digest == LEAVES_SHA256 ? 32 : 16;
		l.size_bytes = cursor_be64(&c);
		l.chunks = cursor_be64(&c);
		if (l.chunks != div_up(l.size_bytes, (uint64_t)1 << LEAVES_CHUNK_SHIFT))
			cursor_fail(&c);
		l.runs = c.at;
		skip_runs(&c, l.chunks, l.digest_bytes);
		l.end = c.at;
		if (!found && l.disk == disk)
			*out = l;
		found |= l.disk == disk;
	}
	if (!cursor_ok(&c) || cursor_left(&c))
		return invalid("it contradicts itself");
	return found ? 0 : invalid("it does not have this disk");
}

void leaves_begin(const struct leaves *l, struct leaf_cursor *c)
{
	*c = (struct leaf_cursor){.at = l->runs, .digest_bytes = l->digest_bytes};
}

/* The runs were checked when they were found. */
const uint8_t *leaves_next(struct leaf_cursor *c)
{
	const uint8_t *digest;

	if (c->left == 0) {
		struct cursor head = cursor_of(c->at, LEAVES_RUN_BYTES);

		c->left = cursor_be32(&head);
		c->data = cursor_u8(&head) == LEAVES_DATA;
		c->at += LEAVES_RUN_BYTES;
	}
	c->left--;
	digest = c->data ? c->at : NULL;
	if (c->data)
		c->at += c->digest_bytes;
	return digest;
}

void leaves_root(const struct leaves *l, const uint8_t *zero, const uint8_t *last_zero,
		 uint8_t root[MERKLE_ROOT_BYTES])
{
	struct leaf_cursor c;
	struct merkle tree;

	merkle_init(&tree);
	leaves_begin(l, &c);
	for (uint64_t i = 0; i < l->chunks; i++) {
		const uint8_t *digest = leaves_next(&c);

		merkle_add(&tree,
			   digest		? digest
			   : i + 1 == l->chunks ? last_zero
						: zero,
			   l->digest_bytes);
	}
	merkle_root(&tree, root);
}
