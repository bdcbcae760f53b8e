/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The map that the copy engine executes: {target disk, offset, length} <- {source + offset |
 * literal bytes | zero}. Ways to lay out a target differ only in how they make a map; the engine is
 * one. What no entry covers is left out of the copy and stands as zero on the target. The map lives
 * in one arena; after map_finish() it is read-only and any thread may read it.
 */
#ifndef MAP_MAP_H
#define MAP_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

#define MAP_DISKS_MAX 32

enum map_kind { MAP_SOURCE, MAP_LITERAL, MAP_ZERO };

struct map_entry {
	uint64_t offset_bytes; /* on the target disk */
	uint64_t length_bytes;
	enum map_kind kind;
	unsigned source;	      /* MAP_SOURCE: index into map.sources */
	uint64_t source_offset_bytes; /* MAP_SOURCE */
	const uint8_t *literal;	      /* MAP_LITERAL: length_bytes of it */
};

struct map_source {
	const char *
		path; /* device or file that is read: a view, never a thing that could be written */
	const char *name; /* the source disk's own name, for messages: "sda" */
	uint64_t size_bytes;
};

struct map_disk {
	unsigned index;		   /* export disk<index> on the receiver */
	uint64_t size_bytes;	   /* of the target */
	const char *name;	   /* of the source disk that it continues, for people: "sda" */
	struct map_entry *entries; /* sorted by offset, no overlap, after map_finish() */
	size_t count;
	uint64_t source_bytes; /* sum of MAP_SOURCE and MAP_LITERAL lengths, after map_finish() */
};

struct map {
	struct arena *arena;
	const char *plan_digest; /* hex, the plan that this map carries out */
	struct map_source *sources;
	size_t source_count;
	struct map_disk *disks;
	size_t disk_count;
};

/* The map and all it holds is in the arena a. */
struct map *map_new(struct arena *a, const char *plan_digest);

/* Each returns its index. */
unsigned map_add_source(struct map *m, const char *path, const char *name, uint64_t size_bytes);
unsigned map_add_disk(struct map *m, const char *name, uint64_t size_bytes);

/* In any order; checked by map_finish(). Literal bytes are copied. Length 0 adds nothing. */
void map_add_range(struct map *m, unsigned disk, uint64_t offset_bytes, uint64_t length_bytes,
		   unsigned source, uint64_t source_offset_bytes);
void map_add_literal(struct map *m, unsigned disk, uint64_t offset_bytes, const void *data,
		     uint64_t length_bytes);
void map_add_zero(struct map *m, unsigned disk, uint64_t offset_bytes, uint64_t length_bytes);

/*
 * Sort, join what is adjacent, and check: inside source and target, a LITERAL or ZERO wins over a
 * SOURCE range below it (the range is cut), any other overlap is -EINVAL.
 */
int map_finish(struct map *m);

/* Text file, one entry a line, with a checksum at its end; see docs/copy.md. -EINVAL when
 * foreign or cut. */
int map_write(const struct map *m, const char *path);
int map_read(struct arena *a, const char *path, struct map **out);

#endif
