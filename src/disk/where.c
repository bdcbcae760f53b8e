/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a byte of a disk belongs to: the region, then what its file system says. See disk.h. */
#include "disk/where.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/num.h"

const char *disk_place_kind_name(enum disk_place_kind kind)
{
	static const char *const names[] = {
		[DISK_PLACE_UNKNOWN] = "unknown",
		[DISK_PLACE_UNUSED] = "unused",
		[DISK_PLACE_FILE] = "file",
		[DISK_PLACE_METADATA] = "metadata",
	};

	return names[kind];
}

/* ---- for the readers ---- */

void where_blocks(struct where_request *w, unsigned block_bytes, size_t max)
{
	size_t count = 0;

	w->block_bytes = block_bytes;
	w->blocks = NULL;
	for (size_t i = 0; i < w->range_count; i++) {
		const struct disk_range *r = &w->ranges[i];
		uint64_t first = r->offset_bytes / block_bytes;
		uint64_t end = div_up(r->offset_bytes + r->length_bytes, block_bytes);

		if (count && w->blocks[count - 1].block >= first)
			first = w->blocks[count - 1].block + 1;
		for (uint64_t block = first; block < end && count < max; block++)
			arena_push(w->arena, &w->blocks, &count)->block = block;
	}
	w->block_count = count;
}

static int by_block(const void *key, const void *element)
{
	uint64_t block = *(const uint64_t *)key;
	const struct where_block *b = element;

	return (block > b->block) - (block < b->block);
}

struct where_block *where_find(const struct where_request *w, uint64_t block)
{
	if (!w->block_count)
		return NULL;
	return bsearch(&block, w->blocks, w->block_count, sizeof(*w->blocks), by_block);
}

/* The length of the UTF-8 sequence at p, 0 when it is none (Unicode 15, table 3-7). */
static size_t utf8_bytes(const unsigned char *p)
{
	size_t n = *p < 0x80   ? 1
		   : *p < 0xc2 ? 0
		   : *p < 0xe0 ? 2
		   : *p < 0xf0 ? 3
		   : *p < 0xf5 ? 4
			       : 0;

	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) ||
	    (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

const char *where_printable(struct arena *a, const char *name)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *p = (const unsigned char *)name;
	char *out = arena_alloc(a, 4 * strlen(name) + 1), *at = out;

	while (*p) {
		size_t n = *p < 0x20 || *p == 0x7f ? 0 : utf8_bytes(p);

		if (n) {
			memcpy(at, p, n);
			at += n;
			p += n;
			continue;
		}
		*at++ = '\\';
		*at++ = 'x';
		*at++ = digits[*p >> 4];
		*at++ = digits[*p++ & 15];
	}
	return out;
}

void where_name(struct where_request *w, uint64_t inode, const char *name)
{
	const char **names = NULL;

	for (size_t i = 0; i < w->block_count; i++) {
		struct where_block *b = &w->blocks[i];
		size_t n = 0;

		if (b->inode != inode)
			continue;
		/* One list for all blocks of the inode; a longer one takes its place. */
		if (!names) {
			while (b->names && b->names[n])
				n++;
			names = arena_alloc(w->arena, (n + 2) * sizeof(*names));
			if (n)
				memcpy(names, b->names, n * sizeof(*names));
			names[n] = where_printable(w->arena, name);
		}
		b->names = names;
	}
}

/* ---- one region ---- */

static void answer_all(struct where_request *w, enum disk_place_kind kind, const char *what)
{
	/* One block a byte range is enough, as they all have one answer. */
	where_blocks(w, 1u << 30, w->range_count + 1024);
	for (size_t i = 0; i < w->block_count; i++) {
		w->blocks[i].kind = kind;
		w->blocks[i].what = what;
	}
}

static void ask(struct where_request *w, const struct disk_region *r)
{
	int rc = 0;

	switch (r->content) {
	case DISK_CONTENT_EXT:
		rc = where_ext(w);
		break;
	case DISK_CONTENT_XFS:
		rc = where_xfs(w);
		break;
	case DISK_CONTENT_SWAP:
		answer_all(w, DISK_PLACE_METADATA, "swap space");
		break;
	default:
		answer_all(w, DISK_PLACE_UNKNOWN,
			   arena_printf(w->arena, "%s content", disk_content_name(r->content)));
	}
	if (rc < 0) {
		log_warn("what stands at bad places of %s is not known: %s", r->name, err_reason());
		answer_all(w, DISK_PLACE_UNKNOWN, "a file system that cannot be looked into");
	}
}

/* ---- disks ---- */

/* A part of a question that lies in one region. */
struct part {
	struct disk_range range;	  /* on the disk */
	const struct disk_region *region; /* NULL: none */
	uint64_t region_offset_bytes;
};

struct parts {
	struct part *list;
	size_t count;
};

static const struct disk_region_piece *piece_at(const struct disk_region *r, unsigned disk,
						uint64_t offset_bytes, uint64_t *end)
{
	for (size_t i = 0; i < r->piece_count; i++) {
		const struct disk_region_piece *p = &r->pieces[i];

		if (p->disk != disk)
			continue;
		if (offset_bytes >= p->disk_offset_bytes &&
		    offset_bytes - p->disk_offset_bytes < p->length_bytes) {
			*end = min_of(*end, p->disk_offset_bytes + p->length_bytes);
			return p;
		}
		if (p->disk_offset_bytes > offset_bytes)
			*end = min_of(*end, p->disk_offset_bytes);
	}
	return NULL;
}

