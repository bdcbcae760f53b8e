/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What jobs look like, which instance type is taken, and the script that an instance runs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/num.h"
#include "pipeline/pipe_types.h"
#include "pipeline/pipe_userdata.h"
#include "pipeline/pipeline.h"
#include "unit.h"

static json_t *jobs_of(const char *text)
{
	json_t *jobs = json_loads(text, 0, NULL);

	assert_non_null(jobs);
	return jobs;
}

#define JOBS                                                                                     \
	"[{\"id\":\"j-6b027b8ce7327a7c\",\"name\":\"web1\",\"state\":\"Running\",\"phase\":"     \
	"\"Syncing\","                                                                           \
	"\"progress\":{\"percent\":37,\"rate_bytes_s\":104857600,\"eta_s\":3725,\"step\":"       \
	"\"sync\","                                                                              \
	"\"source\":\"Running: Syncing\"}},"                                                     \
	"{\"id\":\"j-6b027b8ce7327a7d\",\"name\":\"<db & "                                       \
	"\\\"co\\\">\",\"state\":\"InError\",\"phase\":\"\","                                    \
	"\"error\":{\"code\":\"OperationDenied.NoStock\",\"reason\":\"every instance type that " \
	"would do "                                                                              \
	"is sold out in ap-southeast-1, in each of its zones, since this "                       \
	"morning\",\"step\":\"zone\","                                                           \
	"\"advice\":\"Name another type.\"},"                                                    \
	"\"kept\":[{\"what\":\"instance\",\"id\":\"i-w8xzdr3unzcwqvmqm0yy\",\"costs\":\"a "      \
	"pay-as-you-go "                                                                         \
	"instance with its disks, by the hour\"}]}]"

static void no_line_of_the_table_is_wider_than_the_terminal(void **state)
{
	CLEANUP_JSON json_t *jobs = jobs_of(JOBS);

	(void)state;
	for (unsigned columns = 40; columns <= 200; columns++) {
		CLEANUP_FREE char *text = pipe_show_table(jobs, columns);

		for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
			assert_in_range(strcspn(line, "\n"), 0, columns);
	}
}

static void the_table_says_progress_errors_and_what_costs(void **state)
{
	CLEANUP_JSON json_t *jobs = jobs_of(JOBS);
	CLEANUP_FREE char *text = pipe_show_table(jobs, 80);

	(void)state;
	assert_non_null(strstr(text, "web1               Syncing    [#####...........]  37% 100"));
	assert_non_null(strstr(text, "MiB/s, 1:02:05 left\n"));
	assert_non_null(strstr(text, "  OperationDenied.NoStock: every instance type"));
	assert_non_null(strstr(text, "since this morning"));
	assert_non_null(strstr(text, "  Kept: instance i-w8xzdr3unzcwqvmqm0yy: a pay-as-you-go"));
	assert_non_null(strstr(text, "pipeline cancel"));
}

/* A job that only waits costs as much as one that failed. */
/* On a low terminal the table is seen whole, and what does not fit is what explains it. */
static void all_jobs_stand_above_what_is_said_of_one(void **state)
{
	CLEANUP_JSON json_t *jobs = jobs_of(JOBS);
	CLEANUP_FREE char *text = NULL;

	(void)state;
	json_array_insert(jobs, 0, json_array_get(jobs, 1));
	text = pipe_show_table(jobs, 80);
	assert_true(strstr(text, "web1 ") < strstr(text, "OperationDenied.NoStock: "));
}

static void a_line_says_once_what_the_source_says(void **state)
{
	CLEANUP_JSON json_t *job =
		jobs_of("{\"name\":\"w\",\"state\":\"Running\",\"phase\":"
			"\"Syncing\",\"progress\":{\"percent\":0,\"step\":\"sync\","
			"\"rate_bytes_s\":0,\"source\":\"not there yet\"}}");
	CLEANUP_FREE char *line = pipe_show_line(job);

	(void)state;
	assert_string_equal(line, "w Syncing 0% source: not there yet");
}

/* Its process was killed, or the host was restarted. */
static void a_running_job_that_nobody_runs_is_told_as_such(void **state)
{
	CLEANUP_JSON json_t *jobs = jobs_of("[{\"name\":\"w\",\"state\":\"Running\",\"phase\":"
					    "\"Syncing\",\"running\":false}]");
	CLEANUP_FREE char *text = pipe_show_table(jobs, 80);

	(void)state;
	assert_non_null(
		strstr(text, "Syncing    [................]   0% no process: pipeline start\n"));
}

static void the_images_of_one_job_are_named_in_full(void **state)
{
	CLEANUP_JSON json_t *jobs = jobs_of("[{\"name\":\"w\",\"state\":\"Finished\",\"images\":[{"
					    "\"id\":\"m-1\",\"name\":\"shop_r1\","
					    "\"region\":\"cn-beijing\"},{\"id\":\"/x/"
					    "y\",\"files\":[{\"path\":\"/x/y-disk0.qcow2\"}]}]}]");
	CLEANUP_FREE char *text = pipe_show_table(jobs, 40);

	(void)state;
	assert_non_null(strstr(text, "\n  m-1 shop_r1 in cn-beijing\n  /x/y-disk0.qcow2\n"));
}

