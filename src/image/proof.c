/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What was verified of a disk, chunk by chunk, for whoever packs it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/leaves.h"
#include "base/num.h"
#include "image/pack.h"

#define LEAVES_MAX_BYTES (256 * MIB)

struct image_proof {
	uint8_t root[MERKLE_ROOT_BYTES];
	char *data;	      /* verify.leaves */
	const uint8_t **leaf; /* in it, of each chunk; NULL: zeros */
	size_t digest_bytes;  /* of each */
};

void image_proof_close(struct image_proof *p)
{
	if (!p)
		return;
	free(p->data);
	free(p->leaf);
	free(p);
}

static enum image_knowledge known(void *ctx, uint64_t chunk, uint8_t digest[IMAGE_DIGEST_ROOM])
{
	const struct image_proof *p = ctx;

	if (!p->leaf[chunk])
		return IMAGE_ZERO;
	memcpy(digest, p->leaf[chunk], p->digest_bytes);
	return IMAGE_DATA;
}

static int invalid(const char *path, const char *what)
{
	return fail_code(EINVAL, "LEAVES_INVALID", "%s %s", path, what);
}

/* The leaves must be those of the root, or what they say is nothing. */
static int check(const struct image_proof *p, const struct leaves *l, const char *path,
		 const struct image_source *source)
{
	CLEANUP_FREE uint8_t *zeros = calloc(1, IMAGE_CHUNK_BYTES);
	size_t rest = (size_t)(source->disk_bytes % IMAGE_CHUNK_BYTES);
	uint8_t zero[IMAGE_DIGEST_ROOM], last[IMAGE_DIGEST_ROOM], root[MERKLE_ROOT_BYTES];

	if (!zeros)
		return fail(ENOMEM, "memory for %s", path);
	if (l->size_bytes != source->disk_bytes)
		return invalid(path, "is of a disk of another size");
	if (l->digest_bytes != image_digest_bytes(source))
		return invalid(path, "has other digests than verify.json");
	source->digest(zeros, IMAGE_CHUNK_BYTES, zero);
	source->digest(zeros, rest ? rest : IMAGE_CHUNK_BYTES, last);
	leaves_root(l, zero, last, root);
	return memcmp(root, p->root, sizeof(root)) == 0
		       ? 0
		       : invalid(path, "is not of the same run as verify.json");
}

static int take_leaves(struct image_proof *p, const struct leaves *l)
{
	struct leaf_cursor c;

	p->leaf = calloc(l->chunks, sizeof(*p->leaf));
	if (!p->leaf)
		return fail(ENOMEM, "memory for the digests of the disk");
	p->digest_bytes = l->digest_bytes;
	leaves_begin(l, &c);
	for (uint64_t i = 0; i < l->chunks; i++)
		p->leaf[i] = leaves_next(&c);
	return 0;
}

int image_proof_open(const uint8_t root[MERKLE_ROOT_BYTES], const char *leaves_path, unsigned disk,
		     struct image_source *source, struct image_proof **out)
{
	struct image_proof *p = calloc(1, sizeof(*p));
	struct leaves l;
	size_t bytes;
	int rc = 0;

	if (!p)
		return fail(ENOMEM, "memory for a proof");
	memcpy(p->root, root, sizeof(p->root));
	if (leaves_path) {
		rc = io_read_file(leaves_path, LEAVES_MAX_BYTES, &p->data, &bytes);
		if (rc == 0)
			rc = leaves_find(p->data, bytes, disk, &l);
		if (rc == 0)
			rc = check(p, &l, leaves_path, source);
		if (rc == 0)
			rc = take_leaves(p, &l);
	}
	if (rc < 0) {
		image_proof_close(p);
		return rc;
	}
	source->root = p->root;
	source->known = p->leaf ? known : NULL;
	source->known_ctx = p;
	*out = p;
	return 0;
}
