/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How much will be read, and what it is likely to become when compressed. */
#include "plan/private.h"

#include <limits.h>

#include "base/num.h"

struct sum {
	uint64_t used_bytes;
	uint64_t packed_bytes;
	uint64_t error_bytes;
};

static uint64_t permille(uint64_t bytes, uint64_t n)
{
	return bytes / 1000 * n + bytes % 1000 * n / 1000;
}

/* What a content has in use; all of it where that cannot be known. */
static uint64_t used_of(const struct source_content *c, uint64_t length_bytes)
{
	switch (c->kind) {
	case DISK_CONTENT_EMPTY:
		return 0;
	case DISK_CONTENT_SWAP:
		return min_of(length_bytes, 4 * KIB);
	case DISK_CONTENT_EXT:
	case DISK_CONTENT_XFS:
	case DISK_CONTENT_BTRFS:
		return c->used_bytes ? min_of(c->used_bytes, length_bytes) : length_bytes;
	default:
		return length_bytes;
	}
}

/* Without a sample anything between nothing and all of it is possible. */
static void add(struct sum *s, uint64_t used_bytes, const struct source_content *sample)
{
	uint64_t ratio = 500, error = 500;

	if (sample && sample->sampled) {
		ratio = min_of(sample->ratio_permille, (uint64_t)1000);
		error = min_of(sample->error_permille, (uint64_t)1000);
	}
	s->used_bytes += used_bytes;
	s->packed_bytes += permille(used_bytes, ratio);
	s->error_bytes += permille(used_bytes, error);
}

static void add_volumes(struct planner *p, struct sum *s)
{
	for (size_t i = 0; i < p->source.vg_count; i++) {
		const struct source_vg *vg = &p->source.vgs[i];
		const struct source_content *sample = NULL;
		bool here = false;

		for (size_t k = 0; k < vg->pv_count; k++) {
			const struct source_pv *pv = plan_find_pv(&p->source, vg->pvs[k].uuid);

			if (!pv || pv->disk->index == UINT_MAX)
				continue;
			here = true;
			sample = &pv->part->content;
		}
		for (size_t k = 0; here && k < vg->lv_count; k++) {
			const struct source_lv *lv = &vg->lvs[k];

			if (lv->as_volume)
				add(s, used_of(&lv->content, lv->size_bytes), sample);
			else if (lv->plain || !lv->visible)
				add(s, lv->size_bytes, sample);
		}
	}
}

void plan_estimate(struct planner *p, uint64_t *used_bytes, uint64_t *packed_bytes,
		   uint64_t *error_bytes)
{
	struct sum s = {0};

	for (size_t i = 0; i < p->order_count; i++)
		for (size_t k = 0; k < p->order[i]->part_count; k++) {
			const struct source_part *part = &p->order[i]->parts[k];
			bool pv = false;

			for (size_t n = 0; n < p->source.pv_count; n++)
				pv |= p->source.pvs[n].part == part;
			if (!part->extended && !pv)
				add(&s, used_of(&part->content, part->length_bytes),
				    &part->content);
		}
	add_volumes(p, &s);
	*used_bytes = s.used_bytes;
	*packed_bytes = s.packed_bytes;
	*error_bytes = s.error_bytes;
}
