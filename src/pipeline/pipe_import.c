/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ENS image of the objects in the bucket: what a job is for. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "pipeline/pipe_cloud.h"
#include "pipeline/pipe_names.h"

static int import_intend(struct course *c, json_t *fact)
{
	const char *prefix = pipe_option(c->job->options, "image_name_prefix");

	json_object_set_new(fact, "name",
			    json_string(name_ens_image(c->arena, prefix, c->job->id, c->job->run)));
	return 0;
}

/*
 * Not by course_find_thing(): an image that failed counts as found, so that it is removed before
 * another is made. No ClientToken here either, so the name, which is of this run alone, decides.
 */
static int find_image(struct course *c, const json_t *fact, struct cloud_thing *out, bool *found)
{
	const struct cloud_list what = {.kind = CLOUD_KIND_ENS_IMAGE,
					.name = pipe_option(fact, "name")};
	struct cloud_thing *list;
	size_t count;
	int rc = cloud_list(c->cloud, &what, c->arena, &list, &count);

	*found = rc == 0 && count > 0;
	if (*found)
		*out = list[0];
	return rc;
}

static json_t *objects_of(const struct course *c)
{
	return json_object_get(course_fact(c, is_direct(c) ? "upload" : "export"), "objects");
}

static json_t *import_params(struct course *c, const json_t *fact)
{
	const json_t *o = c->job->options;
	json_t *list = json_array(), *key, *p;
	const char *platform = pipe_option(o, "platform"), *version = pipe_option(o, "os_version");
	size_t i;

	json_array_foreach (objects_of(c), i, key)
		json_array_append_new(list, json_pack("{s:s, s:O, s:s}", "OSSBucket",
						      pipe_option(o, "bucket"), "OSSObject", key,
						      "OSSRegion", course_region(c)));
	p = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "ImageName", pipe_option(fact, "name"),
		      "ComputeType", "ens_vm", "Architecture", "x86_64", "OSType", "linux",
		      "ImageFormat", is_direct(c) ? "qcow2" : pipe_option(o, "image_format"),
		      "TargetOSSRegionId", pipe_option(o, "storage_region"), "DiskDeviceMapping",
		      cloud_json_text(c->arena, list));
	json_decref(list);
	if (p && *platform)
		json_object_set_new(p, "Platform", json_string(platform));
	if (p && *version)
		json_object_set_new(p, "OSVersion", json_string(version));
	if (p && strcmp(pipe_option(o, "licence_type"), "BYOL") == 0)
		json_object_set_new(p, "LicenseType", json_string("BYOL"));
	return p;
}

/* The call that may have had its effect although its reply was lost: look for some time. */
static int create(struct course *c, json_t *fact, const char **id)
{
	CLEANUP_JSON json_t *params = import_params(c, fact);
	struct cloud_thing thing;
	bool found = false;
	int rc = cloud_create(c->cloud, CLOUD_KIND_ENS_IMAGE, NULL, params, NULL, c->arena, id),
	    look;

	for (unsigned i = 0; rc == -EREMCHG && i < 20; i++) {
		look = course_wait(c, c->poll_ms);
		if (look == 0)
			look = find_image(c, fact, &thing, &found);
		if (look < 0)
			return look;
		if (found) {
			*id = thing.id;
			return 0;
		}
	}
	return rc == -EREMCHG ? create(c, fact, id) : rc;
}

/* What an earlier process may have made: eventual consistency hides it for a moment. */
static int adopt(struct course *c, const json_t *fact, const char **id)
{
	struct cloud_thing thing;
	bool found = false;
	int rc = 0;

	for (unsigned i = 0; rc == 0 && !found && i < 10; i++) {
		rc = find_image(c, fact, &thing, &found);
		if (rc == 0 && !found)
			rc = course_wait(c, c->poll_ms);
	}
	if (rc < 0 || !found)
		return rc;
	if (thing.phase == CLOUD_FAILED) {
		rc = cloud_delete(c->cloud, CLOUD_KIND_ENS_IMAGE, NULL, thing.id);
		return rc < 0 ? rc
			      : course_wait_thing(c, CLOUD_KIND_ENS_IMAGE, thing.id,
						  CLOUD_WANT_GONE, PIPE_WAIT_MS, NULL);
	}
	*id = thing.id;
	return 0;
}

static int import_make(struct course *c, json_t *fact)
{
	const char *id = *pipe_option(fact, "id") ? pipe_option(fact, "id") : NULL;
	int rc = course_cloud(c);

	if (rc == 0 && c->resumed) {
		id = NULL;
		rc = adopt(c, fact, &id);
	}
	if (rc == 0 && !id) {
		course_say(c, "import into ENS");
		rc = create(c, fact, &id);
	}
	if (rc < 0)
		return rc;
	json_object_set_new(fact, "id", json_string(id));
	rc = course_keep(c, fact);
	return rc < 0 ? rc
		      : course_wait_thing(c, CLOUD_KIND_ENS_IMAGE, id, CLOUD_WANT_READY,
					  PIPE_LONG_WAIT_MS, NULL);
}

static int import_undo(struct course *c, json_t *fact)
{
	struct cloud_thing thing;
	bool found;
	int rc = course_cloud(c);

	if (rc == 0)
		rc = find_image(c, fact, &thing, &found);
	if (rc < 0 || !found)
		return rc;
	rc = cloud_delete(c->cloud, CLOUD_KIND_ENS_IMAGE, NULL, thing.id);
	return rc < 0 ? rc
		      : course_wait_thing(c, CLOUD_KIND_ENS_IMAGE, thing.id, CLOUD_WANT_GONE,
					  PIPE_WAIT_MS, NULL);
}

const struct pipe_step import_step = {
	.name = "import",
	.phase = PIPE_PROCESSING,
	.per_run = true,
	.result = true,
	.wanted = is_cloud,
	.intend = import_intend,
	.make = import_make,
	.undo = import_undo,
};
