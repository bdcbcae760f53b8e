/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Digests of chunks: XXH3-128 in its canonical (big-endian) form, or SHA-256, over the plain bytes.
 */
#define DIGEST_NAME digest_parts_base
#include "wire/wire_digest_impl.h"

#include "base/hash.h"
#include "base/num.h"

/* A run of present blocks and a run of zeros alternate, so no more parts than blocks, plus the end.
 */
#define PARTS_MAX (WIRE_CHUNK_BLOCKS + 1)

static const uint8_t zeros[64 << 10];

static void digest_parts(const struct iovec *parts, size_t count, uint8_t out[WIRE_DIGEST_MAX])
{
	if (__builtin_cpu_supports("avx2"))
		digest_parts_avx2(parts, count, out);
	else
		digest_parts_base(parts, count, out);
}

void wire_digest(const void *data, size_t bytes, uint8_t out[WIRE_DIGEST_MAX])
{
	struct iovec part = {.iov_base = (void *)data, .iov_len = bytes};

	digest_parts(&part, 1, out);
}

wire_digest_fn wire_digest_of(enum wire_digest_kind kind)
{
	return kind == WIRE_DIGEST_SHA256 ? hash_sha256 : wire_digest;
}

size_t wire_digest_bytes(enum wire_digest_kind kind)
{
	return kind == WIRE_DIGEST_SHA256 ? HASH_SHA256_BYTES : WIRE_DIGEST_BYTES;
}

const char *wire_digest_name(enum wire_digest_kind kind)
{
	return kind == WIRE_DIGEST_SHA256 ? "sha-256" : "xxh3-128";
}

bool wire_digest_named(const char *name, enum wire_digest_kind *out)
{
	static const enum wire_digest_kind kinds[] = {WIRE_DIGEST_XXH3_128, WIRE_DIGEST_SHA256};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(name, wire_digest_name(kinds[i])) == 0) {
			*out = kinds[i];
			return true;
		}
	return false;
}

static size_t add_zeros(struct iovec *parts, size_t count, size_t bytes)
{
	while (bytes > 0) {
		size_t n = min_of(bytes, sizeof(zeros));

		parts[count++] = (struct iovec){.iov_base = (void *)zeros, .iov_len = n};
		bytes -= n;
	}
	return count;
}

void wire_digest_blocks(enum wire_digest_kind kind, const uint8_t bitmap[WIRE_BITMAP_BYTES],
			const void *blocks, size_t chunk_bytes, uint8_t out[WIRE_DIGEST_MAX])
{
	struct iovec parts[PARTS_MAX + WIRE_CHUNK_BYTES / sizeof(zeros)];
	const uint8_t *at = blocks;
	size_t done = 0, count = 0;
	unsigned block = 0, run = 0;

	while (wire_bitmap_run(bitmap, &block, &run)) {
		size_t start = (size_t)block * WIRE_BLOCK_BYTES;
		size_t bytes;

		if (start >= chunk_bytes)
			break;
		bytes = min_of((size_t)run * WIRE_BLOCK_BYTES, chunk_bytes - start);
		count = add_zeros(parts, count, start - done);
		parts[count++] = (struct iovec){.iov_base = (void *)at, .iov_len = bytes};
		at += bytes;
		done = start + bytes;
		block += run;
	}
	count = add_zeros(parts, count, chunk_bytes - done);
	if (kind == WIRE_DIGEST_SHA256)
		hash_sha256_parts(parts, count, out);
	else
		digest_parts(parts, count, out);
}

void wire_digest_zero(enum wire_digest_kind kind, size_t chunk_bytes, uint8_t out[WIRE_DIGEST_MAX])
{
	static const uint8_t no_block[WIRE_BITMAP_BYTES];

	wire_digest_blocks(kind, no_block, NULL, min_of(chunk_bytes, (size_t)WIRE_CHUNK_BYTES),
			   out);
}
