/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making the map for "keep the layout"; see prep_map.h. Partition tables and boot areas are copied
 * as they are, file systems by their used blocks, volumes through their segments, LVM's own
 * metadata as the plan says. What no entry covers is not read.
 */
#include "prepare/prep_map.h"

#include <errno.h>
#include <fcntl.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/num.h"

struct mapper {
	const struct plan *plan;
	const struct views *views;
	struct prep_report *report;
	struct arena *arena;
	struct map *map;
};

/* Target disk, source disk and plan disk have one index, as they are added in the plan's order. */
static void add_range(struct mapper *m, size_t disk, uint64_t offset_bytes, uint64_t length_bytes)
{
	map_add_range(m->map, (unsigned)disk, offset_bytes, length_bytes, (unsigned)disk,
		      offset_bytes);
}

/*
 * The table of a larger target: both GPT copies are made anew, and what is copied of the old table
 * ends before the old backup copy.
 */
static int move_gpt(struct mapper *m, size_t index)
{
	const struct plan_disk *d = &m->plan->disks[index];
	const char *path = view_disk_path(m->arena, d->source);
	CLEANUP_CLOSE int fd = io_open(path, O_RDONLY, 0);
	size_t primary_bytes, backup_bytes;
	const void *primary, *backup;
	struct disk_table table;
	uint64_t backup_at_bytes;
	int rc;

	if (fd < 0)
		return fd;
	rc = disk_table_read(m->arena, fd, d->source, d->source_bytes, d->sector_bytes, &table);
	if (rc == 0)
		rc = disk_gpt_resized(m->arena, fd, d->source, &table, d->target_bytes, &primary,
				      &primary_bytes, &backup, &backup_bytes, &backup_at_bytes);
	if (rc < 0)
		return rc;
	map_add_literal(m->map, (unsigned)index, 0, primary, primary_bytes);
	map_add_literal(m->map, (unsigned)index, backup_at_bytes, backup, backup_bytes);
	report_note(m->report->repaired, d->source,
		    "backup partition table moved to the end of the larger target disk");
	return 0;
}

static int add_table(struct mapper *m, size_t index, const struct plan_part *p)
{
	const struct plan_disk *d = &m->plan->disks[index];

	for (size_t i = 0; i < p->keep.count; i++) {
		const struct disk_extent *e = &p->keep.list[i];

		/* The old backup copy stands in the disk's second half, the rest at its start. */
		if (d->gpt_move_backup && e->offset_bytes > d->source_bytes / 2)
			continue;
		add_range(m, index, e->offset_bytes, e->length_bytes);
	}
	return 0;
}

static int used_of(struct mapper *m, const char *name, uint64_t limit_bytes,
		   struct disk_extents *used)
{
	const struct view *view = views_find(m->views, name);
	int rc;

	if (!view)
		return fail(EINVAL, "no view of %s", name);
	rc = disk_used(m->arena, view->path, view->content, used);
	if (rc < 0)
		return fail_in(rc, "used bytes of %s", name);
	for (size_t i = 0; i < used->count; i++)
		if (!range_ok(used->list[i].offset_bytes, used->list[i].length_bytes, limit_bytes))
			return fail(EINVAL, "used bytes of %s go beyond its end", name);
	return 0;
}

static int add_content(struct mapper *m, size_t index, const struct plan_part *p)
{
	struct disk_extents used;
	int rc = used_of(m, p->name, p->length_bytes, &used);

	for (size_t i = 0; rc == 0 && i < used.count; i++)
		add_range(m, index, p->offset_bytes + used.list[i].offset_bytes,
			  used.list[i].length_bytes);
	return rc;
}

