/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the bytes of an image go: clusters come in the order of the disk, parts leave in the order
 * of the file. layout.c has what raw and qcow2 share, and the raw; layout_qcow2.c the tables;
 * layout_state.c writes all of it down, and reads it again. Private to image.
 */
#ifndef IMAGE_LAYOUT_H
#define IMAGE_LAYOUT_H

#include "image/image.h"
#include "image/pack.h"

#define LAYOUT_L2_ENTRIES    (PACK_CLUSTER_BYTES / 8)
#define LAYOUT_L2_BITS	     (PACK_CLUSTER_BITS - 3)
#define LAYOUT_BLOCK_ENTRIES (PACK_CLUSTER_BYTES / 2)	 /* refcounts of 16 bits */
#define LAYOUT_BLOCK_SHIFT   (2 * PACK_CLUSTER_BITS - 1) /* a block speaks of 2 GiB of the file */

struct layout {
	struct image_source source;
	struct image_options options;
	const struct image_sink *sink;

	/* The part that is being filled */
	unsigned number;
	uint64_t part_offset;
	uint8_t *buffer; /* NULL: nothing but zeros so far, or nothing at all */
	size_t fill;
	bool tail; /* behind all data: nothing can go on from here, only from before */

	uint64_t next_cluster; /* of the disk; all before are placed */
	uint64_t data_bytes;
	struct merkle merkle;
	uint8_t zero_digest[IMAGE_DIGEST_ROOM];	 /* of a whole chunk */
	uint8_t short_digest[IMAGE_DIGEST_ROOM]; /* of the last one, when it is short */

	/* qcow2 */
	uint64_t *l1, l1_entries;
	uint64_t l2_index; /* of the table in l2; those before are written */
	bool l2_used;
	uint64_t l2[LAYOUT_L2_ENTRIES];
	uint64_t first_block; /* refcount blocks before this one are written ... */
	uint64_t *blocks;     /* ... there; room for blocks_max */
	uint64_t blocks_max;
	uint16_t counts[2][LAYOUT_BLOCK_ENTRIES]; /* of first_block and the one behind it */

	uint8_t *scratch; /* a cluster */
	uint8_t *state;	  /* as written down last */
	size_t state_max;
};

int layout_new(const struct image_source *source, const struct image_options *options,
	       const struct image_sink *sink, struct layout **out);
void layout_free(struct layout *l); /* accepts NULL */

/* Go on behind the last part of a state that layout_save() wrote. -ESTALE with IMAGE_STATE_STALE.
 */
int layout_load(struct layout *l, const void *state, size_t bytes);

/* Into l->state; the bytes of it. */
size_t layout_save(struct layout *l);

/* The most that layout_save() writes. */
size_t layout_state_max(const struct layout *l);

/* Take what was packed; what is placed already is left out. */
int layout_take(struct layout *l, const struct packed *p);

/* All is taken: write the rest. */
int layout_finish(struct layout *l, struct image_result *result);

/* ---- between the layout*.c files ---- */

static inline uint64_t layout_at(const struct layout *l)
{
	return l->part_offset + l->fill;
}

/* Room for bytes in one part, beginning at a multiple of align; ends parts as needed. */
int layout_room(struct layout *l, size_t bytes, size_t align);

/* Hand the part over as it is. */
int layout_cut(struct layout *l);

int layout_qcow2_init(struct layout *l);
int layout_qcow2_cluster(struct layout *l, uint64_t cluster, const struct packed_cluster *c);
int layout_qcow2_finish(struct layout *l, const uint8_t root[MERKLE_ROOT_BYTES]);

#endif
