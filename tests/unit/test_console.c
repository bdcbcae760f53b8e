/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is shown: never wider or longer than a screen, and the words that people and programs look
 * for. */
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/num.h"
#include "console/console.h"

static struct console_view sample(void)
{
	struct console_view v = {
		.state = CONSOLE_RUNNING,
		.phase = CONSOLE_SYNCING,
		.machine = "QEMU Standard PC (i440FX + PIIX, 1996), BIOS, 2 processors, 1.0 GiB",
		.system = "Debian GNU/Linux 12 (bookworm), host sample",
		.job = "keep the layout: 2 disks, 6.0 GiB",
		.target = "192.0.2.7",
		.step = "copying used blocks",
		.elapsed_s = 83,
		.disk_count = 2,
		.disks = {{.name = "sda",
			   .done_bytes = 600 * MIB,
			   .total_bytes = 1200 * MIB,
			   .rate_bytes_s = 50 * MIB,
			   .eta_s = 12},
			  {.name = "sdb", .total_bytes = 300 * MIB, .eta_s = CONSOLE_ETA_UNKNOWN}},
	};

	return v;
}

static void assert_fits(const char *screen)
{
	unsigned lines = 0;

	for (const char *line = screen; *line; lines++) {
		size_t n = strcspn(line, "\n");

		assert_true(n <= CONSOLE_COLUMNS);
		assert_int_equal(line[n], '\n');
		for (size_t i = 0; i < n; i++)
			assert_true(line[i] >= ' ' && line[i] < 127);
		line += n + 1;
	}
	assert_true(lines <= CONSOLE_LINES);
	assert_true(strlen(screen) < CONSOLE_SCREEN_BYTES);
}

static unsigned line_count(const char *screen)
{
	unsigned n = 0;

	for (const char *p = screen; *p; p++)
		n += *p == '\n';
	return n;
}

static void screen_while_copying(void **state)
{
	struct console_view v = sample();
	char screen[CONSOLE_SCREEN_BYTES];
	static const char expected[] =
		" Coldlift                                                     Running: Syncing\n"
		"-------------------------------------------------------------------------------\n"
		" Machine    QEMU Standard PC (i440FX + PIIX, 1996), BIOS, 2 processors, 1.0 GiB\n"
		" System     Debian GNU/Linux 12 (bookworm), host sample\n"
		" Job        keep the layout: 2 disks, 6.0 GiB\n"
		" Target     192.0.2.7\n"
		"\n"
		" Now        copying used blocks\n"
		"\n"
		" sda      [##########..........]  50% 600 MiB/1.2 GiB   50.0 MiB/s 0:12 left\n"
		" sdb      [....................]   0% 0 bytes/300 MiB\n"
		" all      [########............]  40% 600 MiB/1.5 GiB   50.0 MiB/s 0:18 left\n"
		"\n"
		" Time       1:23\n"
		"-------------------------------------------------------------------------------\n"
		" The disks of this machine are read-only. Switching it off loses nothing.\n"
		" A shell: Alt-F2 on this keyboard, or the word shell on the serial line.\n";

	(void)state;
	console_render(&v, screen);
	assert_fits(screen);
	assert_string_equal(screen, expected);
}

static void failure_shows_code_reason_and_advice(void **state)
{
	struct console_view v = sample();
	char screen[CONSOLE_SCREEN_BYTES], line[1200];

	(void)state;
	v.state = CONSOLE_IN_ERROR;
	strcpy(v.code, "GUEST_BOOT_FULL");
	strcpy(v.reason, "/boot needs 1.1 MiB more for drivers and has 0.3 MiB free.");
	strcpy(v.advice, "Remove an old kernel on the source, then try again.");
	console_render(&v, screen);
	assert_fits(screen);
	assert_non_null(strstr(screen, "InError"));
	assert_non_null(strstr(screen, "Error      GUEST_BOOT_FULL"));
	assert_non_null(strstr(screen, "Reason     /boot needs"));
	assert_non_null(strstr(screen, "What to do Remove an old kernel"));
	assert_null(strstr(screen, "Syncing"));
	console_render_line(&v, line, sizeof(line));
	assert_non_null(strstr(line, "InError GUEST_BOOT_FULL"));
}

