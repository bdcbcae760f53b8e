/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pipeline list and clean: what jobs made in an account, found without any state of theirs. */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "cloud/cloud.h"
#include "cmd/cmd.h"
#include "cmd/cmd_pipeline.h"

static const char *setting(const struct pipeline_args *a, const char *key)
{
	return json_string_value(json_object_get(a->settings, key));
}

/* Whether what was said makes sense; a word that is not known would be a bucket not looked into. */
static int judge(const struct pipeline_args *a)
{
	char what[160];
	const char *key;
	json_t *v;

	json_object_foreach (a->settings, key, v) {
		snprintf(what, sizeof(what), "\"%.60s\" is not known here", key);
		if (strcmp(key, "region") != 0 && strcmp(key, "bucket") != 0 &&
		    strcmp(key, "images") != 0)
			return pipeline_usage(a->verb, what);
	}
	if (!setting(a, "region"))
		return pipeline_usage(a->verb, "region=REGION is missing");
	snprintf(what, sizeof(what), "name the job by its id, j-...; not \"%.60s\"",
		 a->job ? a->job : "");
	if (a->job && !pipe_is_id(a->job))
		return pipeline_usage(a->verb, what);
	return -1;
}

static void show(const json_t *found)
{
	json_t *thing;
	size_t i;

	json_array_foreach ((json_t *)found, i, thing)
		printf("%-20s %-20s %s %s\n", json_string_value(json_object_get(thing, "job")),
		       json_string_value(json_object_get(thing, "kind")),
		       json_string_value(json_object_get(thing, "id")),
		       json_string_value(json_object_get(thing, "name")));
}

static int show_json(const json_t *found)
{
	CLEANUP_FREE char *text = json_text(found);

	return text && fputs(text, stdout) >= 0 ? 0 : fail(ENOMEM, "memory for the list");
}

int cmd_pipeline_clean(int argc, char **argv)
{
	CLEANUP(pipeline_args_fini) struct pipeline_args a;
	CLEANUP_JSON json_t *found = NULL;
	struct cloud_options cloud = {0};
	struct pipe_outside outside = {.cloud = &cloud};
	int status = pipeline_args(&a, argc, argv), rc;
	struct pipe_sweep what;
	bool clean;

	if (status >= 0)
		return status;
	clean = strcmp(a.verb, "clean") == 0;
	what = (struct pipe_sweep){.region = setting(&a, "region"),
				   .bucket = setting(&a, "bucket"),
				   .job = a.job,
				   .root = a.root,
				   .remove = clean && a.yes,
				   .images = json_is_true(json_object_get(a.settings, "images")),
				   .poll_ms = pipeline_number("COLDLIFT_CLOUD_POLL_MS")};
	status = judge(&a);
	if (status >= 0)
		return status;
	rc = cloud_options_from_environment(&cloud);
	if (rc == 0)
		rc = pipe_sweep(&what, &outside, &found);
	if (found && a.json)
		show_json(found);
	else if (found && !a.quiet)
		show(found);
	if (rc == 0 && clean && !a.yes && json_array_size(found))
		fprintf(stderr, "nothing was removed; say --yes\n");
	if (rc == 0 && !json_array_size(found) && !a.quiet)
		fprintf(stderr, "nothing was found\n");
	if (rc == 0 && !what.bucket && !a.quiet)
		fprintf(stderr, "no bucket was named, so objects and uploads were not looked "
				"for\n");
	return pipeline_report(a.verb, rc);
}
