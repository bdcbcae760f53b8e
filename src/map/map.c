/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Building a map: collect ranges in any order, then sort, cut, join and check them once. See map.h.
 */
#include "map/map.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "map/private.h"

struct map *map_new(struct arena *a, const char *plan_digest)
{
	struct map *m = arena_alloc(a, sizeof(*m));

	m->arena = a;
	m->plan_digest = arena_strdup(a, plan_digest ? plan_digest : "");
	return m;
}

unsigned map_add_source(struct map *m, const char *path, const char *name, uint64_t size_bytes)
{
	*arena_push(m->arena, &m->sources, &m->source_count) =
		(struct map_source){.path = arena_strdup(m->arena, path),
				    .name = arena_strdup(m->arena, name),
				    .size_bytes = size_bytes};
	return (unsigned)m->source_count - 1;
}

unsigned map_add_disk(struct map *m, const char *name, uint64_t size_bytes)
{
	struct map_disk *disk = arena_push(m->arena, &m->disks, &m->disk_count);

	disk->index = (unsigned)m->disk_count - 1;
	disk->name = arena_strdup(m->arena, name);
	disk->size_bytes = size_bytes;
	return disk->index;
}

static void add(struct map *m, unsigned disk, const struct map_entry *entry)
{
	struct map_disk *d = &m->disks[disk];

	if (entry->length_bytes)
		*arena_push(m->arena, &d->entries, &d->count) = *entry;
}

void map_add_range(struct map *m, unsigned disk, uint64_t offset_bytes, uint64_t length_bytes,
		   unsigned source, uint64_t source_offset_bytes)
{
	add(m, disk,
	    &(struct map_entry){.offset_bytes = offset_bytes,
				.length_bytes = length_bytes,
				.kind = MAP_SOURCE,
				.source = source,
				.source_offset_bytes = source_offset_bytes});
}

void map_add_literal(struct map *m, unsigned disk, uint64_t offset_bytes, const void *data,
		     uint64_t length_bytes)
{
	/* In pieces, so that a line of the map's text form has a bound. */
	for (uint64_t done = 0; done < length_bytes;) {
		uint64_t n = min_of(length_bytes - done, MAP_LITERAL_MAX_BYTES);
		uint8_t *copy = arena_alloc(m->arena, n);

		memcpy(copy, (const uint8_t *)data + done, n);
		add(m, disk,
		    &(struct map_entry){.offset_bytes = offset_bytes + done,
					.length_bytes = n,
					.kind = MAP_LITERAL,
					.literal = copy});
		done += n;
	}
}

void map_add_zero(struct map *m, unsigned disk, uint64_t offset_bytes, uint64_t length_bytes)
{
	add(m, disk,
	    &(struct map_entry){
		    .offset_bytes = offset_bytes, .length_bytes = length_bytes, .kind = MAP_ZERO});
}

/* ---- map_finish() ---- */

static uint64_t end_of(const struct map_entry *e)
{
	return e->offset_bytes + e->length_bytes;
}

static int check_entry(const struct map *m, const struct map_disk *disk, const struct map_entry *e)
{
	if (!range_ok(e->offset_bytes, e->length_bytes, disk->size_bytes))
		return fail_code(EINVAL, "MAP_INVALID",
				 "map of disk %s: %" PRIu64 " bytes at %" PRIu64
				 " lie outside the target of %" PRIu64 " bytes",
				 disk->name, e->length_bytes, e->offset_bytes, disk->size_bytes);
	if (e->kind != MAP_SOURCE)
		return 0;
	if (e->source >= m->source_count)
		return fail_code(EINVAL, "MAP_INVALID", "map of disk %s: there is no source %u",
				 disk->name, e->source);
	if (!range_ok(e->source_offset_bytes, e->length_bytes, m->sources[e->source].size_bytes))
		return fail_code(EINVAL, "MAP_INVALID",
				 "map of disk %s: %" PRIu64 " bytes at %" PRIu64
				 " lie outside source %s",
				 disk->name, e->length_bytes, e->source_offset_bytes,
				 m->sources[e->source].name);
	return 0;
}

/* SOURCE entries first, then LITERAL and ZERO; each class by offset. */
static int compare_entries(const void *left, const void *right)
{
	const struct map_entry *a = left, *b = right;
	int class_a = a->kind != MAP_SOURCE, class_b = b->kind != MAP_SOURCE;

	if (class_a != class_b)
		return class_a - class_b;
	return (a->offset_bytes > b->offset_bytes) - (a->offset_bytes < b->offset_bytes);
}