static void everything_too_long_still_fits(void **state)
{
	struct console_view v = sample();
	char screen[CONSOLE_SCREEN_BYTES];

	(void)state;
	for (int s = CONSOLE_READY; s <= CONSOLE_WAITING; s++) {
		v.state = (enum console_state)s;
		memset(v.machine, 0xe4, sizeof(v.machine) - 1);
		memset(v.system, 'x', sizeof(v.system) - 1);
		memset(v.job, '\n', sizeof(v.job) - 1);
		memset(v.target, '\033', sizeof(v.target) - 1);
		memset(v.step, 'y', sizeof(v.step) - 1);
		memset(v.note, 'n', sizeof(v.note) - 1);
		memset(v.trouble, 't', sizeof(v.trouble) - 1);
		memset(v.code, 'C', sizeof(v.code) - 1);
		memset(v.reason, 'r', sizeof(v.reason) - 1);
		memset(v.advice, 'a', sizeof(v.advice) - 1);
		v.disk_count = CONSOLE_DISKS_MAX;
		v.elapsed_s = UINT64_MAX - 1;
		for (size_t i = 0; i < CONSOLE_DISKS_MAX; i++) {
			memset(v.disks[i].name, 'd', sizeof(v.disks[i].name) - 1);
			v.disks[i].done_bytes = UINT64_MAX / 64;
			v.disks[i].total_bytes = UINT64_MAX / 32;
			v.disks[i].rate_bytes_s = 1;
			v.disks[i].eta_s = UINT64_MAX / 64;
		}
		console_render(&v, screen);
		assert_fits(screen);
		/* Whatever else is cut. At the end a prompt comes below, and the first line stays.
		 */
		if (v.state == CONSOLE_READY || v.state == CONSOLE_RUNNING)
			assert_non_null(strstr(screen, "\n A shell: Alt-F2"));
		else
			assert_true(line_count(screen) <= 21);
		assert_non_null(strstr(screen, "is machine"));
	}
}

static void what_is_amiss_stands_beside_the_step(void **state)
{
	struct console_view v = sample();
	char screen[CONSOLE_SCREEN_BYTES], line[1200];

	(void)state;
	strcpy(v.step, "disk sda does not answer; waiting for it, for some minutes: look at its "
		       "cable and power");
	strcpy(v.note, "the source was used since the last run");
	strcpy(v.trouble, "no network card has a link");
	console_render(&v, screen);
	assert_fits(screen);
	assert_non_null(strstr(screen, " Now        disk sda does not answer; waiting for it, "
				       "for some minutes: look at\n            its cable"));
	assert_non_null(strstr(screen, " Note       the source was used"));
	assert_non_null(strstr(screen, " Trouble    no network card has a link"));
	assert_non_null(strstr(screen, " sdb "));
	console_render_line(&v, line, sizeof(line));
	assert_non_null(strstr(line, "; trouble: no network card"));
	assert_null(strstr(line, "was used since"));
}

static void every_state_has_the_word_of_smc(void **state)
{
	static const char *const words[] = {"Ready",   "Running",  "Stopped",
					    "InError", "Finished", "Waiting"};

	(void)state;
	for (int s = CONSOLE_READY; s <= CONSOLE_WAITING; s++) {
		struct console_view v = sample();
		char screen[CONSOLE_SCREEN_BYTES], line[1200];

		v.state = (enum console_state)s;
		console_render(&v, screen);
		console_render_line(&v, line, sizeof(line));
		assert_non_null(strstr(screen, words[s]));
		assert_non_null(strstr(line, words[s]));
	}
}

static void json_has_a_line_for_each_disk(void **state)
{
	struct console_view v = sample();
	char *text = console_render_json(&v, "2026-01-02T03:04:05Z");
	const char *second = strchr(text, '\n') + 1;
	json_t *first = NULL;

	(void)state;
	assert_int_equal(json_parse(text, (size_t)(second - text), "line", &first), 0);
	assert_string_equal(json_string_value(json_object_get(first, "state")), "Running");
	assert_string_equal(json_string_value(json_object_get(first, "phase")), "Syncing");
	assert_string_equal(json_string_value(json_object_get(first, "disk")), "sda");
	assert_int_equal(json_integer_value(json_object_get(first, "done_bytes")), 600 * MIB);
	assert_int_equal(json_integer_value(json_object_get(first, "eta_s")), 12);
	assert_non_null(strstr(second, "\"sdb\""));
	assert_non_null(strstr(second, "\"eta_s\":null"));
	json_decref(first);
	free(text);
}

static void json_of_an_error_is_one_line(void **state)
{
	struct console_view v = sample();
	char *text;

	(void)state;
	v.state = CONSOLE_IN_ERROR;
	strcpy(v.code, "COW_FULL");
	strcpy(v.reason, "line one\nline two");
	text = console_render_json(&v, "now");
	assert_non_null(strstr(text, "\"code\":\"COW_FULL\""));
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	free(text);
}

static void a_missing_terminal_stops_nothing(void **state)
{
	const char *const ttys[] = {"no-such-terminal", "null"};
	struct console_view v = sample();
	struct console *c = NULL;

	(void)state;
	assert_int_equal(console_open(ttys, 2, "null", &c), 0);
	console_update(c, &v);
	v.disks[0].done_bytes += MIB;
	console_update(c, &v);
	console_close(c);
	console_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(screen_while_copying),
		cmocka_unit_test(failure_shows_code_reason_and_advice),
		cmocka_unit_test(everything_too_long_still_fits),
		cmocka_unit_test(what_is_amiss_stands_beside_the_step),
		cmocka_unit_test(every_state_has_the_word_of_smc),
		cmocka_unit_test(json_has_a_line_for_each_disk),
		cmocka_unit_test(json_of_an_error_is_one_line),
		cmocka_unit_test(a_missing_terminal_stops_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
