/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jobs from the outside: make, find, run, order. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/num.h"
#include "pipeline/pipe_command.h"
#include "pipeline/pipe_local.h"
#include "pipeline/pipe_show.h"

#define ORDER_TAKEN_MS 60000 /* longer than one call to a receiver that does not answer */
#define PIPE_JOBS_MAX  1000  /* as in SMC */

/* ---- making and finding ---- */

static int is_job(const struct dirent *e)
{
	return pipe_is_id(e->d_name);
}

int pipe_each(const char *root, int (*fn)(void *ctx, const char *id), void *ctx)
{
	struct dirent **found = NULL;
	int n = scandir(root, &found, is_job, alphasort), rc = 0;

	if (n < 0)
		return errno == ENOENT ? 0 : fail(errno, "%s", root);
	for (int i = 0; i < n; i++) {
		if (rc == 0)
			rc = fn(ctx, found[i]->d_name);
		free(found[i]);
	}
	free(found);
	return rc;
}

struct search {
	const char *root, *name;
	char *id;
};

static int match(void *ctx, const char *id)
{
	struct search *s = ctx;
	CLEANUP_JOB struct pipe_job j = {.lock_fd = -1, .journal.fd = -1};

	if (strcmp(id, s->name) == 0) {
		snprintf(s->id, PIPE_ID_BYTES, "%s", id);
		return 1;
	}
	if (pipe_job_open(s->root, id, PIPE_READ, &j) < 0)
		return 0;
	if (strcmp(pipe_option(j.options, "name"), s->name) != 0)
		return 0;
	snprintf(s->id, PIPE_ID_BYTES, "%s", id);
	return 1;
}

int pipe_find(const char *root, const char *id_or_name, char id[PIPE_ID_BYTES])
{
	struct search s = {.root = root, .name = id_or_name, .id = id};
	int rc = pipe_each(root, match, &s);

	if (rc == 0)
		return fail_code(ENOENT, "InvalidJobId.NotFound", "there is no job \"%s\" in %s",
				 id_or_name, root);
	return rc < 0 ? rc : 0;
}

/* Refused when another job than ID has this name. */
static int check_name(const char *root, const char *id, const char *name)
{
	char other[PIPE_ID_BYTES];

	if (!*name || pipe_find(root, name, other) < 0 || strcmp(other, id) == 0)
		return 0;
	return fail_code(EEXIST, "ReplicationJobName.Duplicate",
			 "job %s has the name \"%s\" already", other, name);
}

/* So many seconds in front make names sort by age. */
static void new_id(char id[PIPE_ID_BYTES])
{
	uint8_t random[4];
	char hex[9];

	wire_random(random, sizeof(random));
	hex_encode(random, sizeof(random), hex);
	snprintf(id, PIPE_ID_BYTES, "j-%08llx%s", (unsigned long long)time(NULL) & 0xffffffff, hex);
}

static int count_one(void *ctx, const char *id)
{
	(void)id;
	++*(unsigned *)ctx;
	return 0;
}

int pipe_create(const char *root, const json_t *options, char id[PIPE_ID_BYTES])
{
	const char *name = pipe_option(options, "name");
	CLEANUP_JOB struct pipe_job j = {.lock_fd = -1, .journal.fd = -1};
	CLEANUP_FREE char *dir = NULL;
	unsigned jobs = 0;
	int rc = io_mkdir(root, 0700);

	if (rc == 0)
		rc = pipe_each(root, count_one, &jobs);
	if (rc == 0 && jobs >= PIPE_JOBS_MAX)
		rc = fail_code(EDQUOT, "QuotaExceeded.ReplicationJob",
			       "there are %u jobs already; delete those that are through", jobs);
	if (rc == 0)
		rc = check_name(root, "", name);
	if (rc == 0)
		rc = pipe_plan_check(options);
	if (rc < 0)
		return rc;
	new_id(id);
	if (asprintf(&dir, "%s/%s", root, id) < 0)
		return fail(ENOMEM, "memory for a job");
	rc = io_mkdir(dir, 0700);
	if (rc == 0)
		rc = pipe_job_open(root, id, PIPE_WRITE, &j);
	if (rc == 0)
		rc = pipe_job_record(&j, json_pack("{s:s, s:O, s:I}", "kind", "job", "options",
						   options, "created_s", (json_int_t)time(NULL)));
	return rc == 0 ? pipe_job_set_state(&j, PIPE_READY, PIPE_NO_PHASE) : rc;
}

