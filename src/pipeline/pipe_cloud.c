/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the steps that work in a cloud account share; see pipe_cloud.h. */
#include "pipeline/pipe_cloud.h"
#include "pipeline/pipe_names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/num.h"

bool is_cloud(const struct course *c)
{
	return !course_is_way(c, "local");
}

bool is_ecs(const struct course *c)
{
	return course_is_way(c, "ecs");
}

bool is_direct(const struct course *c)
{
	return course_is_way(c, "direct");
}

const char *course_region(const struct course *c)
{
	return pipe_option(c->job->options, "intermediate_region");
}

static int pause_course(void *ctx, uint64_t ms)
{
	return course_wait(ctx, ms) < 0;
}

int course_cloud(struct course *c)
{
	struct cloud_options o = c->outside->cloud ? *c->outside->cloud : (struct cloud_options){0};

	if (c->cloud)
		return 0;
	o.region = course_region(c);
	o.pause = pause_course;
	o.ctx = c;
	return cloud_open(&o, &c->cloud);
}

void course_cloud_close(struct course *c)
{
	cloud_close(c->cloud);
	c->cloud = NULL;
}

struct cloud_object course_object(struct course *c, const char *key)
{
	return (struct cloud_object){
		.region = course_region(c),
		.bucket = pipe_option(c->job->options, "bucket"),
		.key = name_object(c->arena, c->job->id, key ? key : ""),
	};
}

json_t *course_tags(const struct course *c)
{
	json_t *list = json_array(), *given = json_object_get(c->job->options, "tags"), *v;
	const char *key;

	json_array_append_new(list, json_pack("{s:s, s:s}", "Key", PIPE_TAG, "Value", c->job->id));
	/* A resource takes 20 tags, and one is ours. */
	json_object_foreach (given, key, v) {
		if (json_array_size(list) < PIPE_TAGS_MAX)
			json_array_append_new(list,
					      json_pack("{s:s, s:O}", "Key", key, "Value", v));
	}
	return list;
}

const char *course_name(struct course *c, const char *what)
{
	return arena_printf(c->arena, "coldlift-%s-%s", c->job->id + 2, what);
}

int course_intend(struct course *c, json_t *fact, const char *name)
{
	char token[CLOUD_TOKEN_BYTES];
	int rc = cloud_new_token(token);

	(void)c;
	if (rc == 0 && (json_object_set_new(fact, "token", json_string(token)) < 0 ||
			json_object_set_new(fact, "name", json_string(name)) < 0))
		rc = fail(ENOMEM, "%s", name);
	return rc;
}

int course_find_thing(struct course *c, const json_t *fact, enum cloud_kind kind, bool tagged,
		      const char **id)
{
	const struct cloud_list what = {.kind = kind,
					.region = course_region(c),
					.name = pipe_option(fact, "name"),
					.tag_key = tagged ? PIPE_TAG : NULL,
					.tag_value = tagged ? c->job->id : NULL};
	struct cloud_thing *list;
	size_t count;
	int rc = cloud_list(c->cloud, &what, c->arena, &list, &count);

	*id = NULL;
	for (size_t i = 0; rc == 0 && i < count; i++) {
		if (list[i].phase != CLOUD_LEAVING)
			*id = list[i].id;
	}
	return rc;
}

static int seen(void *ctx, const struct cloud_thing *thing)
{
	struct course *c = ctx;

	c->progress.percent = thing->percent;
	snprintf(c->progress.step, sizeof(c->progress.step), "%s %s: %s",
		 cloud_kind_name(thing->kind), thing->id, thing->state);
	course_show(c, false);
	return 0;
}

int course_wait_thing(struct course *c, enum cloud_kind kind, const char *id,
		      enum cloud_wanted wanted, uint64_t for_ms, struct cloud_thing *out)
{
	const struct cloud_wait what = {.kind = kind,
					.region = course_region(c),
					.id = id,
					.wanted = wanted,
					.every_ms = c->cloud_poll_ms,
					.for_ms = for_ms,
					.seen = seen,
					.ctx = c};

	return cloud_wait(c->cloud, &what, c->arena, out);
}

int course_drop_failed(struct course *c, json_t *fact, json_t *thing, enum cloud_kind kind, int rc)
{
	char code[96], reason[512];
	int dropped = 0;

	if (rc != -EIO || strcmp(err_code(), "CLOUD_THING_FAILED") != 0)
		return rc;
	snprintf(code, sizeof(code), "%s", err_code());
	snprintf(reason, sizeof(reason), "%s", err_reason());
	/* A task that failed is only a record. */
	if (kind != CLOUD_KIND_EXPORT_TASK)
		dropped = cloud_delete(c->cloud, kind, course_region(c), pipe_option(thing, "id"));
	if (dropped == 0) {
		json_object_del(thing, "id");
		if (*pipe_option(thing, "token"))
			dropped = course_intend(c, thing, pipe_option(thing, "name"));
	}
	if (dropped == 0)
		(void)course_keep(c, fact);
	err_adopt(code, reason);
	return rc;
}

