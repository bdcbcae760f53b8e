/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The driver; see pipe_course.h. */
#include "pipeline/pipe_sync.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/num.h"

#define SHOW_MS 500

static void key_of(const struct course *c, const struct pipe_step *s, char out[64])
{
	if (s->per_run)
		snprintf(out, 64, "%s#%u", s->name, c->job->run);
	else
		snprintf(out, 64, "%s", s->name);
}

static const struct pipe_step *step_named(const char *name)
{
	for (size_t i = 0; pipe_steps[i]; i++) {
		if (strcmp(pipe_steps[i]->name, name) == 0)
			return pipe_steps[i];
	}
	return NULL;
}

json_t *course_fact(const struct course *c, const char *step)
{
	const struct pipe_step *s = step_named(step);
	char key[64];

	if (!s)
		return NULL;
	key_of(c, s, key);
	return pipe_job_fact(c->job, key);
}

const char *course_fact_text(const struct course *c, const char *step, const char *key)
{
	return pipe_option(course_fact(c, step), key);
}

int course_keep(struct course *c, json_t *fact)
{
	char key[64];

	key_of(c, c->step, key);
	return pipe_job_set_fact(c->job, key, "intend", fact);
}

bool course_is_way(const struct course *c, const char *way)
{
	return strcmp(c->job->way, way) == 0;
}

bool course_last_run(const struct course *c)
{
	return !pipe_job_incremental(c->job) || c->job->last_run;
}

void course_say(struct course *c, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(c->progress.step, sizeof(c->progress.step), fmt, args);
	va_end(args);
	log_debug("%s: %s", c->job->id, c->progress.step);
	course_show(c, true);
}

int course_wait(struct course *c, uint64_t ms)
{
	uint64_t end_ms = clock_ms() + ms, now_ms;

	for (;;) {
		int rc = course_take_orders(c);

		if (rc < 0)
			return rc;
		if (c->outside->stop && c->outside->stop(c->outside->ctx))
			c->leave = PIPE_LEAVE_PROCESS;
		if (c->leave != PIPE_STAY)
			return fail(ECANCELED, "the job is left here");
		course_show(c, false);
		now_ms = clock_ms();
		if (now_ms >= end_ms)
			return 0;
		ms = min_of(end_ms - now_ms, (uint64_t)200);
		nanosleep(&(struct timespec){.tv_sec = (time_t)(ms / 1000),
					     .tv_nsec = (long)(ms % 1000) * 1000000},
			  NULL);
	}
}

static bool is_done(const json_t *fact)
{
	return fact && strcmp(pipe_option(fact, "status"), "done") == 0;
}

static int do_step(struct course *c, const struct pipe_step *s)
{
	CLEANUP_JSON json_t *fact = NULL;
	char key[64];
	int rc;

	key_of(c, s, key);
	if (is_done(pipe_job_fact(c->job, key)))
		return 0;
	rc = pipe_job_set_state(c->job, PIPE_RUNNING, s->phase);
	if (rc < 0)
		return rc;
	c->step = s;
	c->progress.percent = 0;
	c->progress.rate_bytes_s = 0;
	c->rate_at_ms = 0;
	course_say(c, "%s", s->name);
	fact = json_deep_copy(pipe_job_fact(c->job, key));
	c->resumed = fact != NULL;
	if (!fact) {
		fact = json_object();
		rc = s->intend ? s->intend(c, fact) : 0;
		if (rc == 0)
			rc = pipe_job_set_fact(c->job, key, "intend", fact);
	}
	if (rc == 0)
		rc = course_wait(c, 0);
	/* What the cloud does cannot be held; the next step can. */
	while (rc == 0 && c->job->paused && s->phase == PIPE_PROCESSING)
		rc = course_wait(c, 200);
	if (rc == 0)
		rc = s->make(c, fact);
	if (rc == 0)
		rc = pipe_job_set_fact(c->job, key, "done", fact);
	return rc;
}

