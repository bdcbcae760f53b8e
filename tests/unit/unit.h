/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What every unit test includes: cmocka with the headers it wants, without its macro fail(), which
 * is ours. */
#ifndef UNIT_H
#define UNIT_H

#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/run.h"

#undef fail
#undef fail_msg
#define fail_msg(...) \
	(print_error("ERROR: " __VA_ARGS__), print_error("\n"), _fail(__FILE__, __LINE__))

static inline int unit_remove_one_(const char *path, const struct stat *st, int kind,
				   struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

/* A directory with all that is in it; -1: not all could be removed. */
static inline int remove_tree(const char *dir)
{
	return nftw(dir, unit_remove_one_, 16, FTW_DEPTH | FTW_PHYS);
}

/* Runs a program to its end. -EIO: its status is not 0. */
static inline int run_check(const char *const argv[], uint64_t deadline_ms)
{
	CLEANUP_RUN struct run_result result = {0};
	int rc = run_capture(argv, deadline_ms, &result);

	return rc == 0 && result.exit_status ? -EIO : rc;
}

#endif
