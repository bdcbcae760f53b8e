/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tables of a qcow2. Everything that is written goes behind what was written before, and counts
 * itself in the refcount block of its place. A block is written once the end of the file has
 * passed its 2 GiB: nothing can change it any more. The last ones count themselves too.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/num.h"
#include "image/layout.h"
#include "image/qcow2.h"

#define COMPRESSED_SHIFT (62 - (PACK_CLUSTER_BITS - 8))

/* [offset, offset + bytes) is in use by one more. */
static void mark(struct layout *l, uint64_t offset, uint64_t bytes)
{
	uint64_t first = offset >> PACK_CLUSTER_BITS;
	uint64_t last = (offset + bytes - 1) >> PACK_CLUSTER_BITS;

	for (uint64_t i = first; i <= last; i++)
		l->counts[i / LAYOUT_BLOCK_ENTRIES - l->first_block][i % LAYOUT_BLOCK_ENTRIES]++;
}

static void put(struct layout *l, const void *data, size_t bytes, uint64_t *offset)
{
	*offset = layout_at(l);
	memcpy(l->buffer + l->fill, data, bytes);
	l->fill += bytes;
}

static void encode_counts(const uint16_t *counts, uint8_t *out)
{
	struct writer w = writer_of(out, PACK_CLUSTER_BYTES);

	for (size_t i = 0; i < LAYOUT_BLOCK_ENTRIES; i++)
		writer_be(&w, counts[i], 2);
}

static void encode_entries(const uint64_t *entries, uint64_t count, uint8_t *out)
{
	struct writer w = writer_of(out, PACK_CLUSTER_BYTES);

	memset(out, 0, PACK_CLUSTER_BYTES);
	for (uint64_t i = 0; i < count; i++)
		writer_be(&w, entries[i], 8);
}

/* Refcount blocks that nothing can change any more. */
static int write_blocks(struct layout *l)
{
	while (layout_at(l) >> LAYOUT_BLOCK_SHIFT > l->first_block) {
		uint64_t offset;
		int rc = layout_room(l, PACK_CLUSTER_BYTES, PACK_CLUSTER_BYTES);

		if (rc < 0)
			return rc;
		encode_counts(l->counts[0], l->scratch);
		put(l, l->scratch, PACK_CLUSTER_BYTES, &offset);
		mark(l, offset, PACK_CLUSTER_BYTES);
		l->blocks[l->first_block++] = offset;
		memcpy(l->counts[0], l->counts[1], sizeof(l->counts[0]));
		memset(l->counts[1], 0, sizeof(l->counts[1]));
	}
	return 0;
}

/* Room for a thing that counts itself. */
static int room(struct layout *l, size_t bytes, size_t align)
{
	int rc = write_blocks(l);

	if (rc == 0)
		rc = layout_room(l, bytes, align);
	/* Only now the place is known; a block that this passed is written before it. */
	if (rc == 0 && layout_at(l) >> LAYOUT_BLOCK_SHIFT > l->first_block) {
		rc = write_blocks(l);
		if (rc == 0)
			rc = layout_room(l, bytes, align);
	}
	return rc;
}

static int flush_l2(struct layout *l)
{
	uint64_t offset;
	int rc;

	if (!l->l2_used)
		return 0;
	rc = room(l, PACK_CLUSTER_BYTES, PACK_CLUSTER_BYTES);
	if (rc < 0)
		return rc;
	encode_entries(l->l2, LAYOUT_L2_ENTRIES, l->scratch);
	put(l, l->scratch, PACK_CLUSTER_BYTES, &offset);
	mark(l, offset, PACK_CLUSTER_BYTES);
	l->l1[l->l2_index] = offset | QCOW2_COPIED;
	memset(l->l2, 0, sizeof(l->l2));
	l->l2_used = false;
	return 0;
}

int layout_qcow2_init(struct layout *l)
{
	/* Room for a file of incompressible clusters and all tables. */
	l->blocks_max = (l->source.image_bytes >> (LAYOUT_BLOCK_SHIFT - 1)) + 8;
	l->l1_entries =
		div_up(l->source.image_bytes, (uint64_t)1 << (PACK_CLUSTER_BITS + LAYOUT_L2_BITS));
	l->l1 = calloc(l->l1_entries + 1, sizeof(*l->l1));
	l->blocks = calloc(l->blocks_max, sizeof(*l->blocks));
	if (!l->l1 || !l->blocks)
		return fail(ENOMEM, "memory for the tables of an image");
	l->number = 2;
	l->part_offset = IMAGE_HEAD_BYTES;
	mark(l, 0, PACK_CLUSTER_BYTES);
	return 0;
}

/* What a compressed cluster takes: whole sectors are read of it. */
static uint64_t sectors_of(uint64_t offset, size_t bytes)
{
	return (offset + bytes - 1) / QCOW2_SECTOR_BYTES - offset / QCOW2_SECTOR_BYTES + 1;
}

int layout_qcow2_cluster(struct layout *l, uint64_t cluster, const struct packed_cluster *c)
{
	bool small = c->kind == PACKED_SMALL;
	uint64_t index = cluster >> LAYOUT_L2_BITS, offset, entry;
	int rc = index == l->l2_index ? 0 : flush_l2(l);

	if (rc < 0)
		return rc;
	l->l2_index = index;
	rc = room(l, c->bytes, small ? 1 : PACK_CLUSTER_BYTES);
	if (rc < 0)
		return rc;
	put(l, c->data, c->bytes, &offset);
	if (small) {
		uint64_t sectors = sectors_of(offset, c->bytes);

		mark(l, round_down(offset, QCOW2_SECTOR_BYTES), sectors * QCOW2_SECTOR_BYTES);
		entry = offset | (sectors - 1) << COMPRESSED_SHIFT | QCOW2_COMPRESSED;
	} else {
		mark(l, offset, PACK_CLUSTER_BYTES);
		entry = offset | QCOW2_COPIED;
	}
	l->l2[cluster % LAYOUT_L2_ENTRIES] = entry;
	l->l2_used = true;
	return 0;
}

