/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state of a layout at the end of a part, as bytes: what it belongs to, how far it is, the
 * tables that are not written yet, and a SHA-256 over all. Integers are big-endian.
 */
#include <errno.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/num.h"
#include "image/layout.h"

#define MAGIC	      "CLFTIMG1"
#define LIBRARY_BYTES 24
#define SUBJECT_BYTES (8 + 4 + 3 * 8 + LIBRARY_BYTES)

/* What must be the same for the same bytes to come out. */
static void write_subject(const struct layout *l, uint8_t out[SUBJECT_BYTES])
{
	const struct image_options *o = &l->options;
	struct writer w = writer_of(out, SUBJECT_BYTES);
	char library[LIBRARY_BYTES] = "";

	if (o->format == IMAGE_QCOW2 && o->compression != IMAGE_PLAIN)
		strncpy(library,
			o->compression == IMAGE_ZSTD ? ZSTD_versionString() : zlibVersion(),
			sizeof(library) - 1);
	writer_bytes(&w, MAGIC, 8);
	/* As it was before there was another digest than XXH3-128. */
	writer_be(&w, (l->source.digest_kind == IMAGE_SHA256 ? 0x10u : 0u) | o->format, 1);
	writer_be(&w, o->compression, 1);
	writer_be(&w, o->level, 2);
	writer_be(&w, o->part_bytes, 8);
	writer_be(&w, l->source.disk_bytes, 8);
	writer_be(&w, l->source.image_bytes, 8);
	writer_bytes(&w, library, sizeof(library));
}

size_t layout_state_max(const struct layout *l)
{
	size_t fixed = SUBJECT_BYTES + 64 + sizeof(l->merkle.nodes) + HASH_SHA256_BYTES;

	if (l->options.format == IMAGE_RAW)
		return fixed;
	return fixed + 8 * (size_t)(l->l1_entries + l->blocks_max) + sizeof(l->l2) +
	       sizeof(l->counts);
}

static void write_numbers(struct writer *w, const uint64_t *numbers, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		writer_be(w, numbers[i], 8);
}

size_t layout_save(struct layout *l)
{
	struct writer w = writer_of(l->state, l->state_max - HASH_SHA256_BYTES);
	uint8_t subject[SUBJECT_BYTES];
	size_t bytes;

	write_subject(l, subject);
	writer_bytes(&w, subject, sizeof(subject));
	writer_be(&w, l->number, 4);
	writer_be(&w, l->next_cluster, 8);
	writer_be(&w, l->data_bytes, 8);
	writer_be(&w, l->merkle.leaves, 8);
	for (unsigned i = 0; i < 64; i++)
		if (l->merkle.leaves >> i & 1)
			writer_bytes(&w, l->merkle.nodes[i], MERKLE_ROOT_BYTES);
	if (l->options.format == IMAGE_QCOW2) {
		writer_be(&w, l->l2_index, 8);
		writer_be(&w, l->l2_used, 1);
		/* A table that was just written is in L1 already. */
		write_numbers(&w, l->l1, min_of(l->l2_index + 1, l->l1_entries));
		if (l->l2_used)
			write_numbers(&w, l->l2, LAYOUT_L2_ENTRIES);
		writer_be(&w, l->first_block, 8);
		write_numbers(&w, l->blocks, l->first_block);
		for (unsigned i = 0; i < 2; i++)
			for (size_t k = 0; k < LAYOUT_BLOCK_ENTRIES; k++)
				writer_be(&w, l->counts[i][k], 2);
	}
	bytes = writer_used(&w);
	hash_sha256(l->state, bytes, l->state + bytes);
	return bytes + HASH_SHA256_BYTES;
}

static void read_numbers(struct cursor *c, uint64_t *numbers, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		numbers[i] = cursor_be64(c);
}

static bool read_qcow2(struct layout *l, struct cursor *c)
{
	l->l2_index = cursor_be64(c);
	l->l2_used = cursor_u8(c);
	if (l->l2_index >= max_of(l->l1_entries, (uint64_t)1))
		return false;
	read_numbers(c, l->l1, min_of(l->l2_index + 1, l->l1_entries));
	if (l->l2_used)
		read_numbers(c, l->l2, LAYOUT_L2_ENTRIES);
	l->first_block = cursor_be64(c);
	/* The blocks in memory are those of the place where it goes on. */
	if (l->first_block > l->blocks_max - 2 ||
	    (l->part_offset >> LAYOUT_BLOCK_SHIFT) - l->first_block > 1)
		return false;
	read_numbers(c, l->blocks, l->first_block);
	for (unsigned i = 0; i < 2; i++)
		for (size_t k = 0; k < LAYOUT_BLOCK_ENTRIES; k++)
			l->counts[i][k] = cursor_be16(c);
	return true;
}

static bool read_state(struct layout *l, struct cursor *c)
{
	unsigned first = l->options.format == IMAGE_QCOW2 ? 2 : 1;
	uint64_t head = l->options.format == IMAGE_QCOW2 ? IMAGE_HEAD_BYTES : 0;

	l->number = cursor_be32(c);
	l->next_cluster = cursor_be64(c);
	l->data_bytes = cursor_be64(c);
	l->merkle.leaves = cursor_be64(c);
	for (unsigned i = 0; i < 64; i++)
		if (l->merkle.leaves >> i & 1)
			cursor_copy(c, l->merkle.nodes[i], MERKLE_ROOT_BYTES);
	if (l->number <= first || l->number > IMAGE_DISK_MAX / IMAGE_CHUNK_BYTES * 2 ||
	    l->next_cluster > div_up(l->source.disk_bytes, PACK_CLUSTER_BYTES) ||
	    l->merkle.leaves > div_up(l->source.disk_bytes, IMAGE_CHUNK_BYTES))
		return false;
	l->part_offset = head + (uint64_t)(l->number - first) * l->options.part_bytes;
	if (l->options.format == IMAGE_QCOW2 && !read_qcow2(l, c))
		return false;
	return cursor_ok(c) && cursor_left(c) == 0;
}

int layout_load(struct layout *l, const void *state, size_t bytes)
{
	uint8_t subject[SUBJECT_BYTES], check[HASH_SHA256_BYTES];
	struct cursor c = cursor_of(state, bytes), body;
	const uint8_t *got;

	if (bytes < SUBJECT_BYTES + HASH_SHA256_BYTES)
		return fail_code(ESTALE, "IMAGE_STATE_STALE", "the state of an image is cut off");
	hash_sha256(state, bytes - HASH_SHA256_BYTES, check);
	body = cursor_sub(&c, bytes - HASH_SHA256_BYTES);
	if (memcmp(check, c.at, sizeof(check)) != 0)
		return fail_code(ESTALE, "IMAGE_STATE_STALE", "the state of an image is damaged");
	write_subject(l, subject);
	got = cursor_bytes(&body, SUBJECT_BYTES);
	if (memcmp(got, subject, sizeof(subject)) != 0)
		return fail_code(ESTALE, "IMAGE_STATE_STALE",
				 "the state of an image belongs to another disk, other options or "
				 "another version");
	if (!read_state(l, &body))
		return fail_code(ESTALE, "IMAGE_STATE_STALE", "the state of an image is malformed");
	return 0;
}