static int add_part(struct mapper *m, size_t index, const struct plan_part *p)
{
	switch (p->kind) {
	case PLAN_PART_TABLE:
		return add_table(m, index, p);
	case PLAN_PART_BOOT:
		add_range(m, index, p->offset_bytes, p->length_bytes);
		return 0;
	case PLAN_PART_GAP:
		return 0;
	case PLAN_PART_CONTENT:
		return add_content(m, index, p);
	case PLAN_PART_LVM:
		for (size_t i = 0; i < p->keep.count; i++)
			add_range(m, index, p->keep.list[i].offset_bytes,
				  p->keep.list[i].length_bytes);
		return 0;
	}
	return fail(EINVAL, "part of an unknown kind on %s", m->plan->disks[index].source);
}

/* The part of a used range that lies in one segment. */
static void add_overlap(struct mapper *m, const struct plan_segment *s, const struct disk_extent *e)
{
	uint64_t start = max_of(s->volume_offset_bytes, e->offset_bytes);
	uint64_t end =
		min_of(s->volume_offset_bytes + s->length_bytes, e->offset_bytes + e->length_bytes);

	if (start < end)
		add_range(m, s->disk, s->disk_offset_bytes + (start - s->volume_offset_bytes),
			  end - start);
}

static int add_volume(struct mapper *m, const struct plan_volume *lv)
{
	const char *name = arena_printf(m->arena, "%s/%s", lv->vg, lv->lv);
	struct disk_extents used;
	size_t first = 0;
	int rc = used_of(m, name, lv->size_bytes, &used);

	/* Both lists are sorted: segments that end before this range are done with. */
	for (size_t i = 0; rc == 0 && i < used.count; i++) {
		const struct disk_extent *e = &used.list[i];

		while (first < lv->segment_count &&
		       lv->segments[first].volume_offset_bytes + lv->segments[first].length_bytes <=
			       e->offset_bytes)
			first++;
		for (size_t j = first; j < lv->segment_count; j++) {
			if (lv->segments[j].volume_offset_bytes >=
			    e->offset_bytes + e->length_bytes)
				break;
			add_overlap(m, &lv->segments[j], e);
		}
	}
	return rc;
}

static int add_disk(struct mapper *m, size_t index)
{
	const struct plan_disk *d = &m->plan->disks[index];
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < d->part_count; i++)
		rc = add_part(m, index, &d->parts[i]);
	if (rc == 0 && d->gpt_move_backup)
		rc = move_gpt(m, index);
	return rc;
}

static json_t *sizes_of(const struct plan *plan, const struct map *map)
{
	json_t *list = json_array();

	for (size_t i = 0; i < map->disk_count; i++)
		json_array_append_new(
			list, json_pack("{s:i, s:o, s:o, s:o, s:o, s:o}", "index", (int)i, "source",
					json_str(plan->disks[i].source), "source_bytes",
					json_u64(plan->disks[i].source_bytes), "target_bytes",
					json_u64(plan->disks[i].target_bytes), "copied_bytes",
					json_u64(map->disks[i].source_bytes), "ranges",
					json_u64(map->disks[i].count)));
	return list;
}

int map_of_plan(const struct plan *plan, const struct views *v, struct prep_report *r,
		struct map **out, json_t **sizes)
{
	struct mapper m = {.plan = plan, .views = v, .report = r, .arena = v->arena};
	int rc = 0;

	m.map = map_new(v->arena, plan->digest);
	for (size_t i = 0; i < plan->disk_count; i++) {
		const struct plan_disk *d = &plan->disks[i];

		map_add_source(m.map, view_disk_path(v->arena, d->source), d->source,
			       d->source_bytes);
		map_add_disk(m.map, d->source, d->target_bytes);
	}
	for (size_t i = 0; rc == 0 && i < plan->disk_count; i++)
		rc = add_disk(&m, i);
	for (size_t i = 0; rc == 0 && i < plan->volume_count; i++)
		rc = add_volume(&m, &plan->volumes[i]);
	if (rc == 0)
		rc = map_finish(m.map);
	if (rc < 0)
		return rc;
	*sizes = sizes_of(plan, m.map);
	*out = m.map;
	return 0;
}
