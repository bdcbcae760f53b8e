/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The inventory's JSON as structs. It may come from another machine or hand, so it is checked. */
#include "plan/private.h"

#include <errno.h>
#include <limits.h>

#include "base/err.h"
#include "base/json.h"
#include "base/num.h"

#define DISKS_MAX 64

static int read_extents(struct arena *a, const json_t *list, struct disk_extents *out)
{
	size_t i;
	json_t *pair;
	uint64_t end = 0;

	json_array_foreach (list, i, pair) {
		json_int_t at = json_integer_value(json_array_get(pair, 0));
		json_int_t length = json_integer_value(json_array_get(pair, 1));

		if (json_array_size(pair) != 2 || at < 0 || length <= 0 || (uint64_t)at < end ||
		    !add_ok((uint64_t)at, (uint64_t)length, &end) || end > INT64_MAX)
			return fail_code(EINVAL, "JSON_INVALID", "a list of ranges is malformed");
		disk_extents_add(a, out, (uint64_t)at, (uint64_t)length);
	}
	return 0;
}

static int read_content(const json_t *j, struct source_content *out)
{
	const json_t *sample;
	uint64_t blocks = 0;
	const char *kind = NULL;
	int rc;

	*out = (struct source_content){.kind = DISK_CONTENT_UNKNOWN};
	if (!j || json_is_null(j))
		return 0;
	rc = json_get_string(j, "kind", &kind);
	if (rc == 0 && disk_content_parse(kind, &out->kind) < 0)
		rc = fail_code(EINVAL, "JSON_INVALID", "there is no kind of content \"%s\"", kind);
	if (rc == 0)
		rc = json_get_string_or(j, "type", NULL, &out->type);
	if (rc == 0)
		rc = json_get_string_or(j, "uuid", NULL, &out->uuid);
	if (rc == 0)
		rc = json_get_u64_or(j, "used_bytes", 0, &out->used_bytes);
	if (rc == 0)
		rc = json_get_bool_or(j, "dirty", false, &out->dirty);
	if (rc == 0)
		rc = json_get_bool_or(j, "hibernated", false, &out->hibernated);
	sample = json_object_get(j, "sample");
	if (rc < 0 || !sample)
		return rc;
	rc = json_get_u64(sample, "blocks", &blocks);
	if (rc < 0)
		return rc;
	out->sampled = blocks > 0;
	rc = json_get_u64(sample, "ratio_permille", &out->ratio_permille);
	return rc < 0 ? rc : json_get_u64(sample, "error_permille", &out->error_permille);
}

static int read_part(const struct source_disk *d, const json_t *j, struct source_part *p)
{
	uint64_t number;
	int rc = json_get_string(j, "name", &p->name);

	if (rc == 0)
		rc = json_get_u64(j, "number", &number);
	if (rc == 0)
		rc = json_get_string(j, "type", &p->type);
	if (rc == 0)
		rc = json_get_u64(j, "offset_bytes", &p->offset_bytes);
	if (rc == 0)
		rc = json_get_u64(j, "length_bytes", &p->length_bytes);
	if (rc == 0 && !range_ok(p->offset_bytes, p->length_bytes, d->size_bytes))
		rc = fail_code(EINVAL, "JSON_INVALID", "partition %s is not on its disk", p->name);
	if (rc == 0)
		rc = json_get_bool_or(j, "bootable", false, &p->bootable);
	if (rc == 0)
		rc = json_get_bool_or(j, "extended", false, &p->extended);
	return rc < 0 ? rc : read_content(json_object_get(j, "content"), &p->content);
}

static int read_table(struct arena *a, const json_t *j, struct source_disk *d)
{
	int rc = json_get_string(j, "kind", &d->table_kind);

	if (rc == 0)
		rc = json_get_bool_or(j, "gpt_primary_bad", false, &d->primary_bad);
	if (rc == 0)
		rc = json_get_bool_or(j, "boot_code", false, &d->boot_code);
	if (rc == 0)
		rc = json_get_u64_or(j, "gpt_backup_lba", 0, &d->backup_lba);
	return rc < 0 ? rc : read_extents(a, json_object_get(j, "meta"), &d->meta);
}

/* The table's own ranges lie on the disk and in no partition. */
static int check_meta(const struct source_disk *d)
{
	for (size_t i = 0; i < d->meta.count; i++) {
		const struct disk_extent *m = &d->meta.list[i];

		if (!range_ok(m->offset_bytes, m->length_bytes, d->size_bytes))
			return fail_code(EINVAL, "JSON_INVALID", "the table of %s is not on it",
					 d->name);
		for (size_t k = 0; k < d->part_count; k++) {
			const struct source_part *p = &d->parts[k];

			if (!p->extended && m->offset_bytes < p->offset_bytes + p->length_bytes &&
			    p->offset_bytes < m->offset_bytes + m->length_bytes)
				return fail_code(EINVAL, "JSON_INVALID",
						 "partition %s covers a part of the table",
						 p->name);
		}
	}
	return 0;
}

