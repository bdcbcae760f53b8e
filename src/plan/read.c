/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A plan's JSON as structs. It may have been edited or cut, so every place that it names is checked
 * against its disk. */
#include "plan/private.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/num.h"

#define DISKS_MAX    64
#define RESCUE_MAX_S 86400

static int bad(const char *what)
{
	return fail_code(EINVAL, "PLAN_INVALID", "the plan is damaged or was edited: %s", what);
}

static const char *kept(struct arena *a, const char *text)
{
	return text ? arena_strdup(a, text) : NULL;
}

/* A copy in the arena: the JSON may go away before the plan does. */
static int get_text(struct arena *a, const json_t *j, const char *key, const char **out)
{
	const char *text = NULL;
	int rc = json_get_string(j, key, &text);

	*out = kept(a, text);
	return rc;
}

static int get_text_or_null(struct arena *a, const json_t *j, const char *key, const char **out)
{
	const char *text = NULL;
	int rc = json_get_string_or(j, key, NULL, &text);

	*out = kept(a, text);
	return rc;
}

static int get_small(const json_t *j, const char *key, uint64_t max, unsigned *out)
{
	uint64_t n = 0;
	int rc = json_get_u64(j, key, &n);

	if (rc == 0 && n > max)
		return bad(key);
	*out = (unsigned)n;
	return rc;
}

static int get_content(const json_t *j, enum disk_content *out)
{
	const char *name = NULL;
	int rc = json_get_string(j, "content", &name);

	if (rc < 0)
		return rc;
	return disk_content_parse(name, out) < 0 ? bad("a kind of content") : 0;
}

static int read_keep(struct arena *a, const json_t *list, struct plan_part *p)
{
	uint64_t end = p->offset_bytes, stop = p->offset_bytes + p->length_bytes;
	size_t i;
	json_t *pair;

	json_array_foreach (list, i, pair) {
		json_int_t at = json_integer_value(json_array_get(pair, 0));
		json_int_t length = json_integer_value(json_array_get(pair, 1));

		if (at < 0 || length <= 0 || (uint64_t)at < end ||
		    !range_ok((uint64_t)at, (uint64_t)length, stop))
			return bad("the ranges that a part keeps");
		disk_extents_add(a, &p->keep, (uint64_t)at, (uint64_t)length);
		end = (uint64_t)at + (uint64_t)length;
	}
	return 0;
}

static int read_kind(const json_t *j, enum plan_part_kind *out)
{
	static const char *const names[] = {[PLAN_PART_TABLE] = "table",
					    [PLAN_PART_BOOT] = "boot",
					    [PLAN_PART_GAP] = "gap",
					    [PLAN_PART_CONTENT] = "content",
					    [PLAN_PART_LVM] = "lvm"};
	const char *name = NULL;
	int rc = json_get_string(j, "kind", &name);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(names[i], name)) {
			*out = (enum plan_part_kind)i;
			return 0;
		}
	return bad("a kind of part");
}

static int read_part(struct arena *a, const json_t *j, struct plan_part *p)
{
	int rc = read_kind(j, &p->kind);

	if (rc == 0)
		rc = get_text_or_null(a, j, "name", &p->name);
	if (rc == 0)
		rc = json_get_u64(j, "offset_bytes", &p->offset_bytes);
	if (rc == 0)
		rc = json_get_u64(j, "length_bytes", &p->length_bytes);
	if (rc < 0)
		return rc;
	if (p->kind == PLAN_PART_CONTENT || p->kind == PLAN_PART_LVM) {
		rc = get_content(j, &p->content);
		if (rc == 0)
			rc = get_text_or_null(a, j, "fs_type", &p->fs_type);
		if (rc == 0)
			rc = get_text_or_null(a, j, "fs_uuid", &p->fs_uuid);
		if (rc == 0 && !p->name)
			rc = bad("a part without a name");
	}
	return rc;
}

