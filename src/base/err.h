/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Error reasons. A function returns 0 or -errno; the deepest place that knows the object's name
 * writes the reason once with fail(), callers prefix context with fail_in(). The reason belongs to
 * the thread: a worker that ends hands its rc and a copy of err_reason() to whoever joins it.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#define ERR_REASON_MAX 512
#define ERR_CODE_MAX   48

/* Write the reason and return -errnum. errnum may be given as positive or negative; 0 is a bug. */
int fail(int errnum, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* As fail(), with a stable UPPER_SNAKE code that operators and scripts see. */
int fail_code(int errnum, const char *code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Prefix "context: " to the reason that stands and return rc unchanged. rc must be negative. */
int fail_in(int rc, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The calling thread's last reason ("" if none) and code ("" if none); valid until its next fail.
 */
const char *err_reason(void);
const char *err_code(void);

/* Take over a reason from another thread, as handed across a join. */
void err_adopt(const char *code, const char *reason);
void err_clear(void);

#endif
