/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whole jobs in their directories: every order in every state, expiry, names, and tidying up. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/num.h"
#include "cloud/cloud.h"
#include "pipeline/pipe_job.h"
#include "unit.h"

static char root[64];

static int make_root(void **state)
{
	(void)state;
	log_setup(LOG_LEVEL_ERROR, NULL, NULL);
	snprintf(root, sizeof(root), "/tmp/pipeline.XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
	(void)state;
	return remove_tree(root);
}

static json_t *options_of(const char *text)
{
	struct pipe_problems problems;
	CLEANUP_JSON json_t *given = json_loads(text, 0, NULL);
	json_t *options = NULL;

	assert_non_null(given);
	assert_int_equal(pipe_options_check(given, 0, &problems, &options), 0);
	return options;
}

static void open_job(const char *id, struct pipe_job *j)
{
	assert_int_equal(pipe_job_open(root, id, PIPE_WRITE, j), 0);
}

/* A job of this age, as if it had come so far. */
static void make_job(const char *options, enum pipe_state state, enum pipe_phase phase,
		     uint64_t age_s, char id[PIPE_ID_BYTES])
{
	CLEANUP_JOB struct pipe_job j = {.lock_fd = -1, .journal.fd = -1};
	CLEANUP_JSON json_t *o = options_of(options);

	assert_int_equal(pipe_create(root, o, id), 0);
	open_job(id, &j);
	assert_int_equal(pipe_job_record(&j, json_pack("{s:s, s:O, s:I}", "kind", "job", "options",
						       o, "created_s",
						       (json_int_t)((uint64_t)time(NULL) - age_s))),
			 0);
	assert_int_equal(pipe_job_set_state(&j, state, phase), 0);
}

static void status_of(const char *id, char out[64])
{
	CLEANUP_JSON json_t *status = NULL;

	snprintf(out, 64, "gone");
	if (pipe_status(root, id, &status) < 0)
		return;
	snprintf(out, 64, "%s%s%s%s", json_string_value(json_object_get(status, "state")),
		 *json_string_value(json_object_get(status, "phase")) ? ": " : "",
		 json_string_value(json_object_get(status, "phase")),
		 json_is_true(json_object_get(status, "paused")) ? " paused" : "");
}

/* ---- every order in every state ---- */

/*
 * What docs/pipeline.md promises: an order and the state that it leads to; all others are refused.
 * "run": the course begins or goes on. "=": the state stays.
 */
static const struct {
	const char *name;
	enum pipe_state state;
	enum pipe_phase phase;
	const char *takes;
} rows[] = {
	{"Ready", PIPE_READY, 0, "start>run modify>= cancel>Stopped delete>gone"},
	{"Running: Preparing", PIPE_RUNNING, PIPE_PREPARING, "start>run modify>= cancel>Stopped"},
	{"Running: Syncing", PIPE_RUNNING, PIPE_SYNCING,
	 "start>run modify>= pause>paused resume>= stop>Stopped cancel>Stopped"},
	{"Running: Processing", PIPE_RUNNING, PIPE_PROCESSING,
	 "start>run modify>= pause>paused resume>= stop>Stopped cancel>Stopped"},
	{"Running: Cleaning", PIPE_RUNNING, PIPE_CLEANING, "start>run modify>="},
	{"Stopped", PIPE_STOPPED, 0, "start>run retry>run modify>= cancel>Stopped delete>gone"},
	{"InError", PIPE_IN_ERROR, 0, "start>run retry>run modify>= cancel>Stopped delete>gone"},
	{"Finished", PIPE_FINISHED, 0, "modify>= delete>gone"},
	{"Waiting", PIPE_WAITING, 0,
	 "start>run modify>= stop>Stopped cut-over>run cancel>Stopped delete>gone"},
	/* Stopped, and its time is over. */
	{"Expired", PIPE_STOPPED, 0, "cancel>= delete>gone"},
	{"Deleting", PIPE_DELETING, 0, "cancel>gone delete>gone"},
};

/* The state that the order leads to, or NULL when it is to be refused. */
static const char *wanted(const char *takes, const char *verb, char out[16])
{
	CLEANUP_FREE char *copy = strdup(takes);
	char *rest = copy;

	for (char *word = strsep(&rest, " "); word; word = strsep(&rest, " ")) {
		size_t n = strcspn(word, ">");

		if (n == strlen(verb) && strncmp(word, verb, n) == 0) {
			snprintf(out, 16, "%s", word + n + 1);
			return out;
		}
	}
	return NULL;
}

static bool at_once(void *ctx)
{
	(void)ctx;
	return true;
}

static int give(const char *id, enum pipe_verb verb)
{
	struct pipe_outside outside = {.stop = at_once};
	CLEANUP_JSON json_t *changes = json_pack("{s:s}", "description", "as it was");

	if (verb == PIPE_START || verb == PIPE_RETRY || verb == PIPE_CUTOVER)
		return pipe_run(root, id, verb, &outside);
	return pipe_order(root, id, verb, verb == PIPE_MODIFY ? changes : NULL, NULL);
}

static void check_order(size_t row, enum pipe_verb verb)
{
	bool expired = strcmp(rows[row].name, "Expired") == 0;
	char id[PIPE_ID_BYTES], before[64], after[64], word[16], code[ERR_CODE_MAX];
	const char *want = wanted(rows[row].takes, pipe_verb_name(verb), word);
	int rc;

	make_job("{\"run_once\":false,\"max_images\":2}", rows[row].state, rows[row].phase,
		 expired ? 30 * PIPE_DAY_S : 0, id);
	if (rows[row].state == PIPE_DELETING) {
		CLEANUP_JOB struct pipe_job j = {.lock_fd = -1, .journal.fd = -1};

		open_job(id, &j);
		assert_int_equal(pipe_job_record(&j, json_pack("{s:s, s:b, s:b}", "kind", "mark",
							       "cancelled", 1, "delete", 1)),
				 0);
	}
	status_of(id, before);
	assert_string_equal(before, rows[row].name);
	rc = give(id, verb);
	snprintf(code, sizeof(code), "%s", err_code());
	status_of(id, after);
	if (!want ? rc != -EPERM || strcmp(code, "ReplicationJob.InvalidStatus") != 0 ||
			    strcmp(before, after) != 0
	    : strcmp(want, "run") == 0	  ? rc != -ECANCELED || strncmp(after, "Running", 7) != 0
	    : strcmp(want, "=") == 0	  ? rc != 0 || strcmp(before, after) != 0
	    : strcmp(want, "paused") == 0 ? rc != 0 || !strstr(after, "paused")
					  : rc != 0 || strcmp(want, after) != 0)
		fail_msg("%s of a job that is %s: %d (%s), then it is %s", pipe_verb_name(verb),
			 before, rc, code, after);
}

static void every_order_in_every_state_does_what_it_says_or_is_refused(void **state)
{
	(void)state;
	for (size_t row = 0; row < ARRAY_SIZE(rows); row++)
		for (int verb = 0; verb < PIPE_VERBS; verb++)
			check_order(row, (enum pipe_verb)verb);
}

static void a_refused_order_says_what_can_be_done_instead(void **state)
{
	char id[PIPE_ID_BYTES];

	(void)state;
	make_job("{}", PIPE_RUNNING, PIPE_SYNCING, 0, id);
	assert_int_equal(pipe_order(root, id, PIPE_DELETE, NULL, NULL), -EPERM);
	assert_string_equal(err_reason(), "a job that is Running: Syncing takes no delete; pause, "
					  "stop or cancel it first");
	assert_int_equal(pipe_order(root, "j-0000000000000000", PIPE_DELETE, NULL, NULL), -ENOENT);
}

static void a_cancelled_job_begins_anew_also_as_to_its_last_run(void **state)
{
	CLEANUP_JOB struct pipe_job j = {.lock_fd = -1, .journal.fd = -1};
	CLEANUP_JSON json_t *no_sync = json_pack("{s:b}", "sync", 0);
	char id[PIPE_ID_BYTES];

	(void)state;
	make_job("{\"run_once\":false,\"max_images\":2}", PIPE_WAITING, 0, 0, id);
	assert_int_equal(pipe_order(root, id, PIPE_CUTOVER, no_sync, NULL), 0);
	open_job(id, &j);
	assert_true(j.last_run && j.no_sync);
	pipe_job_close(&j);
	assert_int_equal(pipe_order(root, id, PIPE_CANCEL, NULL, NULL), 0);
	open_job(id, &j);
	assert_false(j.last_run || j.no_sync);
}

/* ---- names ---- */

static void a_name_is_of_one_job_also_when_it_is_changed(void **state)
{
	CLEANUP_JSON json_t *change = json_pack("{s:s}", "name", "web1");
	CLEANUP_JSON json_t *options = options_of("{\"name\":\"web1\"}");
	char first[PIPE_ID_BYTES], second[PIPE_ID_BYTES];

	(void)state;
	make_job("{\"name\":\"web1\"}", PIPE_READY, 0, 0, first);
	assert_int_equal(pipe_create(root, options, second), -EEXIST);
	assert_string_equal(err_code(), "ReplicationJobName.Duplicate");
	make_job("{\"name\":\"web2\"}", PIPE_READY, 0, 0, second);
	assert_int_equal(pipe_order(root, second, PIPE_MODIFY, change, NULL), -EEXIST);
	assert_string_equal(err_code(), "ReplicationJobName.Duplicate");
	assert_int_equal(pipe_order(root, first, PIPE_MODIFY, change, NULL), 0);
}

/* ---- time ---- */

static void a_job_is_valid_for_30_days_unless_it_says_otherwise(void **state)
{
	char id[PIPE_ID_BYTES], now[64];

	(void)state;
	make_job("{}", PIPE_IN_ERROR, 0, 30 * PIPE_DAY_S - 3600, id);
	status_of(id, now);
	assert_string_equal(now, "InError");
	make_job("{}", PIPE_IN_ERROR, 0, 30 * PIPE_DAY_S, id);
	status_of(id, now);
	assert_string_equal(now, "Expired");
	make_job("{\"valid_days\":90}", PIPE_WAITING, 0, 89 * PIPE_DAY_S, id);
	status_of(id, now);
	assert_string_equal(now, "Waiting");
	make_job("{\"valid_days\":7}", PIPE_WAITING, 0, 8 * PIPE_DAY_S, id);
	status_of(id, now);
	assert_string_equal(now, "Expired");
	make_job("{\"valid_days\":7}", PIPE_RUNNING, PIPE_SYNCING, 8 * PIPE_DAY_S, id);
	status_of(id, now);
	assert_string_equal(now, "Running: Syncing");
}

static void starts_in_an_hour(char options[128])
{
	time_t later = time(NULL) + 3600;
	struct tm tm;

	gmtime_r(&later, &tm);
	strftime(options, 128, "{\"scheduled_start\":\"%Y-%m-%dT%H:%M:%SZ\"}", &tm);
}

static void a_job_that_expires_while_it_waits_for_its_time_does_not_start(void **state)
{
	char id[PIPE_ID_BYTES], options[128], now[64];

	(void)state;
	starts_in_an_hour(options);
	make_job(options, PIPE_READY, 0, 30 * PIPE_DAY_S - 1, id);
	assert_int_equal(pipe_run(root, id, PIPE_START, NULL), -EPERM);
	assert_string_equal(err_code(), "ReplicationJob.InvalidStatus");
	status_of(id, now);
	assert_string_equal(now, "Expired");
}

static void a_job_that_is_deleted_before_its_time_is_not_waited_for(void **state)
{
	char id[PIPE_ID_BYTES], options[128], now[64];

	(void)state;
	starts_in_an_hour(options);
	make_job(options, PIPE_READY, 0, 0, id);
	/* Ends the test where it would wait. */
	alarm(250);
	assert_int_equal(pipe_order(root, id, PIPE_DELETE, NULL, NULL), 0);
	alarm(0);
	status_of(id, now);
	assert_string_equal(now, "gone");
}

static void tidying_deletes_what_expired_7_days_ago_and_nothing_else(void **state)
{
	static const struct {
		const char *options;
		enum pipe_state state;
		unsigned days;
		const char *after;
	} cases[] = {
		{"{}", PIPE_STOPPED, 37, "gone"},
		{"{}", PIPE_STOPPED, 36, "Expired"},
		{"{\"valid_days\":7}", PIPE_READY, 14, "gone"},
		{"{\"valid_days\":90}", PIPE_READY, 50, "Ready"},
		{"{\"run_once\":false,\"max_images\":1}", PIPE_WAITING, 38, "gone"},
		{"{}", PIPE_FINISHED, 100, "Finished"},
		{"{}", PIPE_RUNNING, 100, "Running"},
	};
	char ids[ARRAY_SIZE(cases)][PIPE_ID_BYTES], now[64];
	size_t count;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		make_job(cases[i].options, cases[i].state, 0, (uint64_t)cases[i].days * PIPE_DAY_S,
			 ids[i]);
	assert_int_equal(pipe_tidy(root, NULL, &count), 0);
	assert_int_equal(count, 3);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		status_of(ids[i], now);
		assert_string_equal(now, cases[i].after);
	}
	assert_int_equal(pipe_tidy(root, NULL, &count), 0);
	assert_int_equal(count, 0);
}