/* By offset and without overlap, or what is made of them would be wrong. */
static int check_parts(const struct source_disk *d)
{
	uint64_t end = 0;

	for (size_t i = 0; i < d->part_count; i++) {
		const struct source_part *p = &d->parts[i];

		if (p->extended)
			continue;
		if (p->offset_bytes < end)
			return fail_code(EINVAL, "JSON_INVALID", "partition %s overlaps another",
					 p->name);
		end = p->offset_bytes + p->length_bytes;
	}
	return check_meta(d);
}

static int read_disk(struct arena *a, const json_t *j, struct source_disk *d)
{
	json_t *parts = NULL, *p;
	uint64_t sector = 0;
	size_t i;
	int rc = json_get_string(j, "name", &d->name);

	d->index = UINT_MAX;
	if (rc == 0)
		rc = json_get_string_or(j, "serial", "", &d->serial);
	if (rc == 0)
		rc = json_get_string_or(j, "path_of", NULL, &d->path_of);
	if (rc == 0)
		rc = json_get_u64(j, "size_bytes", &d->size_bytes);
	if (rc == 0)
		rc = json_get_u64(j, "sector_bytes", &sector);
	if (rc == 0 && (sector < 512 || sector > 65536 || sector & (sector - 1)))
		rc = fail_code(EINVAL, "JSON_INVALID", "the sector sizes of %s are impossible",
			       d->name);
	d->sector_bytes = (unsigned)sector;
	if (rc == 0 && json_is_object(json_object_get(j, "table")))
		rc = read_table(a, json_object_get(j, "table"), d);
	if (rc < 0 || d->path_of)
		return rc;
	if (!d->table_kind) {
		struct source_part *whole = arena_push(a, &d->parts, &d->part_count);

		d->whole = true;
		d->broken = !json_is_object(json_object_get(j, "content"));
		*whole = (struct source_part){
			.name = d->name, .type = "", .length_bytes = d->size_bytes};
		return read_content(json_object_get(j, "content"), &whole->content);
	}
	rc = json_get_array(j, "partitions", &parts);
	if (rc < 0)
		return rc;
	json_array_foreach (parts, i, p) {
		rc = read_part(d, p, arena_push(a, &d->parts, &d->part_count));
		if (rc < 0)
			return rc;
	}
	return check_parts(d);
}

static int read_segment(struct arena *a, const json_t *j, struct source_segment *s)
{
	json_t *stripes = NULL, *stripe;
	size_t i;
	int rc = json_get_string(j, "type", &s->type);

	if (rc == 0)
		rc = json_get_u64(j, "lv_offset_bytes", &s->lv_offset_bytes);
	if (rc == 0)
		rc = json_get_u64(j, "length_bytes", &s->length_bytes);
	if (rc == 0)
		rc = json_get_u64(j, "stripe_bytes", &s->stripe_bytes);
	if (rc == 0)
		rc = json_get_array(j, "stripes", &stripes);
	if (rc < 0)
		return rc;
	json_array_foreach (stripes, i, stripe) {
		struct source_stripe *to = arena_push(a, &s->stripes, &s->stripe_count);

		rc = json_get_string(stripe, "pv", &to->pv_uuid);
		if (rc == 0)
			rc = json_get_u64(stripe, "pv_offset_bytes", &to->pv_offset_bytes);
		if (rc < 0)
			return rc;
	}
	if (s->stripe_count > 1 &&
	    (!s->stripe_bytes || s->length_bytes / s->stripe_count % s->stripe_bytes ||
	     s->length_bytes % s->stripe_count))
		return fail_code(EINVAL, "JSON_INVALID", "a segment has uneven stripes");
	return 0;
}

static int read_lv(struct arena *a, const json_t *j, struct source_lv *lv)
{
	json_t *segments = NULL, *s;
	uint64_t end = 0;
	size_t i;
	int rc = json_get_string(j, "name", &lv->name);

	if (rc == 0)
		rc = json_get_u64(j, "size_bytes", &lv->size_bytes);
	if (rc == 0)
		rc = json_get_bool_or(j, "visible", false, &lv->visible);
	if (rc == 0)
		rc = json_get_bool_or(j, "plain", false, &lv->plain);
	if (rc == 0)
		rc = json_get_array(j, "segments", &segments);
	if (rc < 0)
		return rc;
	json_array_foreach (segments, i, s) {
		struct source_segment *to = arena_push(a, &lv->segments, &lv->segment_count);

		rc = read_segment(a, s, to);
		if (rc < 0)
			return rc;
		if (to->lv_offset_bytes != end || !add_ok(end, to->length_bytes, &end))
			return fail_code(EINVAL, "JSON_INVALID", "segments of %s leave a gap",
					 lv->name);
	}
	if (end != lv->size_bytes)
		return fail_code(EINVAL, "JSON_INVALID", "segments of %s are not all of it",
				 lv->name);
	return read_content(json_object_get(j, "content"), &lv->content);
}

