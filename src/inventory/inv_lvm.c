/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * LVM as its metadata tells, with nothing activated: the newest copy of each group, which device
 * holds which PV, and what the plain volumes hold, read through their segments.
 */
#include "inventory/inv.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/num.h"

/* More than this and a volume's content is not looked at in pieces. */
#define PIECES_MAX 4096

static const struct inv_place *find_pv(const struct inv *inv, const char *uuid)
{
	for (size_t i = 0; i < inv->pv_count; i++)
		if (!strcmp(inv->pvs[i].label.pv_uuid, uuid))
			return &inv->pvs[i];
	return NULL;
}

static const struct disk_lvm_vg *newest(const struct inv *inv, const struct disk_lvm_vg *vg)
{
	for (size_t i = 0; i < inv->pv_count; i++) {
		const struct disk_lvm_vg *other = inv->pvs[i].label.vg;

		if (other && !strcmp(other->uuid, vg->uuid) && other->seqno > vg->seqno)
			vg = other;
	}
	return vg;
}

/* One stretch of a stripe as a piece; false when its PV is not here. */
static bool add_piece(const struct inv *inv, const struct disk_lvm_stripe *stripe,
		      uint64_t skip_bytes, uint64_t length_bytes, struct disk_piece **pieces,
		      size_t *count)
{
	const struct inv_place *pv = find_pv(inv, stripe->pv_uuid);
	struct disk_piece *p;
	uint64_t at;

	if (!pv || *count == PIECES_MAX || !add_ok(stripe->pv_offset_bytes, skip_bytes, &at) ||
	    !range_ok(at, length_bytes, pv->length_bytes))
		return false;
	p = arena_push(inv->arena, pieces, count);
	p->fd = inv->disks[pv->disk].fd;
	p->offset_bytes = pv->offset_bytes + at;
	p->length_bytes = length_bytes;
	return true;
}

/* A plain volume as pieces of disks, stripes taken in turn. False: not all of it can be told. */
static bool volume_pieces(const struct inv *inv, const struct disk_lvm_lv *lv,
			  struct disk_piece **pieces, size_t *count)
{
	if (!lv->plain)
		return false;
	for (size_t i = 0; i < lv->segment_count; i++) {
		const struct disk_lvm_segment *s = &lv->segments[i];
		uint64_t step = s->stripe_count == 1 ? s->length_bytes : s->stripe_bytes;

		for (uint64_t at = 0, n = 0; at < s->length_bytes; at += step, n++)
			if (!add_piece(inv, &s->stripes[n % s->stripe_count],
				       n / s->stripe_count * step, step, pieces, count))
				return false;
	}
	return true;
}

static json_t *segment_json(const struct disk_lvm_segment *s)
{
	json_t *stripes = json_array();

	for (size_t i = 0; i < s->stripe_count; i++)
		json_array_append_new(stripes,
				      json_pack("{s:o, s:o}", "pv", inv_text(s->stripes[i].pv_uuid),
						"pv_offset_bytes",
						json_u64(s->stripes[i].pv_offset_bytes)));
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "type", inv_text(s->type), "lv_offset_bytes",
			 json_u64(s->lv_offset_bytes), "length_bytes", json_u64(s->length_bytes),
			 "stripe_bytes", json_u64(s->stripe_bytes), "stripes", stripes);
}

static json_t *volume_json(struct inv *inv, const struct disk_lvm_vg *vg,
			   const struct disk_lvm_lv *lv)
{
	const char *name = arena_printf(inv->arena, "%s/%s", vg->name, lv->name);
	json_t *segments = json_array(), *content = json_null();
	struct disk_piece *pieces = NULL;
	struct disk_fs fs;
	size_t count = 0;

	for (size_t i = 0; i < lv->segment_count; i++)
		json_array_append_new(segments, segment_json(&lv->segments[i]));
	if (lv->visible && volume_pieces(inv, lv, &pieces, &count)) {
		if (disk_probe_pieces(inv->arena, pieces, count, name, &fs) == 0)
			content = inv_content(&fs);
		else
			inv_problem(inv, "DISK_UNREADABLE", name, NULL);
	}
	return json_pack("{s:o, s:o, s:b, s:b, s:o, s:o, s:o}", "name", inv_text(lv->name), "uuid",
			 inv_text(lv->uuid), "visible", lv->visible, "plain", lv->plain,
			 "size_bytes", json_u64(lv->size_bytes), "segments", segments, "content",
			 content);
}

static json_t *pv_json(const struct inv *inv, const struct disk_lvm_pv *pv)
{
	const struct inv_place *place = find_pv(inv, pv->uuid);

	return json_pack("{s:o, s:o, s:o, s:o}", "uuid", inv_text(pv->uuid), "device",
			 inv_text(place ? place->device : NULL), "size_bytes",
			 json_u64(pv->size_bytes), "pe_start_bytes", json_u64(pv->pe_start_bytes));
}

static json_t *group_json(struct inv *inv, const struct disk_lvm_vg *vg)
{
	json_t *pvs = json_array(), *lvs = json_array();

	for (size_t i = 0; i < vg->pv_count; i++)
		json_array_append_new(pvs, pv_json(inv, &vg->pvs[i]));
	for (size_t i = 0; i < vg->lv_count; i++)
		json_array_append_new(lvs, volume_json(inv, vg, &vg->lvs[i]));
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "name", inv_text(vg->name), "uuid",
			 inv_text(vg->uuid), "seqno", json_u64(vg->seqno), "extent_bytes",
			 json_u64(vg->extent_bytes), "pvs", pvs, "lvs", lvs);
}

static bool is_listed(const json_t *groups, const char *uuid)
{
	size_t i;
	json_t *g;

	json_array_foreach (groups, i, g) {
		const char *have = NULL;

		if (json_get_string(g, "uuid", &have) == 0 && !strcmp(have, uuid))
			return true;
	}
	return false;
}

int inv_lvm(struct inv *inv)
{
	json_t *groups = json_array(), *pvs = json_array();
	json_t *lvm = json_pack("{s:o, s:o}", "groups", groups, "pvs", pvs);

	if (!lvm || json_object_set_new(inv->json, "lvm", lvm))
		return fail(ENOMEM, "memory for the volume groups");
	for (size_t i = 0; i < inv->pv_count; i++) {
		const struct inv_place *p = &inv->pvs[i];
		const struct disk_lvm_vg *vg = p->label.vg;

		json_array_append_new(pvs,
				      json_pack("{s:o, s:o, s:o}", "device", inv_text(p->device),
						"uuid", inv_text(p->label.pv_uuid), "meta",
						inv_extents(&p->label.meta)));
		if (vg && !is_listed(groups, vg->uuid) &&
		    json_array_append_new(groups, group_json(inv, newest(inv, vg))))
			return fail(ENOMEM, "volume group %s", vg->name);
	}
	return 0;
}
