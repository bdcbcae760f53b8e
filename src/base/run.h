/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Run an external program by argument vector, with a deadline and captured output; never a shell.
 */
#ifndef BASE_RUN_H
#define BASE_RUN_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct run_result {
	int exit_status; /* as of the exited program; 128 + signal when it was killed */
	char *out;	 /* standard output, NUL-terminated; run_result_fini() frees it */
	size_t out_bytes;
	char err[400]; /* the tail of standard error, one line, for messages */
};

/* A line of standard output at a time, without its newline; a negative result stops the program. */
typedef int (*run_line_fn)(void *ctx, const char *line);

#define RUN_OUT_MAX_BYTES (16u << 20)

/*
 * argv ends in NULL; argv[0] is a path or is looked up in PATH. Standard input is /dev/null, no
 * other descriptor is inherited. Past the deadline the program is killed: -ETIMEDOUT. Output over
 * RUN_OUT_MAX_BYTES is -EFBIG. Returns 0 when the program ran to its end, whatever its exit status.
 */
int run_capture(const char *const argv[], uint64_t deadline_ms, struct run_result *result);

/*
 * As run_capture(), output handed over line by line and not kept. A non-zero exit status is -EIO
 * with the program's own words as the reason.
 */
int run_lines(const char *const argv[], uint64_t deadline_ms, run_line_fn fn, void *ctx);

void run_result_fini(struct run_result *result);

#define CLEANUP_RUN CLEANUP(run_result_fini)

#endif
