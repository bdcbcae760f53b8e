/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Each disk cut into parts that cover it without a gap: table, boot code, partitions, nothing. */
#include "plan/private.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/num.h"

/* Boot loaders put their second stage between the table and the first partition. */
#define BOOT_GAP_MAX_BYTES (16 * MIB)

static const char *const kind_names[] = {
	[PLAN_PART_TABLE] = "table",	 [PLAN_PART_BOOT] = "boot", [PLAN_PART_GAP] = "gap",
	[PLAN_PART_CONTENT] = "content", [PLAN_PART_LVM] = "lvm",
};

json_t *plan_extents_json(const struct disk_extents *e)
{
	json_t *list = json_array();

	for (size_t i = 0; i < e->count; i++)
		json_array_append_new(list, json_pack("[o, o]", json_u64(e->list[i].offset_bytes),
						      json_u64(e->list[i].length_bytes)));
	return list;
}

static int by_offset(const void *a, const void *b)
{
	const struct disk_extent *x = a, *y = b;

	return (x->offset_bytes > y->offset_bytes) - (x->offset_bytes < y->offset_bytes);
}

void plan_extents_tidy(struct arena *a, struct disk_extents *e)
{
	struct disk_extents raw = *e;
	uint64_t end = 0;

	*e = (struct disk_extents){0};
	if (raw.count)
		qsort(raw.list, raw.count, sizeof(*raw.list), by_offset);
	for (size_t i = 0; i < raw.count; i++) {
		uint64_t start = max_of(raw.list[i].offset_bytes, end);
		uint64_t stop = raw.list[i].offset_bytes + raw.list[i].length_bytes;

		if (stop > start)
			disk_extents_add(a, e, start, stop - start);
		end = max_of(end, stop);
	}
}

/* The disk while it is cut: everything before at_bytes is told. */
struct cutter {
	struct planner *planner;
	const struct source_disk *disk;
	json_t *parts;
	uint64_t at_bytes;
	bool seen_partition;
	bool move_backup;
};

static json_t *part_json(enum plan_part_kind kind, const char *name, uint64_t offset_bytes,
			 uint64_t length_bytes)
{
	return json_pack("{s:s, s:o, s:o, s:o}", "kind", kind_names[kind], "name", json_str(name),
			 "offset_bytes", json_u64(offset_bytes), "length_bytes",
			 json_u64(length_bytes));
}

static void add_plain(struct cutter *c, enum plan_part_kind kind, uint64_t end_bytes)
{
	uint64_t start = c->at_bytes, length = end_bytes - start;
	struct disk_extents keep = {0};
	json_t *j;

	if (end_bytes <= start)
		return;
	j = part_json(kind, NULL, start, length);
	if (kind == PLAN_PART_TABLE) {
		disk_extents_add(c->planner->arena, &keep, start, length);
		json_object_set_new(j, "keep", plan_extents_json(&keep));
	}
	json_array_append_new(c->parts, j);
	c->at_bytes = end_bytes;
}

/* From here to where the next thing begins: boot code before the first partition, else nothing. */
static void fill(struct cutter *c, uint64_t to_bytes)
{
	if (!c->seen_partition && c->at_bytes < BOOT_GAP_MAX_BYTES)
		add_plain(c, PLAN_PART_BOOT, min_of(to_bytes, BOOT_GAP_MAX_BYTES));
	add_plain(c, PLAN_PART_GAP, to_bytes);
}

static void add_content(struct cutter *c, const struct source_part *p)
{
	json_t *keep = NULL, *j;
	enum plan_part_kind kind = PLAN_PART_CONTENT;

	if (p->content.kind == DISK_CONTENT_LVM)
		keep = plan_lvm_keep(c->planner, c->disk, p);
	if (keep)
		kind = PLAN_PART_LVM;
	j = part_json(kind, p->name, p->offset_bytes, p->length_bytes);
	json_object_set_new(j, "content", json_string(disk_content_name(p->content.kind)));
	json_object_set_new(j, "fs_type", json_str(p->content.type));
	json_object_set_new(j, "fs_uuid", json_str(p->content.uuid));
	json_object_set_new(j, "used_bytes", json_u64(p->content.used_bytes));
	if (keep)
		json_object_set_new(j, "keep", keep);
	json_array_append_new(c->parts, j);
	c->at_bytes = p->offset_bytes + p->length_bytes;
	c->seen_partition = true;
}

/*
 * The table's own ranges before a place. When a GPT is written anew for the target, its old backup
 * is not copied: it would stand in the middle of the new disk and be wrong.
 */
static void add_table_until(struct cutter *c, size_t *next, uint64_t to_bytes)
{
	const struct disk_extents *meta = &c->disk->meta;

	for (; *next < meta->count && meta->list[*next].offset_bytes < to_bytes; ++*next) {
		const struct disk_extent *m = &meta->list[*next];
		bool stale = c->move_backup && m->offset_bytes > c->disk->size_bytes / 2;

		fill(c, m->offset_bytes);
		add_plain(c, stale ? PLAN_PART_GAP : PLAN_PART_TABLE,
			  m->offset_bytes + m->length_bytes);
	}
}

static bool wants_new_gpt(const struct source_disk *d)
{
	uint64_t last_lba = d->size_bytes / d->sector_bytes - 1;

	return d->table_kind && !strcmp(d->table_kind, "gpt") &&
	       (d->target_bytes != d->size_bytes || d->primary_bad || d->backup_lba != last_lba);
}

static json_t *disk_json(struct planner *p, const struct source_disk *d)
{
	struct cutter c = {
		.planner = p, .disk = d, .parts = json_array(), .move_backup = wants_new_gpt(d)};
	size_t next = 0;

	for (size_t i = 0; i < d->part_count; i++) {
		const struct source_part *part = &d->parts[i];

		if (part->extended || !part->length_bytes)
			continue;
		add_table_until(&c, &next, part->offset_bytes);
		fill(&c, part->offset_bytes);
		add_content(&c, part);
	}
	add_table_until(&c, &next, d->size_bytes);
	/* A table without partitions: what stands right behind it may be boot code all the same. */
	fill(&c, d->size_bytes);
	return json_pack("{s:i, s:s, s:s, s:o, s:o, s:i, s:b, s:o}", "index", (int)d->index,
			 "source", d->name, "serial", d->serial, "source_bytes",
			 json_u64(d->size_bytes), "target_bytes", json_u64(d->target_bytes),
			 "sector_bytes", (int)d->sector_bytes, "gpt_move_backup", c.move_backup,
			 "parts", c.parts);
}

json_t *plan_disks_json(struct planner *p)
{
	json_t *list = json_array();

	for (size_t i = 0; i < p->order_count; i++)
		json_array_append_new(list, disk_json(p, p->order[i]));
	return list;
}
