/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Way "ecs": snapshots of the instance's data disks, one image of them, its export to the bucket.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/num.h"
#include "pipeline/pipe_cloud.h"
#include "pipeline/pipe_names.h"

/* ---- snapshots, all at once ---- */

static int snapshot_intend(struct course *c, json_t *fact)
{
	json_t *disks = json_object_get(course_fact(c, "sync"), "disks"), *list = json_array();
	size_t i;
	json_t *disk;

	json_array_foreach (disks, i, disk) {
		char token[CLOUD_TOKEN_BYTES];
		int rc = cloud_new_token(token);

		if (rc < 0) {
			json_decref(list);
			return rc;
		}
		json_array_append_new(list, json_pack("{s:s, s:o, s:O}", "token", token, "name",
						      json_sprintf("coldlift-%s-r%u-disk%zu",
								   c->job->id + 2, c->job->run, i),
						      "index", json_object_get(disk, "index")));
	}
	json_object_set_new(fact, "list", list);
	return 0;
}

/* The instance's data disks by the names that we gave them. */
static int disk_ids(struct course *c, const char *ids[PIPE_DISKS_MAX])
{
	CLEANUP_JSON json_t *filter =
		json_pack("{s:s, s:s}", "InstanceId", course_fact_text(c, "instance", "id"),
			  "DiskType", "data");
	const struct cloud_list what = {
		.kind = CLOUD_KIND_DISK, .region = course_region(c), .filter = filter};
	struct cloud_thing *list;
	size_t count;
	int rc = cloud_list(c->cloud, &what, c->arena, &list, &count);

	for (size_t i = 0; rc == 0 && i < count; i++) {
		unsigned n;

		if (sscanf(list[i].name, "coldlift-disk%u", &n) == 1 && n < PIPE_DISKS_MAX)
			ids[n] = list[i].id;
	}
	return rc;
}

static int begin_snapshot(struct course *c, json_t *one, const char *disk)
{
	CLEANUP_JSON json_t *params =
		json_pack("{s:s, s:s, s:i, s:o}", "DiskId", disk, "SnapshotName",
			  pipe_option(one, "name"), "RetentionDays", 30, "Tag", course_tags(c));
	const char *id = NULL;
	int rc = 0;

	if (c->resumed)
		rc = course_find_thing(c, one, CLOUD_KIND_SNAPSHOT, true, &id);
	if (rc == 0 && !id)
		rc = cloud_create(c->cloud, CLOUD_KIND_SNAPSHOT, course_region(c), params,
				  pipe_option(one, "token"), c->arena, &id);
	/* A data disk that nothing was written to has none; the image gets an empty disk. */
	if (rc < 0 && strncmp(err_code(), "IncorrectDiskStatus.Never", 25) == 0 &&
	    pipe_option_u64(one, "index") > 0) {
		json_object_set_new(one, "empty", json_true());
		return 0;
	}
	if (rc == 0)
		json_object_set_new(one, "id", json_string(id));
	return rc;
}

static int snapshot_make(struct course *c, json_t *fact)
{
	json_t *list = json_object_get(fact, "list"), *one;
	const char *disks[PIPE_DISKS_MAX] = {NULL};
	int rc = course_cloud(c);
	size_t i;

	if (rc == 0)
		rc = disk_ids(c, disks);
	json_array_foreach (list, i, one) {
		uint64_t n = pipe_option_u64(one, "index");

		if (rc < 0 || *pipe_option(one, "id") || json_object_get(one, "empty"))
			continue;
		rc = n < PIPE_DISKS_MAX && disks[n]
			     ? begin_snapshot(c, one, disks[n])
			     : fail_code(ENOENT, "InvalidDiskId.NotFound",
					 "the instance has no disk %llu", (unsigned long long)n);
		if (rc == 0)
			rc = course_keep(c, fact);
	}
	json_array_foreach (list, i, one) {
		if (rc == 0 && *pipe_option(one, "id"))
			rc = course_drop_failed(
				c, fact, one, CLOUD_KIND_SNAPSHOT,
				course_wait_thing(c, CLOUD_KIND_SNAPSHOT, pipe_option(one, "id"),
						  CLOUD_WANT_READY, PIPE_LONG_WAIT_MS, NULL));
	}
	return rc;
}

static int snapshot_undo(struct course *c, json_t *fact)
{
	json_t *list = json_object_get(fact, "list"), *one;
	int rc = 0;
	size_t i;

	json_array_foreach (list, i, one) {
		if (rc == 0 && !json_object_get(one, "empty"))
			rc = course_delete_thing(c, one, CLOUD_KIND_SNAPSHOT, true);
	}
	return rc;
}