int course_make_thing(struct course *c, json_t *fact, enum cloud_kind kind, const json_t *params,
		      bool tagged)
{
	const char *id = *pipe_option(fact, "id") ? pipe_option(fact, "id") : NULL;
	int rc = course_cloud(c);

	if (rc == 0 && !id && c->resumed)
		rc = course_find_thing(c, fact, kind, tagged, &id);
	if (rc == 0 && !id)
		rc = cloud_create(c->cloud, kind, course_region(c), params,
				  pipe_option(fact, "token"), c->arena, &id);
	if (rc == 0 && !*pipe_option(fact, "id")) {
		json_object_set_new(fact, "id", json_string(id));
		rc = course_keep(c, fact);
	}
	if (rc == 0)
		rc = course_wait_thing(c, kind, pipe_option(fact, "id"), CLOUD_WANT_READY,
				       PIPE_WAIT_MS, NULL);
	return course_drop_failed(c, fact, fact, kind, rc);
}

/* What still uses it goes away by itself, in minutes. */
static int delete_patiently(struct course *c, enum cloud_kind kind, const char *id)
{
	int rc = cloud_delete(c->cloud, kind, course_region(c), id);

	for (unsigned i = 0; (rc == -EALREADY || rc == -EBUSY) && i < 300; i++) {
		rc = course_wait(c, c->poll_ms);
		if (rc == 0)
			rc = cloud_delete(c->cloud, kind, course_region(c), id);
	}
	return rc;
}

int course_delete_thing(struct course *c, const json_t *fact, enum cloud_kind kind, bool tagged)
{
	const char *id = *pipe_option(fact, "id") ? pipe_option(fact, "id") : NULL;
	int rc = course_cloud(c);

	/* Made, but we were ended before we knew its id. */
	if (rc == 0 && !id)
		rc = course_find_thing(c, fact, kind, tagged, &id);
	if (rc < 0 || !id)
		return rc;
	rc = delete_patiently(c, kind, id);
	return rc < 0 ? rc : course_wait_thing(c, kind, id, CLOUD_WANT_GONE, PIPE_WAIT_MS, NULL);
}

int course_delete_objects(struct course *c, const char *prefix)
{
	struct cloud_object at = course_object(c, NULL);
	struct cloud_object_info *objects = NULL;
	struct cloud_upload *uploads = NULL;
	size_t n = 0, m = 0;
	int rc = course_cloud(c);

	at.key = prefix;
	if (rc == 0)
		rc = cloud_upload_list(c->cloud, &at, c->arena, &uploads, &n);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		at.key = uploads[i].key;
		rc = cloud_upload_abort(c->cloud, &at, uploads[i].upload_id);
	}
	at.key = prefix;
	if (rc == 0)
		rc = cloud_object_list(c->cloud, &at, c->arena, &objects, &m);
	for (size_t i = 0; rc == 0 && i < m; i++) {
		at.key = objects[i].key;
		rc = cloud_object_delete(c->cloud, &at);
	}
	return rc;
}

/* The sizes of a plan's disks, or of those of the inventory that it is made from. */
static int plan_gib(const char *path, uint64_t gib[PIPE_DISKS_MAX], size_t *count)
{
	CLEANUP_JSON json_t *plan = NULL;
	json_t *disks, *disk;
	size_t i;
	int rc = json_read_file(path, &plan);

	if (rc < 0)
		return rc;
	disks = json_object_get(plan, "disks");
	json_array_foreach (disks, i, disk) {
		uint64_t bytes = pipe_option_u64(disk, "target_bytes"), max = *count ? 500 : 2048;

		if (!bytes)
			bytes = pipe_option_u64(disk, "size_bytes");
		if (!bytes || json_object_get(disk, "path_of"))
			continue;
		if (*count > PIPE_ENS_DATA_DISKS)
			return fail_code(EINVAL, "ReplicationJobDataDiskIndex.Invalid",
					 "%s: an ENS image has at most %d data disks", path,
					 PIPE_ENS_DATA_DISKS);
		gib[*count] = max_of(div_up(bytes, GIB), *count ? (uint64_t)1 : (uint64_t)20);
		if (gib[*count] > max)
			return fail_code(EINVAL, "InvalidParameter.Disks",
					 "%s: disk %zu has %llu GiB, and %llu are taken", path,
					 *count, (unsigned long long)gib[*count],
					 (unsigned long long)max);
		++*count;
	}
	return *count ? 0 : fail_code(EINVAL, "JOB_INVALID", "%s names no disks", path);
}

static int disk_gib(const json_t *options, uint64_t gib[PIPE_DISKS_MAX], size_t *count)
{
	json_t *disks = json_object_get(options, "disks"), *disk;
	size_t i;

	*count = 0;
	if (!disks)
		return plan_gib(pipe_option(options, "plan"), gib, count);
	json_array_foreach (disks, i, disk)
		gib[(*count)++] = pipe_option_u64(disk, "size_gib");
	return 0;
}

int course_disk_gib(const struct course *c, uint64_t gib[PIPE_DISKS_MAX], size_t *count)
{
	return disk_gib(c->job->options, gib, count);
}

int pipe_plan_check(const json_t *options)
{
	uint64_t gib[PIPE_DISKS_MAX];
	size_t count;

	/* Whatever the reason: it is an option that is wrong. */
	return strcmp(pipe_option(options, "way"), "local") != 0 &&
			       disk_gib(options, gib, &count) < 0
		       ? -EINVAL
		       : 0;
}

int cloud_remove_image(struct course *c, const char *id)
{
	int rc = course_cloud(c);

	if (rc == 0)
		rc = cloud_delete(c->cloud, CLOUD_KIND_ENS_IMAGE, NULL, id);
	return rc < 0 ? rc
		      : course_wait_thing(c, CLOUD_KIND_ENS_IMAGE, id, CLOUD_WANT_GONE,
					  PIPE_WAIT_MS, NULL);
}
