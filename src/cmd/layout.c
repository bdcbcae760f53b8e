/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What lies where on the disks of a plan, for naming what a byte belongs to; see holes.h. */
#include "cmd/holes.h"

#include "prepare/prepare.h"

static struct disk_region *add_region(struct arena *a, struct disk_layout *l, const char *name,
				      enum disk_content content, uint64_t length_bytes)
{
	struct disk_region *r = arena_push(a, &l->list, &l->count);

	*r = (struct disk_region){.name = name, .content = content, .length_bytes = length_bytes};
	return r;
}

static void add_piece(struct arena *a, struct disk_region *r, unsigned disk,
		      uint64_t disk_offset_bytes, uint64_t region_offset_bytes,
		      uint64_t length_bytes)
{
	*arena_push(a, &r->pieces, &r->piece_count) = (struct disk_region_piece){
		disk, disk_offset_bytes, region_offset_bytes, length_bytes};
}

static void add_part(struct arena *a, struct disk_layout *l, unsigned disk,
		     const struct plan_part *p)
{
	static const char *const words[] = {
		[PLAN_PART_TABLE] = "partition table",
		[PLAN_PART_BOOT] = "boot loader's area",
		[PLAN_PART_LVM] = "LVM metadata, or a volume that is copied whole",
	};
	struct disk_region *r;

	if (p->kind == PLAN_PART_GAP)
		return;
	if (p->kind == PLAN_PART_CONTENT) {
		r = add_region(a, l, p->name, p->content, p->length_bytes);
		r->path = prepare_view_path(a, p->name);
		add_piece(a, r, disk, p->offset_bytes, 0, p->length_bytes);
		return;
	}
	r = add_region(a, l, words[p->kind], DISK_CONTENT_UNKNOWN, p->length_bytes);
	if (p->keep.count == 0)
		add_piece(a, r, disk, p->offset_bytes, 0, p->length_bytes);
	for (size_t i = 0; i < p->keep.count; i++)
		add_piece(a, r, disk, p->keep.list[i].offset_bytes,
			  p->keep.list[i].offset_bytes - p->offset_bytes,
			  p->keep.list[i].length_bytes);
}

int layout_of_plan(struct arena *a, const struct plan *plan, struct disk_layout *out)
{
	*out = (struct disk_layout){0};
	for (size_t i = 0; i < plan->disk_count; i++)
		for (size_t k = 0; k < plan->disks[i].part_count; k++)
			add_part(a, out, (unsigned)i, &plan->disks[i].parts[k]);
	for (size_t i = 0; i < plan->volume_count; i++) {
		const struct plan_volume *v = &plan->volumes[i];
		const char *name = arena_printf(a, "%s/%s", v->vg, v->lv);
		struct disk_region *r = add_region(a, out, name, v->content, v->size_bytes);

		r->path = prepare_volume_view_path(a, v->vg, v->lv);
		for (size_t k = 0; k < v->segment_count; k++)
			add_piece(a, r, v->segments[k].disk, v->segments[k].disk_offset_bytes,
				  v->segments[k].volume_offset_bytes, v->segments[k].length_bytes);
	}
	return 0;
}
