/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What jobs left in an account, found by their tag and by names that only jobs give: for a state
 * directory that was lost. Cleaning goes in the order in which things stand on each other.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "pipeline/pipe_cloud.h"
#include "pipeline/pipe_names.h"

#define LOOKS_AGAIN 2

struct sweep {
	struct cloud *cloud;
	const struct pipe_sweep *what;
	struct arena *arena;
	json_t *found;
};

/* In the order in which they can go. */
static const enum cloud_kind tagged[] = {
	CLOUD_KIND_INSTANCE,	   CLOUD_KIND_DISK,    CLOUD_KIND_IMAGE, CLOUD_KIND_SNAPSHOT,
	CLOUD_KIND_SECURITY_GROUP, CLOUD_KIND_VSWITCH, CLOUD_KIND_VPC};

static bool wanted(const struct sweep *s, const char *job)
{
	return !s->what->job || strcmp(s->what->job, job) == 0;
}

static void put(struct sweep *s, const char *job, const char *kind, const char *id,
		const char *name)
{
	json_array_append_new(s->found, json_pack("{s:s, s:s, s:s, s:s}", "job", job, "kind", kind,
						  "id", id, "name", name));
}

static bool is_found(const struct sweep *s, const char *id)
{
	size_t i;
	json_t *thing;

	json_array_foreach (s->found, i, thing)
		if (strcmp(pipe_option(thing, "id"), id) == 0)
			return true;
	return false;
}

/* A disk in use is a thing of its own only when the instance that goes before it leaves it. */
static bool goes_by_itself(const struct sweep *s, const struct cloud_thing *disk)
{
	return !*disk->parent ||
	       (json_is_false(json_object_get(disk->item, "DeleteWithInstance")) &&
		is_found(s, disk->parent));
}

static int find_tagged(struct sweep *s, enum cloud_kind kind)
{
	const struct cloud_list what = {.kind = kind,
					.region = s->what->region,
					.tag_key = PIPE_TAG,
					.tag_value = s->what->job};
	struct cloud_thing *list;
	size_t count;
	int rc = cloud_list(s->cloud, &what, s->arena, &list, &count);

	for (size_t i = 0; rc == 0 && i < count; i++) {
		const char *job = s->what->job ? s->what->job : cloud_thing_tag(&list[i], PIPE_TAG);

		if (kind == CLOUD_KIND_DISK && !goes_by_itself(s, &list[i]))
			continue;
		put(s, job ? job : "", cloud_kind_name(kind), list[i].id, list[i].name);
	}
	return rc;
}

static int find_objects(struct sweep *s, const char *prefix)
{
	struct cloud_object at = {
		.region = s->what->region, .bucket = s->what->bucket, .key = prefix};
	struct cloud_object_info *objects = NULL;
	struct cloud_upload *uploads = NULL;
	size_t n = 0, m = 0;
	int rc = cloud_object_list(s->cloud, &at, s->arena, &objects, &n);

	if (rc == 0)
		rc = cloud_upload_list(s->cloud, &at, s->arena, &uploads, &m);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		const char *job = job_of_object(s->arena, objects[i].key);

		if (job && wanted(s, job))
			put(s, job, "object", objects[i].key, "");
	}
	for (size_t i = 0; rc == 0 && i < m; i++) {
		const char *job = job_of_object(s->arena, uploads[i].key);

		if (job && wanted(s, job))
			put(s, job, "upload", uploads[i].upload_id, uploads[i].key);
	}
	return rc;
}

/* They are what jobs are for: listed, and removed only when they are no good, or when it is asked
 * for. */
static int find_images(struct sweep *s)
{
	const struct cloud_list what = {.kind = CLOUD_KIND_ENS_IMAGE};
	struct cloud_thing *list;
	size_t count;
	int rc = cloud_list(s->cloud, &what, s->arena, &list, &count);

	for (size_t i = 0; rc == 0 && i < count; i++) {
		const char *job = job_of_ens_image(s->arena, list[i].name);

		if (job && wanted(s, job))
			put(s, job,
			    list[i].phase == CLOUD_READY ? "ens-image" : "unfinished-ens-image",
			    list[i].id, list[i].name);
	}
	return rc;
}

static int find_all(struct sweep *s)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(tagged) / sizeof(*tagged); i++)
		rc = find_tagged(s, tagged[i]);
	if (rc == 0 && s->what->bucket)
		rc = find_objects(s, PIPE_OBJECTS);
	if (rc == 0 && s->what->bucket)
		rc = find_objects(s, PIPE_EXPORTS);
	return rc < 0 ? rc : find_images(s);
}

