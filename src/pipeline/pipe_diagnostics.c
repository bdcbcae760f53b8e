/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What whoever looks for the cause of a failure wants to see: the source's log and what the
 * receiver knows of it, in the job's diagnostics/, and in the bucket where the job says so. What
 * opens the receiver is taken out of it. It never fails a job.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/num.h"
#include "base/redact.h"
#include "pipeline/pipe_cloud.h"
#include "pipeline/pipe_sync.h"

#define KEY "diagnostics/"

static bool to_bucket(const struct course *c)
{
	return is_cloud(c) && json_is_true(json_object_get(c->job->options, "diagnostics")) &&
	       strcmp(pipe_option(c->job->options, "diagnostics_to"), "bucket") == 0;
}

static void hide_secrets(const struct course *c, char *text, size_t bytes)
{
	char token[2 * WIRE_TOKEN_BYTES + 1], code[WIRE_ACTIVATION_TEXT];

	if (!c->activation_known)
		return;
	hex_encode(c->activation.token, WIRE_TOKEN_BYTES, token);
	redact(text, bytes, token);
	if (wire_activation_encode(&c->activation, code) == 0)
		redact(text, bytes, code);
	explicit_bzero(token, sizeof(token));
	explicit_bzero(code, sizeof(code));
}

static void put(struct course *c, const char *name, const char *body, size_t bytes)
{
	CLEANUP_FREE char *key = NULL;
	struct cloud_object at;

	if (asprintf(&key, KEY "run%u/%s", c->job->run, name) < 0)
		return;
	at = course_object(c, key);
	if (course_cloud(c) < 0 || cloud_object_put(c->cloud, &at, body, bytes, "text/plain", NULL))
		log_debug("diagnostics: %s", err_reason());
}

static void keep(struct course *c, const char *dir, const char *url, const char *name)
{
	CLEANUP_FREE char *body = NULL;
	CLEANUP_FREE char *path = NULL;
	size_t bytes = 0;

	if (wire_control_fetch(c->link, url, NULL, &body, &bytes) < 0)
		return;
	hide_secrets(c, body, bytes);
	if (asprintf(&path, "%s/%s", dir, name) < 0)
		return;
	if (io_replace_file(path, body, bytes, 0600) < 0)
		log_debug("%s", err_reason());
	/* Only what the step below gives back. */
	if (to_bucket(c) && course_fact(c, "diagnostics"))
		put(c, name, body, bytes);
}

void sync_diagnostics(struct course *c)
{
	static const char *const artefacts[] = {"inventory.json", "job.json",	 "plan.json",
						"prepare.json",	  "verify.json", "copy-state.json"};
	CLEANUP_FREE char *dir = pipe_job_path(c->job, "diagnostics");
	char url[128], code[ERR_CODE_MAX], reason[ERR_REASON_MAX];

	snprintf(code, sizeof(code), "%s", err_code());
	snprintf(reason, sizeof(reason), "%s", err_reason());
	if (!c->link || !dir || !json_is_true(json_object_get(c->job->options, "diagnostics")) ||
	    io_mkdir(dir, 0700) < 0)
		return;
	keep(c, dir, "/v1/log", "source.log");
	keep(c, dir, "/v1/state", "state.json");
	keep(c, dir, "/metrics", "metrics.txt");
	keep(c, dir, "/v1/image", "image-order.json");
	for (size_t i = 0; i < ARRAY_SIZE(artefacts); i++) {
		snprintf(url, sizeof(url), "/v1/artefact/%s", artefacts[i]);
		keep(c, dir, url, artefacts[i]);
	}
	err_adopt(code, reason);
}

/* Nothing is made here: the fact says that there may be objects. */
static int diagnostics_make(struct course *c, json_t *fact)
{
	json_object_set_new(fact, "prefix", json_string(course_object(c, KEY).key));
	return 0;
}

static int diagnostics_undo(struct course *c, json_t *fact)
{
	return course_delete_objects(c, pipe_option(fact, "prefix"));
}

const struct pipe_step diagnostics_step = {
	.name = "diagnostics",
	.phase = PIPE_PREPARING,
	.costs = "diagnostics in the bucket, by their size",
	.wanted = to_bucket,
	.make = diagnostics_make,
	.undo = diagnostics_undo,
};
