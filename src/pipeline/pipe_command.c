/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Orders as they take effect: in the process that runs a job between two looks of its waits, or at
 * once where nobody runs it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/num.h"
#include "pipeline/pipe_command.h"

static bool verb_parse(const char *name, enum pipe_verb *out)
{
	for (int i = 0; i < PIPE_VERBS; i++) {
		if (strcmp(name, pipe_verb_name((enum pipe_verb)i)) == 0) {
			*out = (enum pipe_verb)i;
			return true;
		}
	}
	return false;
}

enum pipe_state pipe_job_state_now(const struct pipe_job *j)
{
	return pipe_state_at(j->state, j->created_s,
			     (unsigned)pipe_option_u64(j->options, "valid_days"),
			     (uint64_t)time(NULL));
}

int pipe_job_allows(const struct pipe_job *j, enum pipe_verb verb)
{
	return pipe_verb_check(verb, pipe_job_state_now(j), j->phase, pipe_job_incremental(j));
}

static int mark(struct pipe_job *j, const char *key, bool value)
{
	return pipe_job_record(j, json_pack("{s:s, s:b}", "kind", "mark", key, value));
}

int pipe_job_changed(const struct pipe_job *j, const json_t *changes,
		     struct pipe_problems *problems, json_t **options)
{
	CLEANUP_JSON json_t *changed = NULL;
	enum pipe_state state = pipe_job_state_now(j);
	int rc;

	/* Cancelled: everything is given back, and a start begins anew. */
	if (state == PIPE_STOPPED && !j->run)
		state = PIPE_READY;
	rc = pipe_options_modify(j->options, changes, state, j->phase, (uint64_t)time(NULL),
				 problems, &changed);
	if (rc == 0)
		rc = pipe_plan_check(changed);
	if (rc == 0 && options)
		*options = steal_ptr(&changed);
	return rc;
}

int pipe_job_check_order(const struct pipe_job *j, enum pipe_verb verb, const json_t *changes)
{
	struct pipe_problems problems;
	int rc = pipe_job_allows(j, verb);

	return rc == 0 && verb == PIPE_MODIFY ? pipe_job_changed(j, changes, &problems, NULL) : rc;
}

static int modify(struct pipe_job *j, const json_t *changes)
{
	struct pipe_problems problems;
	CLEANUP_JSON json_t *options = NULL;
	int rc = pipe_job_changed(j, changes, &problems, &options);

	return rc < 0 ? rc
		      : pipe_job_record(j,
					json_pack("{s:s, s:O}", "kind", "job", "options", options));
}

int pipe_job_obey(struct pipe_job *j, enum pipe_verb verb, const json_t *changes,
		  enum pipe_leave *leave)
{
	int rc = pipe_job_allows(j, verb);

	*leave = PIPE_STAY;
	if (rc < 0)
		return rc;
	switch (verb) {
	case PIPE_MODIFY:
		return modify(j, changes);
	case PIPE_PAUSE:
	case PIPE_RESUME:
		return mark(j, "paused", verb == PIPE_PAUSE);
	case PIPE_STOP:
		*leave = PIPE_LEAVE_STOP;
		return 0;
	case PIPE_CUTOVER:
		rc = json_is_false(json_object_get(changes, "sync")) ? mark(j, "no_sync", true) : 0;
		return rc < 0 ? rc : mark(j, "last_run", true);
	case PIPE_CANCEL:
	case PIPE_DELETE:
		*leave = PIPE_LEAVE_CANCEL;
		rc = mark(j, "cancelled", true);
		return rc == 0 && verb == PIPE_DELETE ? mark(j, "delete", true) : rc;
	default:
		return 0; /* it runs already */
	}
}

/* An order that is refused is no failure of the job: who gave it was told, or made it too late. */
static int take_one(struct course *c, const json_t *order)
{
	enum pipe_leave leave = PIPE_STAY;
	enum pipe_verb verb;
	int rc;

	if (!verb_parse(pipe_option(order, "verb"), &verb)) {
		log_warn("an order \"%s\" is not known", pipe_option(order, "verb"));
		return 0;
	}
	rc = pipe_job_obey(c->job, verb, json_object_get(order, "changes"), &leave);
	if (rc == -EPERM || rc == -EINVAL) {
		log_warn("order %s refused: %s", pipe_verb_name(verb), err_reason());
		return 0;
	}
	if (rc < 0)
		return rc;
	log_info("order: %s", pipe_verb_name(verb));
	if (leave != PIPE_STAY)
		c->leave = leave;
	if (verb == PIPE_START && c->job->state != PIPE_RUNNING)
		c->hurry = true;
	if (verb == PIPE_PAUSE || verb == PIPE_RESUME || verb == PIPE_MODIFY)
		course_command(c, false);
	course_show(c, true);
	return 0;
}

int course_take_orders(struct course *c)
{
	for (;;) {
		CLEANUP_FREE char *path = NULL;
		CLEANUP_JSON json_t *order = NULL;
		int rc = pipe_job_next_order(c->job, &path, &order);

		if (rc < 0) /* what cannot be read is not tried for ever */
			log_warn("an order cannot be read: %s", err_reason());
		if (!path)
			return 0;
		rc = order ? take_one(c, order) : 0;
		if (rc < 0)
			return rc;
		if (unlink(path) < 0)
			return fail(errno, "remove %s", path);
	}
}