static void what_is_kept_is_said_in_every_state_that_lasts(void **state)
{
	static const struct {
		const char *state, *words;
	} cases[] = {
		{"InError",
		 "  pipeline retry w goes on with it, pipeline cancel w gives it back.\n"},
		{"Stopped",
		 "  pipeline start w goes on with it, pipeline cancel w gives it back.\n"},
		{"Waiting",
		 "  pipeline start w goes on with it, pipeline cut-over w gives it back.\n"},
		{"Expired", "  pipeline delete w gives it back.\n"},
		{"Running", NULL},
		{"Finished", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP_JSON json_t *jobs =
			json_pack("[{s:s, s:s, s:s, s:[{s:s, s:s, s:s}]}]", "id", "j-1", "name",
				  "w", "state", cases[i].state, "kept", "what", "instance", "id",
				  "i-1", "costs", "0.3 CNY an hour");
		CLEANUP_FREE char *text = pipe_show_table(jobs, 80);
		CLEANUP_FREE char *page = pipe_show_html(jobs);
		bool said = strstr(text, "  Kept: instance i-1: 0.3 CNY an hour.\n") != NULL;

		assert_int_equal(said, cases[i].words != NULL);
		assert_int_equal(strstr(page, "instance i-1: 0.3 CNY an hour.") != NULL, said);
		if (cases[i].words)
			assert_non_null(strstr(text, cases[i].words));
	}
}

static void the_page_escapes_what_operators_typed(void **state)
{
	CLEANUP_JSON json_t *jobs = jobs_of(JOBS);
	CLEANUP_FREE char *text = pipe_show_html(jobs);

	(void)state;
	assert_non_null(strstr(text, "&lt;db &amp; &quot;co&quot;&gt;"));
	assert_null(strstr(text, "<db"));
	assert_non_null(strstr(text, "value=\"37\""));
}

static void instance_types_are_tried_in_smcs_order(void **state)
{
	static const struct {
		const char *type;
		unsigned cores;
		double gib;
		int rank;
	} cases[] = {
		{"ecs.n4.small", 1, 2, 0},	     {"ecs.mn4.small", 1, 4, 1},
		{"ecs.e-c1m1.large", 2, 2, 2},	     {"ecs.c6.large", 2, 4, 3},
		{"ecs.t6-c2m1.large", 2, 1, 4},	     {"ecs.t5-lc1m1.small", 1, 1, 5},
		{"ecs.g6.large", 2, 8, 6},	     {"ecs.u1-c1m8.large", 2, 16, 7},
		{"ecs.r6.xlarge", 4, 32, 8},	     {"ecs.g6.8xlarge", 32, 128, -1},
		{"ecs.g6r.large", 2, 8, -1},	     {"ecs.g8y.large", 2, 8, -1},
		{"ecs.gn6i-c4g1.xlarge", 4, 15, -1}, {"ecs.ebmg6.26xlarge", 104, 384, -1},
		{"dds.mongo.mid", 1, 2, -1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int rank = types_rank(cases[i].type, cases[i].cores, cases[i].gib);

		if (rank != cases[i].rank)
			fail_msg("%s has rank %d", cases[i].type, rank);
	}
}

static const struct userdata plain = {.url = "https://b.oss/receiver?x=1&y=%2F",
				      .sha256 = "00112233",
				      .key_pem = "KEY\n",
				      .cert_pem = "CERT\n",
				      .token = "0123456789abcdef0123456789abcdef",
				      .disks = 2};

static void the_instances_script_is_good_shell(void **state)
{
	CLEANUP_FREE char *text = userdata_make(&plain);
	FILE *sh;

	(void)state;
	assert_non_null(text);
	assert_non_null(strstr(text,
			       "serve --state /var/lib/coldlift --token-file /opt/coldlift/token "
			       "--device /dev/vdb --device /dev/vdc\n"));
	assert_int_equal(strncmp(text, "#!/bin/sh\n", 10), 0);
	sh = popen("sh -n", "w");
	assert_non_null(sh);
	fputs(text, sh);
	assert_int_equal(pclose(sh), 0);
}

static void a_text_that_would_end_its_quotes_is_refused(void **state)
{
	struct userdata u = plain;

	(void)state;
	u.url = "https://x/'; reboot; '";
	assert_null(userdata_make(&u));
	u = plain;
	u.key_pem = "KEY\nCOLDLIFT_END\nreboot\n";
	assert_null(userdata_make(&u));
}

static void a_script_longer_than_ecs_takes_is_refused(void **state)
{
	CLEANUP_FREE char *big = malloc(USERDATA_MAX_BYTES + 1);
	struct userdata u = plain;

	(void)state;
	memset(big, 'x', USERDATA_MAX_BYTES);
	big[USERDATA_MAX_BYTES] = '\0';
	u.key_pem = big;
	assert_null(userdata_make(&u));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_line_of_the_table_is_wider_than_the_terminal),
		cmocka_unit_test(the_table_says_progress_errors_and_what_costs),
		cmocka_unit_test(all_jobs_stand_above_what_is_said_of_one),
		cmocka_unit_test(a_line_says_once_what_the_source_says),
		cmocka_unit_test(a_running_job_that_nobody_runs_is_told_as_such),
		cmocka_unit_test(the_images_of_one_job_are_named_in_full),
		cmocka_unit_test(what_is_kept_is_said_in_every_state_that_lasts),
		cmocka_unit_test(the_page_escapes_what_operators_typed),
		cmocka_unit_test(instance_types_are_tried_in_smcs_order),
		cmocka_unit_test(the_instances_script_is_good_shell),
		cmocka_unit_test(a_text_that_would_end_its_quotes_is_refused),
		cmocka_unit_test(a_script_longer_than_ecs_takes_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
