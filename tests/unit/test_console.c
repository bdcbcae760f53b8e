/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The operator's screen: it fits, it does not wrap, and it says what it must in each state. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/num.h"
#include "console/console.h"
#include "unit.h"

static struct console_view *full_view(void)
{
	struct console_view *v = calloc(1, sizeof(*v));

	v->state = CONSOLE_RUNNING;
	v->phase = CONSOLE_SYNCING;
	snprintf(v->machine, sizeof(v->machine), "Example Server X1, 2 CPUs, 192 MiB, BIOS");
	snprintf(v->system, sizeof(v->system), "Debian GNU/Linux 12 (bookworm)");
	snprintf(v->target, sizeof(v->target), "receiver at 192.0.2.1");
	snprintf(v->plan, sizeof(v->plan), "keep the layout: sda -> disk0");
	v->disk_count = 2;
	snprintf(v->disks[0].name, sizeof(v->disks[0].name), "sda");
	v->disks[0].total_bytes = 2 * GIB;
	v->disks[0].done_bytes = GIB;
	snprintf(v->disks[1].name, sizeof(v->disks[1].name), "sdb");
	v->disks[1].total_bytes = 2 * GIB;
	v->read_bytes_per_s = 10 * MIB;
	v->wire_bytes_per_s = 5 * MIB;
	v->left_ms = 3661000;
	return v;
}

static void assert_fits(const char *text)
{
	unsigned rows = 0;

	for (const char *row = text, *end; (end = strchr(row, '\n')); row = end + 1, rows++) {
		assert_true(end - row < CONSOLE_COLUMNS);
		for (const char *c = row; c < end; c++)
			assert_true(*c >= ' ' && *c <= '~');
	}
	assert_true(rows < CONSOLE_ROWS);
}

static void syncing_shows_each_disk_the_rate_and_the_time_left(void **state)
{
	CLEANUP_FREE struct console_view *v = full_view();
	char text[CONSOLE_TEXT_BYTES];

	(void)state;
	console_render(v, text);
	assert_fits(text);
	assert_non_null(strstr(text, "Running: Syncing"));
	assert_non_null(strstr(
		text, "sda       [#################.................]  50 %  1.0 GiB of 2.0 GiB"));
	assert_non_null(strstr(text, "sdb       [..................................]   0 %"));
	assert_non_null(strstr(text, "25 %, 10.0 MiB/s, on the wire 5.0 MiB/s, left: 1:01:01"));
}

static void the_fullest_screen_still_fits(void **state)
{
	CLEANUP_FREE struct console_view *v = full_view();
	char text[CONSOLE_TEXT_BYTES];

	(void)state;
	v->state = CONSOLE_INERROR;
	v->disk_count = CONSOLE_DISKS_MAX;
	memset(v->machine, 'm', sizeof(v->machine) - 1);
	memset(v->system, '\x1b', sizeof(v->system) - 1);
	memset(v->target, '\xe4', sizeof(v->target) - 1);
	memset(v->plan, 'p', sizeof(v->plan) - 1);
	memset(v->code, 'C', sizeof(v->code) - 1);
	memset(v->reason, 'r', sizeof(v->reason) - 1);
	memset(v->advice, 'a', sizeof(v->advice) - 1);
	memset(v->hint, 'h', sizeof(v->hint) - 1);
	for (int i = 0; i < 20; i++)
		console_view_say(v, "message %d %0200d", i, i);
	console_render(v, text);
	assert_fits(text);
}

static void an_error_shows_code_reason_and_what_to_do(void **state)
{
	CLEANUP_FREE struct console_view *v = full_view();
	char text[CONSOLE_TEXT_BYTES], line[300];

	(void)state;
	v->state = CONSOLE_INERROR;
	snprintf(v->code, sizeof(v->code), "SOURCE_HIBERNATED");
	snprintf(v->reason, sizeof(v->reason), "sda2 holds a suspended system");
	snprintf(v->advice, sizeof(v->advice), "Start the server and shut it down.");
	console_render(v, text);
	assert_non_null(strstr(text, "InError"));
	assert_non_null(strstr(text, "SOURCE_HIBERNATED"));
	assert_non_null(strstr(text, "sda2 holds a suspended system"));
	assert_non_null(strstr(text, "Start the server and shut it down."));
	console_line(v, line, sizeof(line));
	assert_non_null(strstr(line, "InError: SOURCE_HIBERNATED"));
}

static void messages_keep_the_newest(void **state)
{
	CLEANUP_FREE struct console_view *v = calloc(1, sizeof(*v));

	(void)state;
	for (int i = 0; i < 10; i++)
		console_view_say(v, "m%d", i);
	assert_int_equal(v->message_count, CONSOLE_MESSAGES_MAX);
	assert_int_equal(v->messages_seen, 10);
	assert_string_equal(v->messages[0], "m4");
	assert_string_equal(v->messages[CONSOLE_MESSAGES_MAX - 1], "m9");
}

static void json_lines_reach_the_progress_file(void **state)
{
	char path[] = "/tmp/coldlift-test-XXXXXX";
	CLEANUP_CLOSE int fd = mkstemp(path);
	CLEANUP_FREE char *text = NULL;
	CLEANUP_JSON json_t *json = NULL;
	struct console *c = NULL;
	struct console_view *v;

	(void)state;
	assert_int_equal(
		console_open(&(struct console_options){.ttys = "/dev/null", .progress = path}, &c),
		0);
	v = console_edit(c);
	v->state = CONSOLE_FINISHED;
	snprintf(v->doing, sizeof(v->doing), "all is there");
	console_done(c);
	console_close(c);
	assert_int_equal(io_read_file(path, 1 << 20, &text, NULL), 0);
	unlink(path);
	*strchr(text, '\n') = '\0';
	json = json_loads(text, 0, NULL);
	assert_non_null(json);
	assert_string_equal(json_string_value(json_object_get(json, "state")), "Finished");
	assert_string_equal(json_string_value(json_object_get(json, "message")), "all is there");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(syncing_shows_each_disk_the_rate_and_the_time_left),
		cmocka_unit_test(the_fullest_screen_still_fits),
		cmocka_unit_test(an_error_shows_code_reason_and_what_to_do),
		cmocka_unit_test(messages_keep_the_newest),
		cmocka_unit_test(json_lines_reach_the_progress_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