/* Sort, and check that no class overlaps itself. Returns the number of SOURCE entries. */
static int sort_entries(const struct map *m, struct map_disk *disk, size_t *ranges)
{
	*ranges = 0;
	qsort(disk->entries, disk->count, sizeof(*disk->entries), compare_entries);
	for (size_t i = 0; i < disk->count; i++) {
		const struct map_entry *e = &disk->entries[i];
		int rc = check_entry(m, disk, e);

		if (rc < 0)
			return rc;
		if (e->kind == MAP_SOURCE)
			*ranges = i + 1;
		if (i == 0 || (e->kind == MAP_SOURCE) != (e[-1].kind == MAP_SOURCE))
			continue;
		if (end_of(&e[-1]) > e->offset_bytes)
			return fail_code(EINVAL, "MAP_INVALID",
					 "map of disk %s: two entries overlap at byte %" PRIu64,
					 disk->name, e->offset_bytes);
	}
	return 0;
}

static bool continues(const struct map_entry *last, const struct map_entry *next)
{
	if (last->kind != next->kind || end_of(last) != next->offset_bytes)
		return false;
	if (next->kind == MAP_SOURCE)
		return last->source == next->source &&
		       last->source_offset_bytes + last->length_bytes == next->source_offset_bytes;
	return next->kind == MAP_ZERO;
}

/* Room for it was made by map_finish(). */
static void emit(struct map_disk *disk, const struct map_entry *e)
{
	struct map_entry *last = disk->count ? &disk->entries[disk->count - 1] : NULL;

	if (e->kind != MAP_ZERO)
		disk->source_bytes += e->length_bytes;
	if (last && continues(last, e))
		last->length_bytes += e->length_bytes;
	else
		disk->entries[disk->count++] = *e;
}

/* The part of a SOURCE entry that lies in [from, to). */
static struct map_entry slice(const struct map_entry *e, uint64_t from, uint64_t to)
{
	struct map_entry part = *e;

	part.offset_bytes = from;
	part.length_bytes = to - from;
	part.source_offset_bytes += from - e->offset_bytes;
	return part;
}

/* Merge both classes; what lies under a LITERAL or ZERO is cut out of the SOURCE ranges. */
static void merge(struct map_disk *disk, const struct map_entry *low, size_t low_count,
		  const struct map_entry *high, size_t high_count)
{
	uint64_t done = 0; /* all below it is emitted */
	size_t i = 0, j = 0;

	while (i < low_count || j < high_count) {
		uint64_t from, to;

		if (i == low_count ||
		    (j < high_count && high[j].offset_bytes <= max_of(done, low[i].offset_bytes))) {
			emit(disk, &high[j]);
			done = end_of(&high[j++]);
			continue;
		}
		from = max_of(done, low[i].offset_bytes);
		to = end_of(&low[i]);
		if (j < high_count)
			to = min_of(to, high[j].offset_bytes);
		if (from < to) {
			struct map_entry part = slice(&low[i], from, to);

			emit(disk, &part);
			done = to;
		}
		if (done >= end_of(&low[i]))
			i++;
	}
}

int map_finish(struct map *m)
{
	if (m->disk_count > MAP_DISKS_MAX)
		return fail_code(EINVAL, "MAP_INVALID", "the map has %zu disks, the limit is %d",
				 m->disk_count, MAP_DISKS_MAX);
	for (size_t i = 0; i < m->disk_count; i++) {
		struct map_disk *disk = &m->disks[i];
		const struct map_entry *raw = disk->entries;
		size_t raw_count = disk->count, ranges;
		int rc;

		disk->source_bytes = 0;
		/* An empty list has no address to sort or merge at. */
		if (raw_count == 0)
			continue;
		rc = sort_entries(m, disk, &ranges);
		if (rc < 0)
			return rc;
		/* Each LITERAL or ZERO cuts a SOURCE range at most once more than it counts itself.
		 */
		disk->entries = arena_alloc(m->arena, (2 * raw_count - ranges) * sizeof(*raw));
		disk->count = 0;
		merge(disk, raw, ranges, raw + ranges, raw_count - ranges);
	}
	return 0;
}