/* ---- running ---- */

/* When the job is due; 0: now. Asked again and again, as orders change it. */
typedef uint64_t due_fn(const struct course *c);

/* Nobody works on the job meanwhile, so it can expire. */
static int wait_until(struct course *c, due_fn *due, const char *what)
{
	uint64_t at_s, now_s;
	int rc = 0;

	/* An order to cut over, or to start now, ends the wait. */
	while (rc == 0 && !c->job->last_run && !c->hurry &&
	       (at_s = due(c)) > (now_s = (uint64_t)time(NULL))) {
		uint64_t left_s = at_s - now_s;

		if (pipe_job_state_now(c->job) == PIPE_EXPIRED) {
			course_show(c, true);
			return pipe_verb_check(PIPE_START, PIPE_EXPIRED, PIPE_NO_PHASE, false);
		}
		snprintf(c->progress.step, sizeof(c->progress.step), "%s in %llu:%02llu:%02llu",
			 what, (unsigned long long)left_s / 3600,
			 (unsigned long long)left_s / 60 % 60, (unsigned long long)left_s % 60);
		rc = course_wait(c, 1000);
	}
	c->hurry = false;
	return rc;
}

/* A scheduled start, before the job is Running. */
static uint64_t start_due(const struct course *c)
{
	uint64_t at_s;

	return pipe_option_time(c->job->options, "scheduled_start", &at_s) ? at_s : 0;
}

static uint64_t next_run_due(const struct course *c)
{
	uint64_t hours = pipe_option_u64(c->job->options, "frequency_hours");
	uint64_t hour_s = c->outside->hour_s ? c->outside->hour_s : 3600;

	return hours ? c->job->began_s + hours * hour_s : 0;
}

/* Between two runs of a job with a frequency: 1 for another run, 0 when this is the end. */
static int wait_next(struct course *c)
{
	int rc;

	if (c->job->state != PIPE_WAITING || !next_run_due(c))
		return 0;
	rc = wait_until(c, next_run_due, "next run");
	return rc < 0 ? rc : c->job->last_run || next_run_due(c);
}

/* What a process waits for that finds the job as it is: 1 to begin, 0 when there is nothing to do.
 */
static int wait_first(struct course *c, enum pipe_verb verb)
{
	int rc = 0;

	if (c->job->cancelled)
		return 1;
	c->hurry = c->outside->now;
	if (c->job->state == PIPE_READY)
		rc = wait_until(c, start_due, "starts");
	/* The process that waited has ended; its schedule has not. */
	else if (c->job->state == PIPE_WAITING && verb == PIPE_START && next_run_due(c))
		return wait_next(c);
	return rc < 0 ? rc : 1;
}

static int run_all(struct course *c, enum pipe_verb verb)
{
	int rc = wait_first(c, verb);

	if (rc == 0)
		return 0;
	rc = min_of(rc, 0);
	for (;;) {
		if (rc == 0 || c->leave == PIPE_LEAVE_CANCEL)
			rc = course_run(c, verb);
		if (rc == 0)
			rc = wait_next(c);
		if (rc == -ECANCELED && c->leave == PIPE_LEAVE_STOP) {
			rc = pipe_job_set_state(c->job, PIPE_STOPPED, PIPE_NO_PHASE);
			course_show(c, true);
			c->leave = PIPE_STAY;
		}
		if (rc == -ECANCELED && c->leave == PIPE_LEAVE_CANCEL && c->job->cancelled)
			continue;
		if (rc <= 0)
			return rc;
		rc = 0;
	}
}

struct tidy {
	const char *root;
	const struct pipe_outside *outside;
	size_t count;
	int failed; /* what the first that could not be deleted said */
	char code[ERR_CODE_MAX], reason[ERR_REASON_MAX];
};