const struct pipe_step snapshot_step = {
	.name = "snapshots",
	.phase = PIPE_PROCESSING,
	.per_run = true,
	.temporary = true,
	.costs = "by their size, as long as they exist",
	.wanted = is_ecs,
	.intend = snapshot_intend,
	.make = snapshot_make,
	.undo = snapshot_undo,
};

/* ---- the image ---- */

static int image_intend(struct course *c, json_t *fact)
{
	char what[32];

	snprintf(what, sizeof(what), "r%u", c->job->run);
	return course_intend(c, fact, course_name(c, what));
}

static json_t *mappings(struct course *c)
{
	json_t *list = json_array(),
	       *snapshots = json_object_get(course_fact(c, "snapshots"), "list");
	uint64_t gib[PIPE_DISKS_MAX] = {0};
	json_t *one;
	size_t i, count;

	/* The disks that the instance was made with; a plan is never larger. */
	if (course_disk_gib(c, gib, &count) < 0)
		return list;
	json_array_foreach (snapshots, i, one) {
		json_t *m = json_pack("{s:s, s:o, s:o}", "DiskType", i ? "data" : "system",
				      "Device", json_sprintf("/dev/xvd%c", (int)('a' + i)), "Size",
				      json_u64(gib[pipe_option_u64(one, "index")]));

		if (*pipe_option(one, "id"))
			json_object_set_new(m, "SnapshotId", json_string(pipe_option(one, "id")));
		json_array_append_new(list, m);
	}
	return list;
}

static int image_once(struct course *c, json_t *fact)
{
	const json_t *o = c->job->options;
	bool uefi = strcmp(pipe_option(o, "firmware"), "uefi") == 0;
	CLEANUP_JSON json_t *params = json_pack(
		"{s:s, s:s, s:s, s:s, s:o, s:o}", "ImageName", pipe_option(fact, "name"),
		"Platform", "Others Linux", "Architecture", "x86_64", "BootMode",
		uefi ? "UEFI" : "BIOS", "DiskDeviceMapping", mappings(c), "Tag", course_tags(c));

	return course_make_thing(c, fact, CLOUD_KIND_IMAGE, params, true);
}

/* A name that somebody else took: SMC appends to it, and so do we. */
static int image_make(struct course *c, json_t *fact)
{
	int rc = image_once(c, fact);

	for (unsigned i = 2; rc == -EEXIST && i < 10; i++) {
		char what[32];

		snprintf(what, sizeof(what), "r%u_%u", c->job->run, i);
		rc = course_intend(c, fact, course_name(c, what));
		if (rc == 0)
			rc = course_keep(c, fact);
		if (rc == 0)
			rc = image_once(c, fact);
	}
	return rc;
}

static int image_undo(struct course *c, json_t *fact)
{
	return course_delete_thing(c, fact, CLOUD_KIND_IMAGE, true);
}

const struct pipe_step image_step = {
	.name = "image",
	.phase = PIPE_PROCESSING,
	.per_run = true,
	.temporary = true,
	.costs = "by the snapshots behind it, as long as it exists",
	.wanted = is_ecs,
	.intend = image_intend,
	.make = image_make,
	.undo = image_undo,
};

/* ---- its export: no ClientToken, so the task is looked for by its image ---- */

static int export_intend(struct course *c, json_t *fact)
{
	json_object_set_new(fact, "prefix",
			    json_string(name_export(c->arena, c->job->id, c->job->run)));
	return 0;
}

static int find_task(struct course *c, const char **id)
{
	CLEANUP_JSON json_t *filter =
		json_pack("{s:[s]}", "ResourceIds", course_fact_text(c, "image", "id"));
	const struct cloud_list what = {
		.kind = CLOUD_KIND_EXPORT_TASK, .region = course_region(c), .filter = filter};
	struct cloud_thing *list;
	size_t count;
	int rc = cloud_list(c->cloud, &what, c->arena, &list, &count);

	*id = NULL;
	for (size_t i = 0; rc == 0 && i < count; i++) {
		if (list[i].phase != CLOUD_FAILED)
			*id = list[i].id;
	}
	return rc;
}

