/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Walks a disk's map in order and says what is to be done next: read a chunk, or tell a run of
 * chunks as zero or as right. Chunks that are done are passed over. It reads nothing but the holes
 * of files.
 */
#include "base/cleanup.h"
#include "copy/private.h"

/* The longest zero or keep range: 1 GiB, so that progress moves and no request takes long. */
#define RANGE_CHUNKS_MAX 1024

enum action { ACT_SKIP, ACT_READ, ACT_ZERO, ACT_KEEP };

/* The map's part in one chunk. */
struct cover {
	size_t first_entry;
	size_t entry_count;
	uint64_t map_bytes; /* of sources and literals */
	bool data;	    /* some of it may be other than zero */
};

uint64_t state_chunk_bytes(const struct disk_state *s, uint64_t chunk)
{
	return min_of(s->target_bytes - chunk * WIRE_CHUNK_BYTES, (uint64_t)WIRE_CHUNK_BYTES);
}

/* Look at a chunk; chunks are asked for in rising order. */
static void cover_chunk(struct cursor_run *c, uint64_t chunk, struct cover *cover)
{
	const struct map_disk *map = c->disk->map;
	uint64_t start = chunk * WIRE_CHUNK_BYTES;
	uint64_t end = start + state_chunk_bytes(c->disk, chunk);
	size_t i = c->entry;

	while (i < map->count &&
	       map->entries[i].offset_bytes + map->entries[i].length_bytes <= start)
		i++;
	c->entry = i;
	*cover = (struct cover){.first_entry = i};
	for (; i < map->count && map->entries[i].offset_bytes < end; i++) {
		const struct map_entry *e = &map->entries[i];
		uint64_t from = max_of(e->offset_bytes, start);
		uint64_t to = min_of(e->offset_bytes + e->length_bytes, end);

		cover->entry_count++;
		if (e->kind == MAP_ZERO)
			continue;
		cover->map_bytes += to - from;
		if (cover->data)
			continue;
		cover->data = e->kind == MAP_LITERAL ||
			      !source_is_hole(c->sources, e->source,
					      e->source_offset_bytes + (from - e->offset_bytes),
					      to - from);
	}
}

static enum action decide(const struct cursor_run *c, uint64_t chunk, const struct cover *cover)
{
	uint8_t flags = c->disk->flags[chunk];

	if (flags & CHUNK_DONE)
		return ACT_SKIP;
	if (cover->data)
		return ACT_READ;
	return (flags & CHUNK_KNOWN) && !(flags & CHUNK_DATA) ? ACT_KEEP : ACT_ZERO;
}

static void skip(struct cursor_run *c, const struct cover *cover)
{
	if (c->disk->flags[c->chunk++] & CHUNK_OURS) {
		c->ours_bytes += cover->map_bytes;
		return;
	}
	c->skipped_chunks++;
	c->skipped_bytes += cover->map_bytes;
}

/* Begin a range at the cursor and let it grow as long as the same is to be done. */
static void take_range(struct cursor_run *c, enum action action, struct cover *cover,
		       struct item *item)
{
	item->kind = action == ACT_KEEP ? ITEM_KEEP : ITEM_ZERO;
	do {
		item->count++;
		item->map_bytes += cover->map_bytes;
		item->zero_bytes += cover->map_bytes;
		if (++c->chunk == c->disk->chunks || item->count == RANGE_CHUNKS_MAX)
			return;
		cover_chunk(c, c->chunk, cover);
	} while (decide(c, c->chunk, cover) == action);
}

bool cursor_next(struct cursor_run *c, struct item *item)
{
	LOCK_SCOPE(&c->lock);
	struct cover cover;

	for (; c->chunk < c->disk->chunks;) {
		enum action action;

		cover_chunk(c, c->chunk, &cover);
		action = decide(c, c->chunk, &cover);
		if (action == ACT_SKIP) {
			skip(c, &cover);
			continue;
		}
		item->chunk = c->chunk;
		item->count = 0;
		item->map_bytes = item->zero_bytes = 0;
		item->attempts = item->parts = 0;
		if (action != ACT_READ) {
			take_range(c, action, &cover, item);
			return true;
		}
		item->kind = ITEM_CHUNK;
		item->count = 1;
		item->map_bytes = cover.map_bytes;
		item->first_entry = cover.first_entry;
		item->entry_count = cover.entry_count;
		item->bytes = (uint32_t)state_chunk_bytes(c->disk, c->chunk);
		c->chunk++;
		return true;
	}
	return false;
}
