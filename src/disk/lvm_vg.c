/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A volume group from its parsed text (lvm2: lib/format_text/import_vsn1.c). What is used to place
 * data is checked; what is not known is kept as "not plain", never guessed.
 */
#include "disk/lvm.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "disk/lvm_text.h"

#define SEGMENTS_MAX 100000
#define STRIPES_MAX  128

struct vg_reader {
	struct arena *arena;
	const char *name; /* of the PV that the text is from */
	struct disk_lvm_vg *vg;
	const struct lvm_node *pvs;
	const struct lvm_node *lvs;
	const char **used_lvs; /* names of LVs that other LVs are built on */
	size_t used_count;
};

static int read_pv(struct vg_reader *r, const struct lvm_node *node)
{
	struct disk_lvm_pv *pv = arena_push(r->arena, &r->vg->pvs, &r->vg->pv_count);
	uint64_t sectors = 0, start = 0;

	pv->uuid = lvm_string(node, "id");
	pv->missing = lvm_has_word(node, "flags", "MISSING");
	if (!pv->uuid || !lvm_number(node, "pe_start", &start) ||
	    !mul_ok(start, LVM_SECTOR_BYTES, &pv->pe_start_bytes))
		return lvm_invalid(r->name, "volume %s is described incompletely", node->key);
	lvm_number(node, "dev_size", &sectors);
	if (!mul_ok(sectors, LVM_SECTOR_BYTES, &pv->size_bytes))
		return lvm_invalid(r->name, "volume %s has an impossible size", node->key);
	return 0;
}

/* The PV of that section name, e.g. "pv0". NULL: it names something else. */
static const struct disk_lvm_pv *find_pv(const struct vg_reader *r, const char *key)
{
	size_t i = 0;

	for (const struct lvm_node *n = r->pvs->first; n; n = n->next) {
		if (n->kind != LVM_NODE_SECTION)
			continue;
		if (!strcmp(n->key, key))
			return &r->vg->pvs[i];
		i++;
	}
	return NULL;
}

static void note_used(struct vg_reader *r, const char *text)
{
	if (lvm_find_section(r->lvs, text))
		*arena_push(r->arena, &r->used_lvs, &r->used_count) = text;
}

/* Every text in a segment that is the name of an LV is taken for a use of it. */
static void note_all_used(struct vg_reader *r, const struct lvm_node *segment)
{
	for (const struct lvm_node *n = segment->first; n; n = n->next) {
		if (!strcmp(n->key, "type"))
			continue;
		if (n->kind == LVM_NODE_STRING)
			note_used(r, n->string);
		for (const struct lvm_node *i = n->kind == LVM_NODE_LIST ? n->first : NULL; i;
		     i = i->next)
			if (i->kind == LVM_NODE_STRING)
				note_used(r, i->string);
	}
}

/* A list of pairs "pv0", extent. A pair that names no PV makes the list incomplete. */
static int read_stripes(struct vg_reader *r, const struct lvm_node *list, const char *lv,
			struct disk_lvm_segment *s, bool *complete)
{
	const struct lvm_node *n = list && list->kind == LVM_NODE_LIST ? list->first : NULL;

	*complete = n != NULL;
	for (; n && n->next; n = n->next->next) {
		const struct disk_lvm_pv *pv = NULL;
		struct disk_lvm_stripe *stripe;
		uint64_t at;

		if (n->kind != LVM_NODE_STRING || n->next->kind != LVM_NODE_NUMBER ||
		    n->next->number < 0 || s->stripe_count == STRIPES_MAX)
			return lvm_invalid(r->name, "a segment of %s makes no sense", lv);
		pv = find_pv(r, n->string);
		if (!pv) {
			*complete = false;
			continue;
		}
		if (!mul_ok((uint64_t)n->next->number, r->vg->extent_bytes, &at) ||
		    !add_ok(at, pv->pe_start_bytes, &at))
			return lvm_invalid(r->name, "a segment of %s lies outside its volume", lv);
		stripe = arena_push(r->arena, &s->stripes, &s->stripe_count);
		stripe->pv_uuid = pv->uuid;
		stripe->pv_offset_bytes = at;
	}
	return n ? lvm_invalid(r->name, "a segment of %s makes no sense", lv) : 0;
}

/* Each stripe takes an equal part, and ends inside its PV when the PV's size is known. */
static int check_stripes(const struct vg_reader *r, const char *lv,
			 const struct disk_lvm_segment *s)
{
	uint64_t part = s->length_bytes / s->stripe_count;

	if (s->length_bytes % s->stripe_count || part % r->vg->extent_bytes ||
	    (s->stripe_count > 1 && (!s->stripe_bytes || part % s->stripe_bytes)))
		return lvm_invalid(r->name, "a segment of %s has uneven stripes", lv);
	for (size_t i = 0; i < s->stripe_count; i++)
		for (size_t k = 0; k < r->vg->pv_count; k++) {
			const struct disk_lvm_pv *pv = &r->vg->pvs[k];

			if (!strcmp(pv->uuid, s->stripes[i].pv_uuid) && pv->size_bytes &&
			    !range_ok(s->stripes[i].pv_offset_bytes, part, pv->size_bytes))
				return lvm_invalid(r->name,
						   "a segment of %s lies outside its volume", lv);
		}
	return 0;
}