static int begin_export(struct course *c, const json_t *fact, const char **id)
{
	const char *role = pipe_option(c->job->options, "export_role");
	CLEANUP_JSON json_t *params = json_pack(
		"{s:s, s:s, s:s, s:s}", "ImageId", course_fact_text(c, "image", "id"), "OSSBucket",
		pipe_option(c->job->options, "bucket"), "OSSPrefix", pipe_option(fact, "prefix"),
		"ImageFormat", pipe_option(c->job->options, "image_format"));
	int rc;

	if (*role)
		json_object_set_new(params, "RoleName", json_string(role));
	rc = cloud_create(c->cloud, CLOUD_KIND_EXPORT_TASK, course_region(c), params, NULL,
			  c->arena, id);
	/* It runs already, or might: a task that was made a moment ago shows after a moment. */
	for (unsigned i = 0; (rc == -EALREADY || rc == -EREMCHG) && i < 30; i++) {
		int waited = course_wait(c, c->poll_ms);

		if (waited < 0)
			return waited;
		if (find_task(c, id) == 0 && *id)
			return 0;
		/* The reply was lost, and nothing of it shows: it never arrived. */
		if (rc == -EREMCHG && i >= 10)
			return begin_export(c, fact, id);
	}
	return rc;
}

static bool is_system(const char *key)
{
	return strstr(key, "_system.") != NULL;
}

/* The system disk first, then data disks in the order of their device names. */
static int by_disk(const void *a, const void *b)
{
	const char *x = *(const char *const *)a, *y = *(const char *const *)b;

	return is_system(x) != is_system(y) ? (is_system(x) ? -1 : 1) : strcmp(x, y);
}

static int exported(struct course *c, json_t *fact)
{
	struct cloud_object at = course_object(c, NULL);
	struct cloud_object_info *list;
	const char **keys = NULL;
	size_t count = 0, n;
	json_t *out = json_array();
	int rc = cloud_export_objects(c->cloud, course_region(c), pipe_option(fact, "id"), c->arena,
				      &keys, &count);

	/* A task may name only one object of several; the bucket has them all. */
	at.key = pipe_option(fact, "prefix");
	if (rc == 0)
		rc = cloud_object_list(c->cloud, &at, c->arena, &list, &n);
	if (rc == 0 && n > count) {
		keys = arena_alloc(c->arena, n * sizeof(*keys));
		for (count = 0; count < n; count++)
			keys[count] = list[count].key;
	}
	if (count)
		qsort(keys, count, sizeof(*keys), by_disk);
	for (size_t i = 0; rc == 0 && i < count; i++)
		json_array_append_new(out, json_string(keys[i]));
	json_object_set_new(fact, "objects", out);
	if (rc == 0 && !count)
		rc = fail_code(EBADMSG, "ExportImageFailed", "the export wrote no objects");
	return rc;
}

static int export_make(struct course *c, json_t *fact)
{
	const char *id = NULL;
	int rc = course_cloud(c);

	if (rc == 0 && !*pipe_option(fact, "id")) {
		if (c->resumed)
			rc = find_task(c, &id);
		if (rc == 0 && !id)
			rc = begin_export(c, fact, &id);
		if (rc < 0)
			return rc;
		json_object_set_new(fact, "id", json_string(id));
		rc = course_keep(c, fact);
	}
	if (rc == 0)
		rc = course_wait_thing(c, CLOUD_KIND_EXPORT_TASK, pipe_option(fact, "id"),
				       CLOUD_WANT_READY, PIPE_LONG_WAIT_MS, NULL);
	rc = course_drop_failed(c, fact, fact, CLOUD_KIND_EXPORT_TASK, rc);
	return rc < 0 ? rc : exported(c, fact);
}

static int export_undo(struct course *c, json_t *fact)
{
	const char *id = *pipe_option(fact, "id") ? pipe_option(fact, "id") : NULL;
	int rc = course_cloud(c);

	/* A task that runs would write after us. One that is through cannot be cancelled. */
	if (rc == 0 && !id && *course_fact_text(c, "image", "id"))
		rc = find_task(c, &id);
	if (rc == 0 && id && !json_object_get(fact, "objects")) {
		rc = cloud_delete(c->cloud, CLOUD_KIND_EXPORT_TASK, course_region(c), id);
		if (rc < 0 && strstr(err_code(), "IncorrectTaskStatus"))
			rc = 0;
	}
	return rc < 0 ? rc : course_delete_objects(c, pipe_option(fact, "prefix"));
}

const struct pipe_step export_step = {
	.name = "export",
	.phase = PIPE_PROCESSING,
	.per_run = true,
	.temporary = true,
	.costs = "objects in the bucket, by their size, as long as they exist",
	.wanted = is_ecs,
	.intend = export_intend,
	.make = export_make,
	.undo = export_undo,
};
