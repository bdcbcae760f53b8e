/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Prove a disk image by the root that verify.json has of it; see verify.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"
#include "verify/private.h"

struct prover {
	const struct verify_image_options *options;
	struct verify_image_result *out;
	uint8_t *buf; /* WIRE_CHUNK_BYTES */
	struct merkle tree;
	struct leaf_cursor leaves;
	uint8_t zero[WIRE_DIGEST_MAX];
	uint8_t last_zero[WIRE_DIGEST_MAX];
};

/* The leaves must be those of the root, or what they locate is nothing. */
static int check_leaves(const struct prover *p)
{
	const struct leaves *l = p->options->leaves;
	const struct verify_proof *proof = p->options->proof;
	uint8_t root[MERKLE_ROOT_BYTES];

	if (l->size_bytes != proof->size_bytes)
		return fail_code(EINVAL, "LEAVES_INVALID",
				 "verify.leaves is of a disk of another size than verify.json");
	if (l->digest != (unsigned)proof->digest)
		return fail_code(EINVAL, "LEAVES_INVALID",
				 "verify.leaves has other digests than verify.json");
	leaves_root(l, p->zero, p->last_zero, root);
	if (memcmp(root, proof->root, sizeof(root)) != 0)
		return fail_code(EINVAL, "LEAVES_INVALID",
				 "verify.leaves is not of the same run as verify.json");
	return 0;
}

static int read_range(struct prover *p, uint64_t offset_bytes, size_t bytes, bool *zero)
{
	const struct verify_image *image = p->options->image;
	int rc;

	*zero = image->zero && image->zero(image->ctx, offset_bytes, bytes);
	if (*zero)
		return 0;
	rc = image->read(image->ctx, p->buf, bytes, offset_bytes);
	if (rc == 0)
		*zero = io_is_zero(p->buf, bytes);
	return rc;
}

static int take_chunk(struct prover *p, uint64_t chunk)
{
	const struct verify_image_options *o = p->options;
	uint64_t offset = chunk * WIRE_CHUNK_BYTES;
	size_t bytes = (size_t)min_of((uint64_t)WIRE_CHUNK_BYTES, o->proof->size_bytes - offset);
	const uint8_t *digest = bytes < WIRE_CHUNK_BYTES ? p->last_zero : p->zero, *leaf;
	uint8_t made[WIRE_DIGEST_MAX];
	bool zero;
	int rc = read_range(p, offset, bytes, &zero);

	if (rc < 0)
		return rc;
	if (!zero) {
		wire_digest_of(o->proof->digest)(p->buf, bytes, made);
		digest = made;
		p->out->data_chunks++;
	}
	merkle_add(&p->tree, digest, wire_digest_bytes(o->proof->digest));
	if (!o->leaves)
		return 0;
	leaf = leaves_next(&p->leaves);
	if (zero != !leaf ||
	    (leaf && memcmp(leaf, digest, wire_digest_bytes(o->proof->digest)) != 0)) {
		p->out->wrong_chunks++;
		if (o->wrong)
			o->wrong(o->ctx, chunk);
	}
	return 0;
}

/* A cloud's disk is larger than the one that was copied. */
static int look_at_rest(struct prover *p)
{
	const struct verify_image_options *o = p->options;
	uint64_t at = o->proof->size_bytes;

	while (at < o->image->size_bytes) {
		size_t bytes =
			(size_t)min_of((uint64_t)WIRE_CHUNK_BYTES, o->image->size_bytes - at);
		bool zero;
		int rc = read_range(p, at, bytes, &zero);

		if (rc < 0)
			return rc;
		if (!zero)
			p->out->rest_data_bytes += bytes;
		at += bytes;
		if (o->progress)
			o->progress(o->ctx, at, o->image->size_bytes);
	}
	return 0;
}

static int prove(struct prover *p)
{
	const struct verify_image_options *o = p->options;
	int rc = 0;

	for (uint64_t i = 0; rc == 0 && i < o->proof->chunks; i++) {
		rc = take_chunk(p, i);
		if (o->progress)
			o->progress(o->ctx, (i + 1) * WIRE_CHUNK_BYTES, o->image->size_bytes);
	}
	if (rc == 0 && o->rest)
		rc = look_at_rest(p);
	merkle_root(&p->tree, p->out->root);
	p->out->equal = rc == 0 && memcmp(p->out->root, o->proof->root, MERKLE_ROOT_BYTES) == 0;
	return rc;
}

int verify_image(const struct verify_image_options *o, struct verify_image_result *out)
{
	struct prover p = {.options = o, .out = out};
	int rc = 0;

	*out = (struct verify_image_result){.chunks = o->proof->chunks};
	if (o->image->size_bytes < o->proof->size_bytes)
		return fail_code(EBADMSG, "VERIFY_TOO_SMALL",
				 "it has %" PRIu64 " bytes, the disk that was proved has %" PRIu64,
				 o->image->size_bytes, o->proof->size_bytes);
	out->rest_bytes = o->image->size_bytes - o->proof->size_bytes;
	merkle_init(&p.tree);
	wire_digest_zero(o->proof->digest, WIRE_CHUNK_BYTES, p.zero);
	memcpy(p.last_zero, p.zero, sizeof(p.zero));
	if (o->proof->size_bytes % WIRE_CHUNK_BYTES)
		wire_digest_zero(o->proof->digest, o->proof->size_bytes % WIRE_CHUNK_BYTES,
				 p.last_zero);
	if (o->leaves) {
		rc = check_leaves(&p);
		if (rc < 0)
			return rc;
		leaves_begin(o->leaves, &p.leaves);
	}
	p.buf = aligned_alloc(4096, WIRE_CHUNK_BYTES);
	if (!p.buf)
		return fail(ENOMEM, "memory for the verification");
	rc = prove(&p);
	free(p.buf);
	return rc;
}
