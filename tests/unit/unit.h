/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What every unit test includes: cmocka with the headers it wants, without its macro fail(), which
 * is ours. */
#ifndef UNIT_H
#define UNIT_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/run.h"

#undef fail
#undef fail_msg
#define fail_msg(...) \
	(print_error("ERROR: " __VA_ARGS__), print_error("\n"), _fail(__FILE__, __LINE__))

/* Runs a program to its end. -EIO: its status is not 0. */
static inline int run_check(const char *const argv[], uint64_t deadline_ms)
{
	CLEANUP_RUN struct run_result result = {0};
	int rc = run_capture(argv, deadline_ms, &result);

	return rc == 0 && result.exit_status ? -EIO : rc;
}

#endif