static int remove_object(struct sweep *s, const char *kind, const char *id, const char *name)
{
	struct cloud_object at = {.region = s->what->region, .bucket = s->what->bucket};

	if (strcmp(kind, "object") == 0) {
		at.key = id;
		return cloud_object_delete(s->cloud, &at);
	}
	at.key = name;
	return cloud_upload_abort(s->cloud, &at, id);
}

/* A task that still exports would write after we looked. */
static int cancel_exports(struct sweep *s, const char *image)
{
	CLEANUP_JSON json_t *filter = json_pack("{s:[s]}", "ResourceIds", image);
	const struct cloud_list what = {
		.kind = CLOUD_KIND_EXPORT_TASK, .region = s->what->region, .filter = filter};
	struct cloud_thing *list;
	size_t count;
	int rc = cloud_list(s->cloud, &what, s->arena, &list, &count);

	for (size_t i = 0; rc == 0 && i < count; i++) {
		if (list[i].phase == CLOUD_PENDING)
			rc = cloud_delete(s->cloud, CLOUD_KIND_EXPORT_TASK, s->what->region,
					  list[i].id);
	}
	return rc;
}

static int remove_thing(struct sweep *s, enum cloud_kind kind, const char *id)
{
	const struct cloud_wait gone = {.kind = kind,
					.region = s->what->region,
					.id = id,
					.wanted = CLOUD_WANT_GONE,
					.every_ms = s->what->poll_ms,
					.for_ms = PIPE_WAIT_MS};
	int rc = kind == CLOUD_KIND_IMAGE ? cancel_exports(s, id) : 0;

	if (rc == 0)
		rc = cloud_delete(s->cloud, kind, s->what->region, id);
	return rc < 0 ? rc : cloud_wait(s->cloud, &gone, s->arena, NULL);
}

/* By a process on this host; of another's nothing is known here. */
static bool is_running(const struct sweep *s, const char *job)
{
	CLEANUP_JOB struct pipe_job j = {.lock_fd = -1, .journal.fd = -1};

	return s->what->root && pipe_is_id(job) &&
	       pipe_job_open(s->what->root, job, PIPE_READ, &j) == 0 && pipe_job_is_run(&j);
}

static int remove_one(struct sweep *s, const json_t *thing)
{
	const char *kind = pipe_option(thing, "kind"), *id = pipe_option(thing, "id");
	enum cloud_kind k;

	if (is_running(s, pipe_option(thing, "job"))) {
		log_warn("%s %s stays: job %s runs on this host", kind, id,
			 pipe_option(thing, "job"));
		return 0;
	}
	if (strcmp(kind, "ens-image") == 0 && !s->what->images)
		return 0;
	if (strcmp(kind, "object") == 0 || strcmp(kind, "upload") == 0)
		return remove_object(s, kind, id, pipe_option(thing, "name"));
	k = CLOUD_KIND_ENS_IMAGE;
	if (strstr(kind, "ens-image") == NULL && cloud_kind_parse(kind, &k) < 0)
		return 0;
	log_info("remove %s %s of job %s", kind, id, pipe_option(thing, "job"));
	return remove_thing(s, k, id);
}

/* Look, and remove if that is wanted; what was seen for the first time is added to all. */
static int look(struct sweep *s, json_t *all)
{
	CLEANUP_JSON json_t *found = json_array();
	size_t i, k;
	json_t *thing, *told;
	int rc;

	if (!found)
		return fail(ENOMEM, "memory to clean up");
	s->found = found;
	rc = find_all(s);
	json_array_foreach (found, i, thing) {
		bool known = false;

		json_array_foreach (all, k, told)
			known = known || json_equal(told, thing);
		if (!known)
			json_array_append(all, thing);
		if (rc == 0 && s->what->remove)
			rc = remove_one(s, thing);
	}
	return rc;
}

int pipe_sweep(const struct pipe_sweep *what, const struct pipe_outside *outside, json_t **found)
{
	struct cloud_options o = outside->cloud ? *outside->cloud : (struct cloud_options){0};
	CLEANUP_ARENA struct arena *arena = arena_new();
	struct sweep s = {.what = what, .arena = arena};
	int rc;

	*found = json_array();
	if (!arena || !*found)
		return fail(ENOMEM, "memory to clean up");
	o.region = what->region;
	rc = cloud_open(&o, &s.cloud);
	if (rc == 0)
		rc = look(&s, *found);
	/* What a job made last may not have been in the lists, and keeps the rest from going. */
	for (int again = 0; rc == -EAGAIN && what->remove && again < LOOKS_AGAIN; again++)
		rc = look(&s, *found);
	cloud_close(s.cloud);
	return rc;
}