static int undo_fact(struct course *c, const struct pipe_step *s, const char *key)
{
	CLEANUP_JSON json_t *fact = json_deep_copy(pipe_job_fact(c->job, key));
	int rc = 0;

	if (!fact)
		return 0;
	c->step = s;
	if (s->undo) {
		course_say(c, "give back: %s", s->name);
		rc = s->undo(c, fact);
	}
	return rc < 0 ? rc : pipe_job_set_fact(c->job, key, "undone", fact);
}

/* Everything a step made, of all runs when it is made in each. */
static int undo_step(struct course *c, const struct pipe_step *s)
{
	char key[64];
	int rc = 0;

	if (!s->per_run)
		return undo_fact(c, s, s->name);
	for (unsigned run = c->job->run; run > 0 && rc == 0; run--) {
		if (s->result && run <= c->job->produced)
			break;
		snprintf(key, sizeof(key), "%s#%u", s->name, run);
		rc = undo_fact(c, s, key);
	}
	return rc;
}

enum give_back { AFTER_RUN, AFTER_LAST_RUN, EVERYTHING };

/* In reverse order, so that nothing goes before what stands on it. */
static int give_back(struct course *c, enum give_back what)
{
	size_t n = 0;
	int rc = 0;

	while (pipe_steps[n])
		n++;
	while (n-- > 0 && rc == 0) {
		const struct pipe_step *s = pipe_steps[n];

		if (what == EVERYTHING || (s->temporary && (s->per_run || what == AFTER_LAST_RUN)))
			rc = undo_step(c, s);
	}
	return rc;
}

static int decide_way(struct course *c)
{
	const char *way = pipe_option(c->job->options, "way");

	if (*c->job->way)
		return 0;
	if (strcmp(way, "auto") == 0) {
		/* ENS wants qcow2. */
		const char *region = pipe_option(c->job->options, "intermediate_region");

		way = pipe_exports_qcow2(region) ? "ecs" : "direct";
	}
	return pipe_job_record(c->job, json_pack("{s:s, s:s}", "kind", "mark", "way", way));
}

/* True for refusals of way ecs that way direct does not meet; the job goes on there if it may. */
static bool other_way(const struct course *c, int rc)
{
	static const char *const codes[] = {"UserNotInTheWhiteList",
					    "NoSetRoletoECSServiceAcount",
					    "InvalidRegion.NotSupport",
					    "ImageNotSupported",
					    "InvalidImage.DiskAmountOrSize",
					    "WeeklyQuotaExceed.ExportImage",
					    "QuotaExceed.Image",
					    "QuotaExceed.Snapshot",
					    "InvalidAccountStatus.SnapshotServiceUnavailable",
					    "OperationDenied",
					    "ExportImageFailed"};

	if (rc == 0 || !course_is_way(c, "ecs") ||
	    strcmp(pipe_option(c->job->options, "way"), "auto") != 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		if (strcmp(err_code(), codes[i]) == 0)
			return true;
	}
	return false;
}

static int do_steps(struct course *c)
{
	int rc = decide_way(c);

	for (size_t i = 0; rc == 0 && pipe_steps[i]; i++) {
		const struct pipe_step *s = pipe_steps[i];

		if (s->wanted && !s->wanted(c))
			continue;
		rc = do_step(c, s);
		if (!other_way(c, rc))
			continue;
		log_info("%s: %s; going the direct way", err_code(), err_reason());
		rc = pipe_job_record(c->job,
				     json_pack("{s:s, s:s}", "kind", "mark", "way", "direct"));
	}
	return rc;
}

static int finish_run(struct course *c)
{
	int rc = pipe_job_set_state(c->job, PIPE_RUNNING, PIPE_CLEANING);

	/* From here on what is undone must not be made again. */
	if (rc == 0 && c->job->produced != c->job->run)
		rc = pipe_job_record(c->job, json_pack("{s:s, s:I}", "kind", "mark", "produced",
						       (json_int_t)c->job->run));
	if (rc == 0)
		rc = give_back(c, course_last_run(c) ? AFTER_LAST_RUN : AFTER_RUN);
	if (rc < 0)
		return rc;
	course_say(c, "%s", course_last_run(c) ? "finished" : "waiting for the next run");
	return pipe_job_set_state(c->job, course_last_run(c) ? PIPE_FINISHED : PIPE_WAITING,
				  PIPE_NO_PHASE);
}