/* A table of several clusters, one behind the other: parts end at multiples of a cluster. */
static int write_table(struct layout *l, const uint64_t *entries, uint64_t count)
{
	for (uint64_t i = 0; i < count; i += LAYOUT_L2_ENTRIES) {
		uint64_t offset;
		int rc = layout_room(l, PACK_CLUSTER_BYTES, PACK_CLUSTER_BYTES);

		if (rc < 0)
			return rc;
		encode_entries(entries + i, min_of(count - i, (uint64_t)LAYOUT_L2_ENTRIES),
			       l->scratch);
		put(l, l->scratch, PACK_CLUSTER_BYTES, &offset);
	}
	return 0;
}

struct tables {
	uint64_t l1_offset, refs_offset, refs_clusters;
	uint64_t blocks; /* all, those that are still to be written included */
	uint64_t end;
};

/* Where the last tables will lie: the refcount blocks among them speak of them all. */
static void place_tables(const struct layout *l, struct tables *t)
{
	const uint64_t per_cluster = LAYOUT_L2_ENTRIES;
	uint64_t l1_bytes = div_up(l->l1_entries, per_cluster) * PACK_CLUSTER_BYTES;

	t->l1_offset = round_up(layout_at(l), PACK_CLUSTER_BYTES);
	t->refs_offset = t->l1_offset + l1_bytes;
	t->blocks = l->first_block;
	do {
		t->blocks++;
		t->refs_clusters = div_up(t->blocks, per_cluster);
		t->end = t->refs_offset +
			 (t->refs_clusters + t->blocks - l->first_block) * PACK_CLUSTER_BYTES;
	} while ((t->end - 1) >> LAYOUT_BLOCK_SHIFT >= t->blocks);
}

/* What stays zero. */
static void skip(struct writer *w, size_t bytes)
{
	static const uint8_t zeros[16];

	writer_bytes(w, zeros, bytes);
}

static int write_head(struct layout *l, const struct tables *t,
		      const uint8_t root[MERKLE_ROOT_BYTES])
{
	bool zstd = l->options.compression == IMAGE_ZSTD;
	uint8_t *head = l->sink->buffer(l->sink->ctx);
	struct writer w = writer_of(head, IMAGE_HEAD_BYTES);
	struct image_part p = {.number = 1,
			       .data = head,
			       .bytes = IMAGE_HEAD_BYTES,
			       .done_bytes = l->source.disk_bytes};

	if (!head)
		return -ECANCELED;
	memset(head, 0, IMAGE_HEAD_BYTES);
	writer_be(&w, QCOW2_MAGIC, 4);
	writer_be(&w, 3, 4);
	skip(&w, 8 + 4); /* no backing file */
	writer_be(&w, PACK_CLUSTER_BITS, 4);
	writer_be(&w, round_up(l->source.image_bytes, QCOW2_SECTOR_BYTES), 8);
	skip(&w, 4); /* not encrypted */
	writer_be(&w, l->l1_entries, 4);
	writer_be(&w, t->l1_offset, 8);
	writer_be(&w, t->refs_offset, 8);
	writer_be(&w, t->refs_clusters, 4);
	skip(&w, 4 + 8); /* no snapshots */
	writer_be(&w, zstd ? QCOW2_COMPRESSION_TYPE : 0, 8);
	skip(&w, 8 + 8);
	writer_be(&w, 4, 4); /* refcounts of 2^4 bits */
	writer_be(&w, QCOW2_HEAD_TYPED, 4);
	writer_be(&w, zstd ? QCOW2_TYPE_ZSTD : QCOW2_TYPE_DEFLATE, 1);
	skip(&w, 7);
	writer_be(&w, IMAGE_EXTENSION, 4);
	writer_be(&w, 8 + 8 + MERKLE_ROOT_BYTES, 4);
	writer_be(&w, 1, 1);
	writer_be(&w, l->source.digest_kind == IMAGE_SHA256 ? IMAGE_SHA256 : IMAGE_XXH3_128, 1);
	writer_be(&w, 20, 1);
	skip(&w, 5);
	writer_be(&w, l->source.disk_bytes, 8);
	writer_bytes(&w, root, MERKLE_ROOT_BYTES);
	return l->sink->part(l->sink->ctx, &p);
}

int layout_qcow2_finish(struct layout *l, const uint8_t root[MERKLE_ROOT_BYTES])
{
	struct tables t;
	uint64_t offset;
	int rc = flush_l2(l);

	if (rc == 0)
		rc = write_blocks(l);
	if (rc < 0)
		return rc;
	l->tail = true;
	place_tables(l, &t);
	mark(l, t.l1_offset, t.end - t.l1_offset);
	for (uint64_t i = l->first_block; i < t.blocks; i++)
		l->blocks[i] = t.end - (t.blocks - i) * PACK_CLUSTER_BYTES;
	rc = write_table(l, l->l1, l->l1_entries);
	if (rc == 0)
		rc = write_table(l, l->blocks, t.blocks);
	for (uint64_t i = l->first_block; rc == 0 && i < t.blocks; i++) {
		rc = layout_room(l, PACK_CLUSTER_BYTES, PACK_CLUSTER_BYTES);
		if (rc < 0)
			break;
		encode_counts(l->counts[i - l->first_block], l->scratch);
		put(l, l->scratch, PACK_CLUSTER_BYTES, &offset);
	}
	if (rc == 0)
		rc = layout_cut(l);
	return rc < 0 ? rc : write_head(l, &t, root);
}