/* One that cannot be deleted now does not keep the others from it. */
static void tidy_failed(struct tidy *t, const char *id, int rc)
{
	log_warn("job %s: %s%s%s", id, err_code(), *err_code() ? ": " : "", err_reason());
	if (t->failed)
		return;
	fail_in(rc, "job %s", id);
	t->failed = rc;
	snprintf(t->code, sizeof(t->code), "%s", err_code());
	snprintf(t->reason, sizeof(t->reason), "%s", err_reason());
}

static int tidy_one(void *ctx, const char *id)
{
	struct tidy *t = ctx;
	CLEANUP_JOB struct pipe_job j = {.lock_fd = -1, .journal.fd = -1};
	uint64_t end_s;
	int rc;

	/* What cannot be read is not deleted. */
	if (pipe_job_open(t->root, id, PIPE_READ, &j) < 0)
		return 0;
	end_s = j.created_s +
		(pipe_option_u64(j.options, "valid_days") + PIPE_EXPIRED_KEPT_DAYS) * PIPE_DAY_S;
	if (pipe_job_state_now(&j) != PIPE_EXPIRED || (uint64_t)time(NULL) < end_s)
		return 0;
	pipe_job_close(&j);
	log_info("job %s expired more than %d days ago and is deleted", id, PIPE_EXPIRED_KEPT_DAYS);
	rc = pipe_order(t->root, id, PIPE_DELETE, NULL, t->outside);
	if (rc < 0)
		tidy_failed(t, id, rc);
	else
		t->count++;
	return 0;
}

int pipe_tidy(const char *root, const struct pipe_outside *outside, size_t *count)
{
	struct tidy t = {.root = root, .outside = outside};
	int rc = pipe_each(root, tidy_one, &t);

	*count = t.count;
	if (rc == 0 && t.failed) {
		err_adopt(t.code, t.reason);
		rc = t.failed;
	}
	return rc;
}

static void course_fini(struct course *c)
{
	course_unlink(c);
	course_child_stop(c);
	course_cloud_close(c);
	arena_free(c->arena);
}

/* Nothing of it is left to give back. */
static int remove_job(struct pipe_job *j)
{
	return pipe_remove_tree(j->dir);
}

/* What an ended process wrote there would look like progress of this one. */
static void forget_progress(const struct pipe_job *j)
{
	CLEANUP_FREE char *path = pipe_job_path(j, "status");

	if (path && unlink(path) < 0 && errno != ENOENT)
		log_warn("%s shows old progress for a moment", path);
}

static int run_open(const char *root, struct pipe_job *j, enum pipe_verb verb,
		    const struct pipe_outside *outside)
{
	struct course c = {.root = root,
			   .job = j,
			   .outside = outside,
			   .arena = arena_new(),
			   .poll_ms = outside->poll_ms ? outside->poll_ms : 1000,
			   .cloud_poll_ms = outside->cloud_poll_ms};
	int rc;

	if (!c.arena)
		return fail(ENOMEM, "job %s", j->id);
	forget_progress(j);
	rc = run_all(&c, verb);
	course_fini(&c);
	if (rc == 0 && j->delete_after)
		rc = remove_job(j);
	return rc;
}

int pipe_run(const char *root, const char *id, enum pipe_verb verb,
	     const struct pipe_outside *outside)
{
	static const struct pipe_outside nothing;
	CLEANUP_JOB struct pipe_job j = {.lock_fd = -1, .journal.fd = -1};
	int rc = pipe_job_open(root, id, PIPE_WRITE, &j);

	if (rc == 0)
		rc = pipe_job_allows(&j, verb);
	return rc < 0 ? rc : run_open(root, &j, verb, outside ? outside : &nothing);
}

/* ---- ordering ---- */

/*
 * The source of a job that nobody runs goes on sending all the same, so it is told of the order by
 * the code that was handed out. Where the receiver does not answer it learns it at the next start.
 */