/* Cancelled: nothing stays, and a later start begins anew. */
static int cancel_all(struct course *c)
{
	int rc = pipe_job_set_state(c->job, c->job->delete_after ? PIPE_DELETING : PIPE_RUNNING,
				    c->job->delete_after ? PIPE_NO_PHASE : PIPE_CLEANING);

	course_command(c, true);
	if (rc == 0)
		rc = give_back(c, EVERYTHING);
	if (rc == 0)
		rc = pipe_job_record(c->job,
				     json_pack("{s:s, s:b, s:b, s:b, s:i, s:i, s:s}", "kind",
					       "mark", "cancelled", 0, "last_run", 0, "no_sync", 0,
					       "run", 0, "produced", 0, "way", ""));
	if (rc == 0 && !c->job->delete_after)
		rc = pipe_job_set_state(c->job, PIPE_STOPPED, PIPE_NO_PHASE);
	return rc;
}

/* The next run, or the same one again. */
static int begin(struct course *c, enum pipe_verb verb)
{
	struct pipe_job *j = c->job;
	bool next = j->run == 0 || j->state == PIPE_WAITING ||
		    (j->state == PIPE_STOPPED && j->produced == j->run);
	int rc = 0;

	if (verb == PIPE_CUTOVER && !j->last_run)
		rc = pipe_job_record(j, json_pack("{s:s, s:b, s:b}", "kind", "mark", "last_run", 1,
						  "no_sync", c->outside->no_sync));
	if (rc == 0 && next && !j->no_sync)
		rc = pipe_job_record(j, json_pack("{s:s, s:I, s:I}", "kind", "mark", "run",
						  (json_int_t)j->run + 1, "began_s",
						  (json_int_t)time(NULL)));
	return rc < 0 ? rc
		      : pipe_job_set_state(j, PIPE_RUNNING, j->phase ? j->phase : PIPE_PREPARING);
}

/* A failure that is the job's, not the process's. */
static int record_failure(struct course *c, int rc)
{
	char code[64], reason[512];
	int put;

	snprintf(code, sizeof(code), "%s", *err_code() ? err_code() : "InternalError");
	snprintf(reason, sizeof(reason), "%s", err_reason());
	sync_diagnostics(c);
	put = pipe_job_set_error(c->job, c->step ? c->step->name : "", code, reason);
	if (put < 0)
		return put;
	course_show(c, true);
	err_adopt(code, reason);
	return rc;
}

static int leave(struct course *c, int rc)
{
	switch (c->leave) {
	case PIPE_LEAVE_STOP:
		course_command(c, true);
		return pipe_job_set_state(c->job, PIPE_STOPPED, PIPE_NO_PHASE);
	case PIPE_LEAVE_CANCEL:
		c->leave = PIPE_STAY;
		return cancel_all(c);
	default:
		return rc;
	}
}

int course_run(struct course *c, enum pipe_verb verb)
{
	int rc;

	if (c->job->cancelled)
		rc = cancel_all(c);
	else {
		rc = begin(c, verb);
		if (rc == 0 && c->job->produced != c->job->run)
			rc = do_steps(c);
		if (rc == 0)
			rc = finish_run(c);
	}
	if (rc == -ECANCELED && c->leave != PIPE_STAY)
		rc = leave(c, rc);
	/* A stop asked from outside while giving back leaves the job as it is, too. */
	if (rc < 0 && !(rc == -ECANCELED && c->leave == PIPE_LEAVE_PROCESS))
		rc = record_failure(c, rc);
	course_show(c, true);
	return rc;
}
