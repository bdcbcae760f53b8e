/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Logical volumes. A plain one becomes a volume of the plan, copied by what it holds; of every
 * other one (snapshots and their origins, mirrors, RAID, thin pools, caches) all extents are kept
 * where they are, which needs no knowledge of how LVM uses them.
 */
#include "plan/private.h"

#include <limits.h>
#include <string.h>

#include "base/json.h"
#include "base/num.h"

/* A volume in more pieces (finely striped) is kept by its extents: the plan stays readable. */
#define PIECES_MAX 4096

static uint64_t piece_count(const struct source_lv *lv)
{
	uint64_t n = 0;

	for (size_t i = 0; i < lv->segment_count; i++) {
		const struct source_segment *s = &lv->segments[i];

		n += s->stripe_count == 1 ? 1 : s->length_bytes / max_of(s->stripe_bytes, 1u) + 1;
	}
	return n;
}

/* The place of a stretch of a stripe on its disk; false when that disk is not in the plan. */
static bool locate(struct planner *p, const struct source_stripe *stripe, uint64_t skip_bytes,
		   uint64_t length_bytes, const struct source_disk **disk, uint64_t *offset_bytes)
{
	const struct source_pv *pv = plan_find_pv(&p->source, stripe->pv_uuid);
	uint64_t at;

	if (!pv || pv->disk->index == UINT_MAX ||
	    !add_ok(stripe->pv_offset_bytes, skip_bytes, &at) ||
	    !range_ok(at, length_bytes, pv->part->length_bytes))
		return false;
	*disk = pv->disk;
	*offset_bytes = pv->part->offset_bytes + at;
	return true;
}

/* The length that a segment takes on each of its stripes. */
static uint64_t stripe_part_bytes(const struct source_segment *s)
{
	return strcmp(s->type, "striped") ? s->length_bytes : s->length_bytes / s->stripe_count;
}

static bool is_complete(struct planner *p, const struct source_lv *lv)
{
	const struct source_disk *disk;
	uint64_t at;

	for (size_t i = 0; i < lv->segment_count; i++) {
		const struct source_segment *s = &lv->segments[i];

		if (!s->stripe_count)
			return false;
		for (size_t k = 0; k < s->stripe_count; k++)
			if (!locate(p, &s->stripes[k], 0, stripe_part_bytes(s), &disk, &at))
				return false;
	}
	return true;
}

static void check_group(struct planner *p, const struct source_vg *vg)
{
	bool here = false, out = false;
	const char *excluded = "";

	for (size_t i = 0; i < vg->pv_count; i++) {
		const struct source_pv *pv = plan_find_pv(&p->source, vg->pvs[i].uuid);

		if (!pv) {
			plan_note(p, "LVM_PV_MISSING", vg->name, "physical volume %s is not here",
				  vg->pvs[i].uuid);
			continue;
		}
		here |= !pv->disk->excluded;
		out |= pv->disk->excluded;
		if (pv->disk->excluded)
			excluded = pv->disk->name;
	}
	if (here && out)
		plan_note(p, "DISK_EXCLUDED_IN_USE", excluded,
			  "volume group %s has other disks too", vg->name);
}

void plan_lvm_decide(struct planner *p)
{
	for (size_t i = 0; i < p->source.vg_count; i++) {
		struct source_vg *vg = &p->source.vgs[i];

		check_group(p, vg);
		for (size_t k = 0; k < i; k++)
			if (!strcmp(p->source.vgs[k].name, vg->name))
				plan_note(p, "LVM_NAME_TWICE", vg->name,
					  "two volume groups have this name");
		for (size_t k = 0; k < vg->lv_count; k++) {
			struct source_lv *lv = &vg->lvs[k];
			const char *name = arena_printf(p->arena, "%s/%s", vg->name, lv->name);

			if (!lv->visible || !lv->segment_count)
				continue;
			lv->as_volume =
				lv->plain && piece_count(lv) <= PIECES_MAX && is_complete(p, lv);
			if (lv->as_volume)
				continue;
			if (strcmp(lv->segments[0].type, "striped"))
				plan_note(p, "LVM_COPIED_WHOLE", name, "it is of type %s",
					  lv->segments[0].type);
			else
				plan_note(p, "LVM_COPIED_WHOLE", name,
					  "other volumes are built on it, parts of it are missing, "
					  "or it is in very many pieces");
		}
	}
}