static int read_disk(struct arena *a, const json_t *j, struct plan_disk *d)
{
	json_t *parts = NULL, *part;
	uint64_t end = 0;
	size_t i;
	int rc = get_small(j, "index", DISKS_MAX, &d->index);

	if (rc == 0)
		rc = get_text(a, j, "source", &d->source);
	if (rc == 0)
		rc = get_text(a, j, "serial", &d->serial);
	if (rc == 0)
		rc = json_get_u64(j, "source_bytes", &d->source_bytes);
	if (rc == 0)
		rc = json_get_u64(j, "target_bytes", &d->target_bytes);
	if (rc == 0)
		rc = get_small(j, "sector_bytes", 65536, &d->sector_bytes);
	if (rc == 0)
		rc = json_get_bool_or(j, "gpt_move_backup", false, &d->gpt_move_backup);
	if (rc == 0)
		rc = json_get_array(j, "parts", &parts);
	if (rc < 0)
		return rc;
	json_array_foreach (parts, i, part) {
		struct plan_part *p = arena_push(a, &d->parts, &d->part_count);

		rc = read_part(a, part, p);
		if (rc < 0)
			return rc;
		if (p->offset_bytes != end ||
		    !range_ok(p->offset_bytes, p->length_bytes, d->source_bytes))
			return bad("the parts of a disk leave a gap or overlap");
		end += p->length_bytes;
		rc = read_keep(a, json_object_get(part, "keep"), p);
		if (rc < 0)
			return rc;
	}
	return end == d->source_bytes ? 0 : bad("the parts do not cover their disk");
}

static int read_volume(struct arena *a, const struct plan *plan, const json_t *j,
		       struct plan_volume *v)
{
	json_t *segments = NULL, *segment;
	uint64_t end = 0;
	size_t i;
	int rc = get_text(a, j, "vg", &v->vg);

	if (rc == 0)
		rc = get_text(a, j, "lv", &v->lv);
	if (rc == 0)
		rc = json_get_u64(j, "size_bytes", &v->size_bytes);
	if (rc == 0)
		rc = get_content(j, &v->content);
	if (rc == 0)
		rc = get_text_or_null(a, j, "fs_type", &v->fs_type);
	if (rc == 0)
		rc = get_text_or_null(a, j, "fs_uuid", &v->fs_uuid);
	if (rc == 0)
		rc = json_get_array(j, "segments", &segments);
	if (rc < 0)
		return rc;
	json_array_foreach (segments, i, segment) {
		struct plan_segment *s = arena_push(a, &v->segments, &v->segment_count);

		rc = json_get_u64(segment, "volume_offset_bytes", &s->volume_offset_bytes);
		if (rc == 0)
			rc = json_get_u64(segment, "length_bytes", &s->length_bytes);
		if (rc == 0)
			rc = get_small(segment, "disk", DISKS_MAX, &s->disk);
		if (rc == 0)
			rc = json_get_u64(segment, "disk_offset_bytes", &s->disk_offset_bytes);
		if (rc < 0)
			return rc;
		if (s->disk >= plan->disk_count || s->volume_offset_bytes != end ||
		    !range_ok(end, s->length_bytes, v->size_bytes) ||
		    !range_ok(s->disk_offset_bytes, s->length_bytes,
			      plan->disks[s->disk].source_bytes))
			return bad("the segments of a volume");
		end += s->length_bytes;
	}
	return end == v->size_bytes ? 0 : bad("the segments of a volume");
}

static int read_mount(struct arena *a, const json_t *j, struct plan_mount *m)
{
	int rc = get_text(a, j, "mountpoint", &m->mountpoint);

	if (rc == 0)
		rc = get_text(a, j, "device", &m->device);
	if (rc == 0)
		rc = get_text(a, j, "fs_type", &m->fs_type);
	return rc < 0 ? rc : get_text(a, j, "options", &m->options);
}

static int read_paths(struct arena *a, const json_t *list, const char ***out)
{
	json_t *path;
	size_t i;

	if (!list)
		return 0;
	*out = arena_alloc(a, (json_array_size(list) + 1) * sizeof(**out));
	json_array_foreach (list, i, path) {
		if (!json_is_string(path))
			return bad("holes_outside");
		(*out)[i] = arena_strdup(a, json_string_value(path));
	}
	return json_is_array(list) ? 0 : bad("holes_outside");
}

static int read_copy(struct arena *a, const json_t *j, struct plan_copy *c)
{
	bool verify = true;
	int rc = get_small(j, "compression", 10, &c->compression);

	if (rc == 0)
		rc = json_get_bool_or(j, "adaptive", false, &c->adaptive);
	if (rc == 0)
		rc = json_get_bool_or(j, "verify", true, &verify);
	c->unverified = !verify;
	if (rc == 0)
		rc = json_get_u64(j, "rate_mbit", &c->rate_mbit);
	if (rc == 0)
		rc = get_text(a, j, "digest", &c->digest);
	if (rc == 0)
		rc = json_get_u64_or(j, "rescue_s", 0, &c->rescue_s);
	if (rc == 0 && c->rescue_s > RESCUE_MAX_S)
		return bad("rescue_s");
	if (rc == 0)
		rc = json_get_u64_or(j, "holes_max", 0, &c->holes_max);
	if (rc == 0)
		rc = read_paths(a, json_object_get(j, "holes_outside"), &c->holes_outside);
	return rc < 0 ? rc : get_small(j, "connections", 64, &c->connections);
}

