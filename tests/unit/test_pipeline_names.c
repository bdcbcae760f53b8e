/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whose a thing is, by its name. */
#include "base/num.h"
#include "pipeline/pipe_names.h"
#include "pipeline/pipeline.h"
#include "unit.h"

#define JOB "j-0123456789abcdef"

static void what_a_job_names_is_known_to_be_its_own(void **state)
{
	CLEANUP_ARENA struct arena *a = arena_new();

	(void)state;
	assert_string_equal(name_object(a, JOB, "run1/disk0.qcow2"),
			    "coldlift/" JOB "/run1/disk0.qcow2");
	assert_string_equal(job_of_object(a, name_object(a, JOB, "run1/disk0.qcow2")), JOB);
	assert_string_equal(job_of_object(a, name_object(a, JOB, "")), JOB);
	assert_string_equal(name_export(a, JOB, 12), "cl0123456789abcdefr12");
	assert_string_equal(job_of_object(a, "cl0123456789abcdefr12_system.raw.tar.gz"), JOB);
	assert_string_equal(name_ens_image(a, "shop", JOB, 2), "shop_0123456789abcdef_r2");
	assert_string_equal(job_of_ens_image(a, name_ens_image(a, "a_r1", JOB, 2)), JOB);
}

static void what_no_job_names_is_nobodys(void **state)
{
	static const char *const objects[] = {
		"",
		"cl",
		"c",
		"club",
		"coldlift/",
		"coldlift/receiver",
		"coldlift/" JOB, /* no folder */
		"coldlift/" JOB "0/x",
		"coldlift/j-0123456789abcdeg/x",
		"coldlift/J-0123456789abcdef/x",
		"x/coldlift/" JOB "/x",
		"cl0123456789abcdef",
		"cl0123456789abcdefx1",
		"cl0123456789abcdef0r1",
		"cl0123456789abcder1",
	};
	static const char *const images[] = {
		"",
		"_r1",
		"shop_r1",
		"0123456789abcdef_r1",
		"_123456789abcdef_r1",
		"shop_0123456789abcdef",
		"shop-0123456789abcdef_r1",
		"shop_0123456789abcdeg_r1",
		"shop_0123456789abcdef_r1_r2",
	};
	static const char *const ids[] = {
		"", "j", "j-", "j-0123456789abcde", JOB "0", "j-0123456789abcdeF", "web1"};
	CLEANUP_ARENA struct arena *a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(objects); i++)
		assert_null(job_of_object(a, objects[i]));
	for (size_t i = 0; i < ARRAY_SIZE(images); i++)
		assert_null(job_of_ens_image(a, images[i]));
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		assert_false(pipe_is_id(ids[i]));
	assert_true(pipe_is_id(JOB));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_job_names_is_known_to_be_its_own),
		cmocka_unit_test(what_no_job_names_is_nobodys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
