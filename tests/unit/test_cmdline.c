/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel command line keys. */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "cmd/cmdline.h"
#include "unit.h"

static void keys_are_found_among_foreign_words(void **state)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	struct cmdline c;

	(void)state;
	assert_int_equal(
		cmdline_parse(a,
			      "BOOT_IMAGE=/vmlinuz quiet ip=dhcp coldlift.activation=abc "
			      "coldlift.exit=poweroff coldlift.progress=ttyS1 console=ttyS0\n",
			      &c),
		0);
	assert_string_equal(c.activation, "abc");
	assert_string_equal(c.progress, "ttyS1");
	assert_string_equal(c.mode, "migrate");
	assert_int_equal(c.exit, CMDLINE_EXIT_POWEROFF);
	assert_null(c.job);
	assert_null(c.device);
	assert_null(c.allow);
}

static void quotes_keep_blanks_and_last_key_counts(void **state)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	struct cmdline c;

	(void)state;
	assert_int_equal(
		cmdline_parse(a, "coldlift.job=\"file:/a b.json\" \"coldlift.allow=A,B\"", &c), 0);
	assert_string_equal(c.job, "file:/a b.json");
	assert_string_equal(c.allow, "A,B");
	assert_int_equal(cmdline_parse(a, "coldlift.mode=receive coldlift.mode=shell", &c), 0);
	assert_string_equal(c.mode, "shell");
	assert_int_equal(cmdline_parse(a, "coldlift.mode=receive coldlift.device=vda,vdb", &c), 0);
	assert_string_equal(c.device, "vda,vdb");
	assert_int_equal(cmdline_parse(a, "", &c), 0);
	assert_int_equal(cmdline_parse(a, "coldlift.job=\"open", &c), 0);
	assert_string_equal(c.job, "open");
}

static void mistyped_keys_and_values_are_refused(void **state)
{
	static const char *const bad[] = {"coldlift.activaton=x", "coldlift.exit=halt",
					  "coldlift.mode=copy", "coldlift.job"};
	CLEANUP_ARENA struct arena *a = arena_new();
	struct cmdline c;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		err_clear();
		assert_int_equal(cmdline_parse(a, bad[i], &c), -EINVAL);
		assert_string_equal(err_code(), "CMDLINE_INVALID");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_found_among_foreign_words),
		cmocka_unit_test(quotes_keep_blanks_and_last_key_counts),
		cmocka_unit_test(mistyped_keys_and_values_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
