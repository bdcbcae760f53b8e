/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a bad chunk of a target to the names of what it holds, by way of the map and the source. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/num.h"
#include "verify/private.h"

/* A chunk of many small files needs not all of their names. */
#define PLACES_MAX 32

struct question {
	struct disk_range range; /* of a source */
	struct verify_bad *bad;
};

struct questions {
	struct question *list;
	size_t count;
};

static void ask_range(struct arena *a, const struct map_disk *disk, struct verify_bad *bad,
		      const struct disk_extent *differs, struct questions *q)
{
	uint64_t from = differs->offset_bytes, to = from + differs->length_bytes;

	for (size_t i = 0; i < disk->count && disk->entries[i].offset_bytes < to; i++) {
		const struct map_entry *e = &disk->entries[i];
		uint64_t start = max_of(from, e->offset_bytes);
		uint64_t end = min_of(to, e->offset_bytes + e->length_bytes);

		if (e->kind != MAP_SOURCE || start >= end)
			continue;
		*arena_push(a, &q->list, &q->count) = (struct question){
			.range = {e->source, e->source_offset_bytes + (start - e->offset_bytes),
				  end - start},
			.bad = bad};
	}
}

static void ask_for(struct arena *a, const struct map_disk *disk, struct verify_bad *bad,
		    struct questions *q)
{
	for (size_t i = 0; i < bad->differs.count; i++)
		ask_range(a, disk, bad, &bad->differs.list[i], q);
}

static void add_place(struct arena *a, struct verify_bad *bad, const char *text)
{
	const char **places;
	size_t n = 0;

	while (bad->places && bad->places[n])
		n++;
	if (n == PLACES_MAX)
		return;
	places = arena_alloc(a, (n + 2) * sizeof(*places));
	for (size_t i = 0; i < n; i++)
		places[i] = bad->places[i];
	places[n] = n + 1 == PLACES_MAX ? "..." : text;
	bad->places = places;
}

static int by_range(const void *left, const void *right)
{
	const struct disk_range *a = &((const struct question *)left)->range;
	const struct disk_range *b = &((const struct question *)right)->range;

	if (a->disk != b->disk)
		return (a->disk > b->disk) - (a->disk < b->disk);
	return (a->offset_bytes > b->offset_bytes) - (a->offset_bytes < b->offset_bytes);
}

/* Files before what is of no matter. */
static void take_places(struct arena *a, const struct questions *q, const struct disk_places *p)
{
	for (unsigned pass = 0; pass < 2; pass++) {
		size_t k = 0;

		for (size_t i = 0; i < p->count; i++) {
			const struct disk_place *place = &p->list[i];

			while (k + 1 < q->count &&
			       (q->list[k].range.disk != place->disk ||
				q->list[k].range.offset_bytes + q->list[k].range.length_bytes <=
					place->offset_bytes))
				k++;
			if ((place->kind == DISK_PLACE_UNUSED) == (pass == 1))
				add_place(a, q->list[k].bad, disk_place_text(a, place));
		}
	}
}

/* What stands there is not of the source. Entries are in order and do not overlap. */
static void add_own_places(struct arena *a, const struct map_disk *disk, struct verify_bad *bad)
{
	bool made = false, empty = false;

	for (size_t i = 0; i < bad->differs.count; i++) {
		uint64_t at = bad->differs.list[i].offset_bytes;
		uint64_t stop = at + bad->differs.list[i].length_bytes;

		for (size_t k = 0; k < disk->count && disk->entries[k].offset_bytes < stop; k++) {
			const struct map_entry *e = &disk->entries[k];

			if (e->offset_bytes + e->length_bytes <= at)
				continue;
			empty |= e->offset_bytes > at || e->kind == MAP_ZERO;
			made |= e->kind == MAP_LITERAL;
			at = e->offset_bytes + e->length_bytes;
		}
		empty |= at < stop;
	}
	if (made)
		add_place(a, bad, "what the migration itself writes");
	if (empty)
		add_place(a, bad, "zeros where the source uses nothing");
}

static void tell(const struct map_disk *disk, const struct verify_bad *bad)
{
	log_warn("disk %s: the copy at byte %" PRIu64 ": %s, %" PRIu64 " bytes in %zu places",
		 disk->name, bad->differs.list[0].offset_bytes, verify_fault_name(bad->fault),
		 bad->differs.total_bytes, bad->differs.count);
	for (size_t i = 0; bad->places && bad->places[i]; i++)
		log_warn("disk %s: it holds %s", disk->name, bad->places[i]);
}

void verify_locate(const struct verify_options *o, struct verify_result *result)
{
	const struct map *map = o->copy->map;
	struct arena *a = result->arena;
	struct questions q = {0};
	struct disk_places places = {0};
	struct disk_range *ranges;

	for (size_t i = 0; o->layout && i < result->disk_count; i++)
		for (size_t k = 0; k < result->disks[i].bad_count; k++)
			ask_for(a, &map->disks[i], &result->disks[i].bad[k], &q);
	if (q.count) {
		qsort(q.list, q.count, sizeof(*q.list), by_range);
		ranges = arena_alloc(a, q.count * sizeof(*ranges));
		for (size_t i = 0; i < q.count; i++)
			ranges[i] = q.list[i].range;
		if (disk_locate(a, o->layout, ranges, q.count, &places) == 0)
			take_places(a, &q, &places);
	}
	for (size_t i = 0; i < result->disk_count; i++) {
		for (size_t k = 0; k < result->disks[i].bad_count; k++) {
			add_own_places(a, &map->disks[i], &result->disks[i].bad[k]);
			tell(&map->disks[i], &result->disks[i].bad[k]);
		}
	}
}