static int read_segment(struct vg_reader *r, const struct lvm_node *node, const char *lv_name,
			struct disk_lvm_lv *lv)
{
	struct disk_lvm_segment *s = arena_push(r->arena, &lv->segments, &lv->segment_count);
	uint64_t start, count, sectors = 0;
	bool complete = false;
	int rc;

	s->type = lvm_string(node, "type");
	if (!s->type || !lvm_number(node, "start_extent", &start) ||
	    !lvm_number(node, "extent_count", &count) || !count ||
	    !mul_ok(start, r->vg->extent_bytes, &s->lv_offset_bytes) ||
	    !mul_ok(count, r->vg->extent_bytes, &s->length_bytes))
		return lvm_invalid(r->name, "a segment of %s makes no sense", lv_name);
	if (s->lv_offset_bytes != lv->size_bytes ||
	    !add_ok(lv->size_bytes, s->length_bytes, &lv->size_bytes))
		return lvm_invalid(r->name, "the segments of %s leave a gap or overlap", lv_name);
	if (strcmp(s->type, "striped")) {
		lv->plain = false;
		note_all_used(r, node);
		return read_stripes(r, lvm_find(node, "mirrors"), lv_name, s, &complete);
	}
	rc = read_stripes(r, lvm_find(node, "stripes"), lv_name, s, &complete);
	if (rc < 0)
		return rc;
	lvm_number(node, "stripe_size", &sectors);
	if (!mul_ok(sectors, LVM_SECTOR_BYTES, &s->stripe_bytes))
		return lvm_invalid(r->name, "a segment of %s makes no sense", lv_name);
	if (s->stripe_count == 1)
		s->stripe_bytes = 0;
	if (!complete) {
		/* Stacked on another LV, as while pvmove is at work. */
		lv->plain = false;
		note_all_used(r, node);
		return 0;
	}
	return check_stripes(r, lv_name, s);
}

static int read_lv(struct vg_reader *r, const struct lvm_node *node)
{
	struct disk_lvm_lv *lv = arena_push(r->arena, &r->vg->lvs, &r->vg->lv_count);
	uint64_t count = 0;

	lv->name = node->key;
	lv->uuid = lvm_string(node, "id");
	lv->visible = lvm_has_word(node, "status", "VISIBLE");
	lv->plain = true;
	if (!lv->uuid || !lvm_number(node, "segment_count", &count) || count > SEGMENTS_MAX)
		return lvm_invalid(r->name, "volume %s is described incompletely", lv->name);
	for (uint64_t i = 1; i <= count; i++) {
		char key[32];
		const struct lvm_node *segment;
		int rc;

		snprintf(key, sizeof(key), "segment%" PRIu64, i);
		segment = lvm_find_section(node, key);
		if (!segment)
			return lvm_invalid(r->name, "volume %s lacks %s", lv->name, key);
		rc = read_segment(r, segment, lv->name, lv);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int read_all(struct vg_reader *r)
{
	for (const struct lvm_node *n = r->pvs->first; n; n = n->next) {
		int rc = n->kind == LVM_NODE_SECTION ? read_pv(r, n) : 0;

		if (rc < 0)
			return rc;
	}
	for (const struct lvm_node *n = r->lvs ? r->lvs->first : NULL; n; n = n->next) {
		int rc = n->kind == LVM_NODE_SECTION ? read_lv(r, n) : 0;

		if (rc < 0)
			return rc;
	}
	for (size_t i = 0; i < r->used_count; i++)
		for (size_t k = 0; k < r->vg->lv_count; k++)
			if (!strcmp(r->vg->lvs[k].name, r->used_lvs[i]))
				r->vg->lvs[k].plain = false;
	return 0;
}

int lvm_vg_parse(struct arena *a, const char *text, size_t bytes, const char *name,
		 struct disk_lvm_vg **out)
{
	struct vg_reader r = {.arena = a, .name = name};
	struct lvm_node *root = NULL;
	const struct lvm_node *node;
	uint64_t sectors = 0;
	int rc = lvm_text_parse(a, text, bytes, name, &root);

	if (rc < 0)
		return rc;
	node = root->first;
	while (node && node->kind != LVM_NODE_SECTION)
		node = node->next;
	if (!node)
		return lvm_invalid(name, "it describes no volume group");
	r.vg = arena_alloc(a, sizeof(*r.vg));
	r.vg->name = node->key;
	r.vg->uuid = lvm_string(node, "id");
	r.pvs = lvm_find_section(node, "physical_volumes");
	r.lvs = lvm_find_section(node, "logical_volumes");
	if (!r.vg->uuid || !r.pvs || !lvm_number(node, "seqno", &r.vg->seqno) ||
	    !lvm_number(node, "extent_size", &sectors) || !sectors ||
	    !mul_ok(sectors, LVM_SECTOR_BYTES, &r.vg->extent_bytes))
		return lvm_invalid(name, "volume group %s is described incompletely", node->key);
	rc = read_all(&r);
	if (rc == 0)
		*out = r.vg;
	return rc;
}