/* The list as one text with commas, the form of the command line. */
static const char *joined(struct arena *a, const json_t *list)
{
	const char *text = "";
	size_t i;
	json_t *word;

	json_array_foreach (list, i, word) {
		const char *w = json_string_value(word);

		if (w)
			text = arena_printf(a, "%s%s%s", text, *text ? "," : "", w);
	}
	return text;
}

static int read_lists(struct arena *a, const json_t *json, struct plan *p)
{
	json_t *list = NULL, *item;
	size_t i;
	int rc = json_get_array(json, "disks", &list);

	if (rc < 0)
		return rc;
	if (!json_array_size(list) || json_array_size(list) > DISKS_MAX)
		return bad("the number of disks");
	json_array_foreach (list, i, item) {
		struct plan_disk *d = arena_push(a, &p->disks, &p->disk_count);

		rc = read_disk(a, item, d);
		if (rc == 0 && d->index != i)
			rc = bad("the order of the disks");
		if (rc < 0)
			return fail_in(rc, "disk %zu", i);
	}
	rc = json_get_array(json, "volumes", &list);
	if (rc < 0)
		return rc;
	json_array_foreach (list, i, item) {
		rc = read_volume(a, p, item, arena_push(a, &p->volumes, &p->volume_count));
		if (rc < 0)
			return fail_in(rc, "volume %zu", i);
	}
	rc = json_get_array(json, "mounts", &list);
	if (rc < 0)
		return rc;
	json_array_foreach (list, i, item) {
		rc = read_mount(a, item, arena_push(a, &p->mounts, &p->mount_count));
		if (rc < 0)
			return fail_in(rc, "mount %zu", i);
	}
	return 0;
}

/* A file of refusals in the place of a plan. */
static int refused(const json_t *json)
{
	const json_t *first = json_array_get(json_object_get(json, "refusals"), 0);
	const char *code = json_string_value(json_object_get(first, "code"));
	const char *what = json_string_value(json_object_get(first, "what"));

	return fail_code(EPERM, "PLAN_REFUSED", "the plan was refused: %s: %s", code ? code : "?",
			 what ? what : "?");
}

int plan_read(struct arena *a, const json_t *json, struct plan **out)
{
	struct plan *p = arena_alloc(a, sizeof(*p));
	const json_t *estimate = json_object_get(json, "estimate");
	json_t *copy = NULL;
	uint64_t version = 0;
	char hex[65];
	json_t *file;
	size_t i;
	int rc;

	if (json_object_get(json, "refusals"))
		return refused(json);
	rc = json_get_u64(json, "version", &version);
	if (rc == 0 && version != 1)
		rc = bad("its version is not 1");
	if (rc == 0)
		rc = get_text(a, json, "job_name", &p->job_name);
	if (rc == 0)
		rc = get_text(a, json, "firmware", &p->firmware);
	if (rc == 0)
		rc = get_text_or_null(a, json, "exit", &p->exit);
	if (rc == 0)
		rc = read_lists(a, json, p);
	if (rc == 0)
		rc = json_get_object(json, "copy", &copy);
	if (rc == 0)
		rc = read_copy(a, copy, &p->copy);
	if (rc == 0)
		rc = json_get_u64_or(estimate, "used_bytes", 0, &p->used_bytes);
	if (rc == 0)
		rc = json_get_u64_or(estimate, "compressed_bytes", 0, &p->compressed_bytes);
	if (rc == 0)
		rc = plan_digest(json, hex);
	if (rc < 0)
		return fail_in(rc, "plan");
	json_array_foreach (json_object_get(json, "suspended_files"), i, file) {
		if (json_is_string(file))
			*arena_push(a, &p->suspended_files, &p->suspended_file_count) =
				arena_strdup(a, json_string_value(file));
	}
	p->allow = joined(a, json_object_get(json, "allow"));
	p->digest = arena_strdup(a, hex);
	*out = p;
	return 0;
}