static int read_group(struct arena *a, const json_t *j, struct source_vg *vg)
{
	json_t *list = NULL, *item;
	size_t i;
	int rc = json_get_string(j, "name", &vg->name);

	if (rc == 0)
		rc = json_get_string(j, "uuid", &vg->uuid);
	if (rc == 0)
		rc = json_get_array(j, "pvs", &list);
	if (rc < 0)
		return rc;
	json_array_foreach (list, i, item) {
		struct source_pv *pv = arena_push(a, &vg->pvs, &vg->pv_count);

		rc = json_get_string(item, "uuid", &pv->uuid);
		if (rc == 0)
			rc = json_get_string_or(item, "device", NULL, &pv->device);
		if (rc < 0)
			return rc;
	}
	rc = json_get_array(j, "lvs", &list);
	if (rc < 0)
		return rc;
	json_array_foreach (list, i, item) {
		rc = read_lv(a, item, arena_push(a, &vg->lvs, &vg->lv_count));
		if (rc < 0)
			return fail_in(rc, "volume group %s", vg->name);
	}
	return 0;
}

static int read_lvm(struct arena *a, const json_t *j, struct source *s)
{
	json_t *list = NULL, *item;
	size_t i;
	int rc = json_get_array(j, "pvs", &list);

	if (rc < 0)
		return rc;
	json_array_foreach (list, i, item) {
		struct source_pv *pv = arena_push(a, &s->pvs, &s->pv_count);

		rc = json_get_string(item, "uuid", &pv->uuid);
		if (rc == 0)
			rc = json_get_string(item, "device", &pv->device);
		if (rc == 0)
			rc = read_extents(a, json_object_get(item, "meta"), &pv->meta);
		if (rc < 0)
			return rc;
		pv->part = plan_find_part(s, pv->device, &pv->disk);
		if (!pv->part)
			return fail_code(EINVAL, "JSON_INVALID", "there is no device %s",
					 pv->device);
		if (pv->meta.count && !range_ok(pv->meta.list[pv->meta.count - 1].offset_bytes,
						pv->meta.list[pv->meta.count - 1].length_bytes,
						pv->part->length_bytes))
			return fail_code(EINVAL, "JSON_INVALID", "metadata of %s is not on it",
					 pv->device);
	}
	rc = json_get_array(j, "groups", &list);
	if (rc < 0)
		return rc;
	json_array_foreach (list, i, item) {
		rc = read_group(a, item, arena_push(a, &s->vgs, &s->vg_count));
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int read_guest(struct arena *a, const json_t *j, struct source *s)
{
	const json_t *os = json_object_get(j, "os"), *loader = json_object_get(j, "boot_loader");
	json_t *list = NULL, *item;
	size_t i;
	int rc = json_get_string(j, "root_device", &s->root_device);

	s->suspended_files = json_object_get(j, "suspended_files");
	s->efi = json_object_get(loader, "efi");
	if (rc == 0)
		rc = json_get_string_or(j, "architecture", NULL, &s->architecture);
	if (rc == 0)
		rc = json_get_string_or(os, "pretty_name", NULL, &s->os_name);
	if (rc == 0)
		rc = json_get_string_or(loader, "kind", NULL, &s->boot_loader);
	if (rc == 0)
		rc = json_get_array(j, "fstab", &list);
	if (rc < 0)
		return rc;
	json_array_foreach (list, i, item) {
		struct source_mount *m = arena_push(a, &s->mounts, &s->mount_count);

		rc = json_get_string(item, "mountpoint", &m->mountpoint);
		if (rc == 0)
			rc = json_get_string_or(item, "device", NULL, &m->device);
		if (rc == 0)
			rc = json_get_string(item, "type", &m->type);
		if (rc == 0)
			rc = json_get_string_or(item, "options", "defaults", &m->options);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int plan_source_read(struct arena *a, const json_t *inventory, struct source *out)
{
	json_t *list = NULL, *item;
	size_t i;
	int rc;

	*out = (struct source){.problems = json_object_get(inventory, "problems"),
			       .md = json_object_get(inventory, "md")};
	rc = json_get_string_or(json_object_get(inventory, "machine"), "firmware", "bios",
				&out->firmware);
	if (rc == 0)
		rc = json_get_array(inventory, "disks", &list);
	if (rc < 0)
		return rc;
	if (json_array_size(list) > DISKS_MAX)
		return fail_code(EINVAL, "JSON_INVALID", "there are more than %d disks", DISKS_MAX);
	json_array_foreach (list, i, item) {
		rc = read_disk(a, item, arena_push(a, &out->disks, &out->disk_count));
		if (rc < 0)
			return fail_in(rc, "disk %zu of the inventory", i + 1);
	}
	item = json_object_get(inventory, "lvm");
	if (json_is_object(item))
		rc = read_lvm(a, item, out);
	item = json_object_get(inventory, "guest");
	if (rc == 0 && json_is_object(item))
		rc = read_guest(a, item, out);
	return rc;
}
