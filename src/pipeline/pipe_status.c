/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a job is, for showing. State comes from the journal, progress from the status file that the
 * running process replaces; where nobody runs the job, old progress is no progress.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "pipeline/pipe_command.h"
#include "pipeline/pipe_show.h"

#define SHOW_MS 500

static void time_text(uint64_t at_s, char out[CLOCK_TEXT_BYTES])
{
	time_t at = (time_t)at_s;
	struct tm tm;

	gmtime_r(&at, &tm);
	strftime(out, CLOCK_TEXT_BYTES, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* What costs something as long as the job is kept as it is. */
static json_t *kept(const struct pipe_job *j)
{
	json_t *list = json_array();

	for (size_t i = 0; pipe_steps[i]; i++) {
		const struct pipe_step *s = pipe_steps[i];
		char key[64];
		json_t *fact;

		if (!s->costs)
			continue;
		snprintf(key, sizeof(key), s->per_run ? "%s#%u" : "%s", s->name, j->run);
		fact = pipe_job_fact(j, key);
		/* A name without an id: it was only going to be made. */
		if (fact && (*pipe_option(fact, "id") || !*pipe_option(fact, "name")))
			json_array_append_new(list,
					      json_pack("{s:s, s:s, s:s}", "what", s->name, "id",
							pipe_option(fact, "id"), "costs",
							*pipe_option(fact, "costs")
								? pipe_option(fact, "costs")
								: s->costs));
	}
	return list;
}

json_t *pipe_job_status(const struct pipe_job *j, bool running)
{
	enum pipe_state state = pipe_job_state_now(j);
	char created[CLOCK_TEXT_BYTES], ends[CLOCK_TEXT_BYTES];
	json_t *out;

	time_text(j->created_s, created);
	time_text(j->created_s + pipe_option_u64(j->options, "valid_days") * PIPE_DAY_S, ends);
	out = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:I, s:b, s:O, s:o, s:s, s:s}",
			"id", j->id, "name", pipe_option(j->options, "name"), "description",
			pipe_option(j->options, "description"), "state", pipe_state_name(state),
			"phase", pipe_phase_name(j->phase), "way",
			*j->way ? j->way : pipe_option(j->options, "way"), "created", created,
			"running", running, "run", (json_int_t)j->run, "paused", j->paused,
			"images", j->images, "kept", kept(j), "valid_until", ends, "directory",
			j->dir);
	if (out && state == PIPE_WAITING && pipe_job_next_run_s(j)) {
		time_text(pipe_job_next_run_s(j), ends);
		json_object_set_new(out, "next_run", json_string(ends));
	}
	if (out && *j->error_code) {
		json_object_set_new(out, "error",
				    json_pack("{s:s, s:s, s:s, s:s}", "code", j->error_code,
					      "reason", j->error_reason, "step", j->error_step,
					      "advice", pipe_advice(j->error_code)));
	}
	return out;
}

static json_t *progress_json(const struct pipe_progress *p)
{
	json_t *disks = json_array();

	for (size_t i = 0; i < p->disk_count; i++)
		json_array_append_new(
			disks, json_pack("{s:o, s:o, s:o}", "name", json_str(p->disks[i].name),
					 "done_bytes", json_u64(p->disks[i].done_bytes),
					 "total_bytes", json_u64(p->disks[i].total_bytes)));
	return json_pack("{s:o, s:o, s:i, s:o, s:o, s:o}", "step", json_str(p->step), "source",
			 json_str(p->source), "percent", (int)p->percent, "rate_bytes_s",
			 json_u64(p->rate_bytes_s), "eta_s",
			 p->rate_bytes_s && p->eta_s != UINT64_MAX ? json_u64(p->eta_s)
								   : json_null(),
			 "disks", disks);
}

void course_show(struct course *c, bool now)
{
	CLEANUP_FREE char *path = NULL;
	CLEANUP_JSON json_t *progress = NULL;
	json_t *status;

	if (!now && c->shown_ms && clock_ms() - c->shown_ms < SHOW_MS)
		return;
	c->shown_ms = clock_ms();
	path = pipe_job_path(c->job, "status");
	progress = progress_json(&c->progress);
	if (path && progress && json_write_file(path, progress) < 0)
		log_debug("status not written: %s", err_reason());
	status = pipe_job_status(c->job, true);
	if (status && progress)
		json_object_set(status, "progress", progress);
	if (status)
		pipe_hook(c, status);
	if (status && c->outside->changed)
		c->outside->changed(c->outside->ctx, status);
	json_decref(status);
}

int pipe_status(const char *root, const char *id, json_t **out)
{
	CLEANUP_JOB struct pipe_job j = {.lock_fd = -1, .journal.fd = -1};
	CLEANUP_FREE char *path = NULL;
	json_t *progress = NULL;
	bool running;
	int rc = pipe_job_open(root, id, PIPE_READ, &j);

	*out = NULL;
	if (rc < 0)
		return rc;
	running = pipe_job_is_run(&j);
	*out = pipe_job_status(&j, running);
	path = pipe_job_path(&j, "status");
	if (!*out || !path)
		return fail(ENOMEM, "memory for the jobs' status");
	if (running && json_read_file(path, &progress) == 0)
		json_object_set_new(*out, "progress", progress);
	err_clear();
	return 0;
}

struct all {
	const char *root;
	json_t *list;
};

/* A job that cannot be read is shown as such; the others are shown too. */
static int add_status(void *ctx, const char *id)
{
	struct all *all = ctx;
	json_t *status = NULL;

	if (pipe_status(all->root, id, &status) < 0)
		status = json_pack("{s:s, s:s, s:s, s:{s:s, s:s, s:s, s:s}}", "id", id, "state",
				   "InError", "phase", "", "error", "code", err_code(), "reason",
				   err_reason(), "step", "", "advice", "");
	return json_array_append_new(all->list, status) < 0
		       ? fail(ENOMEM, "memory for the jobs' status")
		       : 0;
}

int pipe_status_all(const char *root, json_t **out)
{
	struct all all = {.root = root, .list = json_array()};
	int rc = all.list ? pipe_each(root, add_status, &all)
			  : fail(ENOMEM, "memory for the jobs' status");

	*out = rc < 0 ? NULL : all.list;
	if (rc < 0)
		json_decref(all.list);
	return rc;
}