/* Cut a question at the edges of regions. */
static void cut(struct arena *a, const struct disk_layout *l, const struct disk_range *q,
		struct parts *out)
{
	uint64_t at = q->offset_bytes, stop = q->offset_bytes + q->length_bytes;

	while (at < stop) {
		const struct disk_region *best = NULL;
		uint64_t end = stop, region_offset = 0;

		for (size_t i = 0; i < l->count; i++) {
			const struct disk_region_piece *p =
				piece_at(&l->list[i], q->disk, at, &end);

			if (!p || (best && (best->path || !l->list[i].path)))
				continue;
			best = &l->list[i];
			region_offset = p->region_offset_bytes + (at - p->disk_offset_bytes);
		}
		*arena_push(a, &out->list, &out->count) =
			(struct part){.range = {q->disk, at, end - at},
				      .region = best,
				      .region_offset_bytes = region_offset};
		at = end;
	}
}

static bool same(const struct where_block *a, const struct where_block *b)
{
	return a->kind == b->kind && a->inode == b->inode &&
	       (a->what == b->what || (a->what && b->what && strcmp(a->what, b->what) == 0));
}

/* The answers for one part, blocks with the same answer together. */
static void add_answers(struct arena *a, const struct where_request *w, const struct part *part,
			struct disk_places *out)
{
	static const struct where_block none = {.what = "one of too many bad places"};
	uint64_t at = part->region_offset_bytes, stop = at + part->range.length_bytes;
	const struct where_block *last = NULL;

	while (at < stop) {
		uint64_t block = at / w->block_bytes;
		uint64_t end = min_of(stop, (block + 1) * w->block_bytes);
		const struct where_block *b = where_find(w, block);
		uint64_t disk_offset = part->range.offset_bytes + (at - part->region_offset_bytes);

		b = b ? b : &none;
		if (last && same(last, b)) {
			out->list[out->count - 1].length_bytes += end - at;
		} else {
			*arena_push(a, &out->list, &out->count) =
				(struct disk_place){.disk = part->range.disk,
						    .offset_bytes = disk_offset,
						    .length_bytes = end - at,
						    .region = part->region->name,
						    .kind = b->kind,
						    .what = b->what ? b->what : "in no file",
						    .inode = b->inode,
						    .names = b->names};
			last = b;
		}
		at = end;
	}
}

static int by_region_offset(const void *left, const void *right)
{
	const struct disk_range *a = left, *b = right;

	return (a->offset_bytes > b->offset_bytes) - (a->offset_bytes < b->offset_bytes);
}

/* All questions about one region at once. */
static void ask_region(struct arena *a, const struct disk_region *r, const struct parts *parts,
		       struct where_request *w)
{
	struct disk_range *ranges = arena_alloc(a, parts->count * sizeof(*ranges));

	*w = (struct where_request){.arena = a,
				    .path = r->path,
				    .offset_bytes = r->path_offset_bytes,
				    .length_bytes = r->length_bytes,
				    .ranges = ranges};
	for (size_t i = 0; i < parts->count; i++)
		if (parts->list[i].region == r)
			ranges[w->range_count++] =
				(struct disk_range){0, parts->list[i].region_offset_bytes,
						    parts->list[i].range.length_bytes};
	if (!w->range_count)
		return;
	qsort(ranges, w->range_count, sizeof(*ranges), by_region_offset);
	if (r->path)
		ask(w, r);
	else
		answer_all(w, DISK_PLACE_METADATA, r->name);
}

int disk_locate(struct arena *a, const struct disk_layout *layout, const struct disk_range *ranges,
		size_t count, struct disk_places *out)
{
	struct parts parts = {0};
	struct where_request *answers = arena_alloc(a, layout->count * sizeof(*answers) + 1);

	*out = (struct disk_places){0};
	for (size_t i = 0; i < count; i++)
		cut(a, layout, &ranges[i], &parts);
	for (size_t i = 0; i < layout->count; i++)
		ask_region(a, &layout->list[i], &parts, &answers[i]);
	for (size_t i = 0; i < parts.count; i++) {
		const struct part *p = &parts.list[i];

		if (p->region)
			add_answers(a, &answers[p->region - layout->list], p, out);
		else
			*arena_push(a, &out->list, &out->count) =
				(struct disk_place){.disk = p->range.disk,
						    .offset_bytes = p->range.offset_bytes,
						    .length_bytes = p->range.length_bytes,
						    .kind = DISK_PLACE_UNUSED,
						    .what = "outside of all partitions"};
	}
	return 0;
}

const char *disk_place_text(struct arena *a, const struct disk_place *p)
{
	const char *region = p->region ? p->region : "";
	bool is_region = p->region && strcmp(p->region, p->what) == 0;
	const char *text =
		is_region ? p->what
			  : arena_printf(a, "%s%s%s", region, *region ? ": " : "", p->what);

	if (p->inode && !(p->names && p->names[0]))
		return arena_printf(a, "%s, inode %" PRIu64, text, p->inode);
	for (size_t i = 0; p->names && p->names[i]; i++)
		text = arena_printf(a, "%s%s %s", text, i ? "," : "", p->names[i]);
	return p->inode ? arena_printf(a, "%s (inode %" PRIu64 ")", text, p->inode) : text;
}