/* A job whose instance cannot be given back, as no keys are there. */
static void a_job_that_cannot_be_tidied_keeps_no_other_from_it(void **state)
{
	struct cloud_options keyless = {.keys = CLOUD_KEYS_ENVIRONMENT};
	struct pipe_outside outside = {.cloud = &keyless};
	char stays[PIPE_ID_BYTES], goes[PIPE_ID_BYTES], now[64];
	size_t count;

	(void)state;
	unsetenv("ALIBABA_CLOUD_ACCESS_KEY_ID");
	unsetenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET");
	make_job("{\"way\":\"auto\",\"bucket\":\"b-1\",\"source_address\":\"192.0.2.7\",\"disks\":"
		 "[{\"size_gib\":20}]}",
		 PIPE_STOPPED, 0, 38 * PIPE_DAY_S, stays);
	{
		CLEANUP_JOB struct pipe_job j = {.lock_fd = -1, .journal.fd = -1};
		CLEANUP_JSON json_t *fact = json_pack("{s:s}", "id", "i-1");

		open_job(stays, &j);
		assert_int_equal(pipe_job_set_fact(&j, "instance", "done", fact), 0);
	}
	/* Ids sort by the second of their making, and the broken one must come first. */
	for (;;) {
		make_job("{}", PIPE_STOPPED, 0, 38 * PIPE_DAY_S, goes);
		if (strcmp(goes, stays) > 0)
			break;
	}
	assert_int_equal(pipe_tidy(root, &outside, &count), -EACCES);
	assert_string_equal(err_code(), "CLOUD_KEYS_MISSING");
	assert_non_null(strstr(err_reason(), stays));
	assert_true(count >= 1);
	status_of(goes, now);
	assert_string_equal(now, "gone");
	status_of(stays, now);
	assert_string_equal(now, "Expired");
}

#define in_a_root(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_a_root(every_order_in_every_state_does_what_it_says_or_is_refused),
		in_a_root(a_refused_order_says_what_can_be_done_instead),
		in_a_root(a_cancelled_job_begins_anew_also_as_to_its_last_run),
		in_a_root(a_name_is_of_one_job_also_when_it_is_changed),
		in_a_root(a_job_is_valid_for_30_days_unless_it_says_otherwise),
		in_a_root(a_job_that_expires_while_it_waits_for_its_time_does_not_start),
		in_a_root(a_job_that_is_deleted_before_its_time_is_not_waited_for),
		in_a_root(tidying_deletes_what_expired_7_days_ago_and_nothing_else),
		in_a_root(a_job_that_cannot_be_tidied_keeps_no_other_from_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
