/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A suspended system that was given up does not wake up on the copy. */
#include <fcntl.h>
#include <stdbool.h>

#include "unit.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "image.h"
#include "prepare/prep_swap.h"

static void after(const char old[10], const char now[10], const char want[10], size_t notes)
{
	struct prep_report r;
	char path[] = "/tmp/test_swap.XXXXXX", page[8192] = {0};
	const struct view view = {.name = "sda3", .path = path, .content = DISK_CONTENT_SWAP};
	CLEANUP_CLOSE int fd = mkstemp(path);

	memcpy(page + 4076, old, 10);
	memcpy(page + 4086, now, 10);
	assert_int_equal(write(fd, page, sizeof(page)), sizeof(page));
	assert_int_equal(report_init(&r, NULL), 0);
	assert_int_equal(swap_give_up(&view, &r), 0);
	assert_int_equal(json_array_size(r.repaired), notes);
	assert_int_equal(pread(fd, page, sizeof(page), 0), sizeof(page));
	assert_memory_equal(page + 4086, want, 10);
	assert_memory_equal(page + 4076, old, 10);
	report_fini(&r);
	unlink(path);
}

static void the_old_signature_comes_back(void **state)
{
	(void)state;
	after("SWAPSPACE2", "S1SUSPEND\0", "SWAPSPACE2", 1);
	after("SWAP-SPACE", "S1SUSPEND\0", "SWAP-SPACE", 1);
	after("\0\0\0\0\0\0\0\0\0", "ULSUSPEND\0", "SWAPSPACE2", 1);
	after("xxxxxxxxxx", "LINHIB0001", "SWAPSPACE2", 1);
}

static void other_swap_stays_as_it_is(void **state)
{
	(void)state;
	after("\0\0\0\0\0\0\0\0\0", "SWAPSPACE2", "SWAPSPACE2", 0);
	after("\0\0\0\0\0\0\0\0\0", "something ", "something ", 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_old_signature_comes_back),
		cmocka_unit_test(other_swap_stays_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