static void add_pieces(struct planner *p, const struct source_segment *s, json_t *list)
{
	uint64_t step = s->stripe_count == 1 ? s->length_bytes : s->stripe_bytes;

	for (uint64_t at = 0, n = 0; at < s->length_bytes; at += step, n++) {
		const struct source_disk *disk = NULL;
		uint64_t offset = 0, length = min_of(step, s->length_bytes - at);

		if (locate(p, &s->stripes[n % s->stripe_count], n / s->stripe_count * step, length,
			   &disk, &offset))
			json_array_append_new(
				list, json_pack("{s:o, s:o, s:i, s:o}", "volume_offset_bytes",
						json_u64(s->lv_offset_bytes + at), "length_bytes",
						json_u64(length), "disk", (int)disk->index,
						"disk_offset_bytes", json_u64(offset)));
	}
}

static json_t *volume_json(struct planner *p, const struct source_vg *vg,
			   const struct source_lv *lv)
{
	json_t *segments = json_array();

	for (size_t i = 0; i < lv->segment_count; i++)
		add_pieces(p, &lv->segments[i], segments);
	return json_pack("{s:s, s:s, s:o, s:s, s:o, s:o, s:o, s:o}", "vg", vg->name, "lv", lv->name,
			 "size_bytes", json_u64(lv->size_bytes), "content",
			 disk_content_name(lv->content.kind), "fs_type", json_str(lv->content.type),
			 "fs_uuid", json_str(lv->content.uuid), "used_bytes",
			 json_u64(lv->content.used_bytes), "segments", segments);
}

json_t *plan_volumes_json(struct planner *p)
{
	json_t *list = json_array();

	for (size_t i = 0; i < p->source.vg_count; i++)
		for (size_t k = 0; k < p->source.vgs[i].lv_count; k++)
			if (p->source.vgs[i].lvs[k].as_volume)
				json_array_append_new(list, volume_json(p, &p->source.vgs[i],
									&p->source.vgs[i].lvs[k]));
	return list;
}

/* The extents of one LV that lie on this PV. */
static void keep_lv(struct planner *p, const struct source_lv *lv, const struct source_pv *pv,
		    struct disk_extents *keep)
{
	for (size_t i = 0; i < lv->segment_count; i++) {
		const struct source_segment *s = &lv->segments[i];

		for (size_t k = 0; k < s->stripe_count; k++) {
			uint64_t at = s->stripes[k].pv_offset_bytes, length;

			if (strcmp(s->stripes[k].pv_uuid, pv->uuid) || at >= pv->part->length_bytes)
				continue;
			length = min_of(stripe_part_bytes(s), pv->part->length_bytes - at);
			*arena_push(p->arena, &keep->list, &keep->count) =
				(struct disk_extent){.offset_bytes = pv->part->offset_bytes + at,
						     .length_bytes = length};
		}
	}
}

json_t *plan_lvm_keep(struct planner *p, const struct source_disk *d,
		      const struct source_part *part)
{
	const struct source_pv *pv = NULL;
	struct disk_extents keep = {0};

	for (size_t i = 0; i < p->source.pv_count; i++)
		if (p->source.pvs[i].part == part && p->source.pvs[i].disk == d)
			pv = &p->source.pvs[i];
	/* Damaged metadata, and allowed: all of it is kept. */
	if (!pv)
		return NULL;
	for (size_t i = 0; i < pv->meta.count; i++)
		*arena_push(p->arena, &keep.list, &keep.count) = (struct disk_extent){
			.offset_bytes = part->offset_bytes + pv->meta.list[i].offset_bytes,
			.length_bytes = pv->meta.list[i].length_bytes};
	for (size_t i = 0; i < p->source.vg_count; i++)
		for (size_t k = 0; k < p->source.vgs[i].lv_count; k++)
			if (!p->source.vgs[i].lvs[k].as_volume)
				keep_lv(p, &p->source.vgs[i].lvs[k], pv, &keep);
	plan_extents_tidy(p->arena, &keep);
	return plan_extents_json(&keep);
}
