/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packing: threads read the disk chunk by chunk, make its digest, and compress its clusters; what
 * they made is taken in the order of the disk. The chunks under way are few and bounded. Private to
 * image.
 */
#ifndef IMAGE_PACK_H
#define IMAGE_PACK_H

#include "image/image.h"

static inline size_t image_digest_bytes(const struct image_source *s)
{
	return s->digest_kind == IMAGE_SHA256 ? 32 : 16;
}

#define PACK_CLUSTER_BITS   16
#define PACK_CLUSTER_BYTES  (1u << PACK_CLUSTER_BITS)
#define PACK_CHUNK_CLUSTERS (IMAGE_CHUNK_BYTES / PACK_CLUSTER_BYTES)
/* What saves less than this is stored as it is, which readers like better. */
#define PACK_GAIN_MIN_BYTES (PACK_CLUSTER_BYTES / 16)

enum packed_kind { PACKED_ZERO, PACKED_PLAIN, PACKED_SMALL };

struct packed_cluster {
	enum packed_kind kind;
	const uint8_t *data; /* NULL for zero */
	size_t bytes;
};

/* Chunks in a row: either count zero ones, or one with data. */
struct packed {
	uint64_t chunk, count;
	bool zero;
	uint8_t digest[IMAGE_DIGEST_ROOM]; /* of a chunk with data */
	struct packed_cluster clusters[PACK_CHUNK_CLUSTERS];
};

struct pack;

/* From first_chunk on. Options are complete: no field is "a good one". */
int pack_start(const struct image_source *source, const struct image_options *options,
	       uint64_t first_chunk, struct pack **out);

/* The next ones, valid until the next call; NULL at the end of the disk. */
int pack_next(struct pack *p, const struct packed **out);

/* Also in the middle. Accepts NULL. */
void pack_stop(struct pack *p);

#endif