static void tell_source(struct pipe_job *j, bool stop, const struct pipe_outside *outside)
{
	struct course c = {.job = j, .outside = outside};
	CLEANUP_FREE char *path = pipe_job_path(j, "activation");
	CLEANUP_FREE char *code = NULL;

	if (!path || io_read_file(path, WIRE_ACTIVATION_TEXT, &code, NULL) < 0)
		return;
	code[strcspn(code, "\n")] = '\0';
	c.activation_known = wire_activation_parse(code, &c.activation) == 0;
	if (c.activation_known && course_link(&c) == 0)
		course_command(&c, stop);
	else
		log_warn("the source is not told now: %s", err_reason());
	course_unlink(&c);
}

/* Nobody runs it: what the order asks for is done here. */
static int order_here(const char *root, struct pipe_job *j, enum pipe_verb verb,
		      const json_t *changes, const struct pipe_outside *outside)
{
	static const struct pipe_outside nothing;
	bool sends = j->state == PIPE_RUNNING && j->phase == PIPE_SYNCING;
	struct course c = {.job = j, .outside = outside ? outside : &nothing};
	enum pipe_leave leave;
	int rc = pipe_job_obey(j, verb, changes, &leave);

	if (rc == 0 && sends)
		tell_source(j, leave != PIPE_STAY, c.outside);
	if (rc < 0 || leave == PIPE_STAY)
		return rc;
	if (leave != PIPE_LEAVE_STOP)
		return run_open(root, j, PIPE_START, c.outside);
	rc = pipe_job_set_state(j, PIPE_STOPPED, PIPE_NO_PHASE);
	if (rc == 0)
		course_show(&c, true);
	/* The process that would have ended it was killed. */
	return rc == 0 && course_is_way(&c, "local") ? course_child_forget(&c) : rc;
}

/* It runs elsewhere. When that process ends before it takes the order, the order is ours again. */
static int order_there(const char *root, const char *id, enum pipe_verb verb, const json_t *changes,
		       const struct pipe_outside *outside)
{
	CLEANUP_JSON json_t *order =
		json_pack("{s:s, s:O*}", "verb", pipe_verb_name(verb), "changes", changes);
	CLEANUP_FREE char *path = NULL;
	uint64_t end_ms = clock_ms() + ORDER_TAKEN_MS;
	int rc = order ? pipe_job_leave_order(root, id, order, &path)
		       : fail(ENOMEM, "memory for an order");

	while (rc == 0 && access(path, F_OK) == 0) {
		CLEANUP_JOB struct pipe_job j = {.lock_fd = -1, .journal.fd = -1};

		if (clock_ms() >= end_ms)
			return fail_code(ETIMEDOUT, "JOB_RUNNING",
					 "the process that runs %s has not taken the order yet",
					 id);
		nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
		if (pipe_job_open(root, id, PIPE_WRITE, &j) == 0)
			return unlink(path) < 0 ? 0 : order_here(root, &j, verb, changes, outside);
	}
	return rc;
}

int pipe_modify_check(const char *root, const char *id, const json_t *changes,
		      struct pipe_problems *problems)
{
	CLEANUP_JOB struct pipe_job j = {.lock_fd = -1, .journal.fd = -1};
	int rc = pipe_job_open(root, id, PIPE_READ, &j);

	problems->count = 0;
	if (rc == 0)
		rc = pipe_job_allows(&j, PIPE_MODIFY);
	if (rc == 0)
		rc = pipe_job_changed(&j, changes, problems, NULL);
	return rc < 0 ? rc : check_name(root, id, pipe_option(changes, "name"));
}

int pipe_order(const char *root, const char *id, enum pipe_verb verb, const json_t *changes,
	       const struct pipe_outside *outside)
{
	CLEANUP_JOB struct pipe_job j = {.lock_fd = -1, .journal.fd = -1};
	int rc = verb == PIPE_MODIFY ? check_name(root, id, pipe_option(changes, "name")) : 0;

	if (rc < 0)
		return rc;
	rc = pipe_job_open(root, id, PIPE_WRITE, &j);
	if (rc == 0)
		return order_here(root, &j, verb, changes, outside);
	if (rc != -EBUSY)
		return rc;
	/* Refused at once where that is plain; the process that runs it looks again. */
	rc = pipe_job_open(root, id, PIPE_READ, &j);
	if (rc == 0)
		rc = pipe_job_check_order(&j, verb, changes);
	return rc < 0 ? rc : order_there(root, id, verb, changes, outside);
}
