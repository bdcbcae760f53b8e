/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Error reasons of the calling thread; see err.h. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The one thread-local of the project: a reason has to survive the return through plain int
 * results. */
static _Thread_local struct {
	char code[ERR_CODE_MAX];
	char reason[ERR_REASON_MAX];
} last;

/* Words of peers and names of files come in here and go to terminals: one line, and nothing that
 * moves a cursor. */
static void make_printable(char *text)
{
	for (char *c = text; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = ' ';
	}
}

static void set_reason(int errnum, const char *code, const char *fmt, va_list ap)
{
	char text[ERR_REASON_MAX];
	int n = vsnprintf(text, sizeof(text), fmt, ap);

	if (n < 0)
		text[0] = '\0';
	snprintf(last.code, sizeof(last.code), "%s", code);
	/* Text made by a coded failure is complete; a bare errno is worth adding to the others. */
	if (*code)
		snprintf(last.reason, sizeof(last.reason), "%s", text);
	else
		snprintf(last.reason, sizeof(last.reason), "%.400s: %s", text, strerror(errnum));
	make_printable(last.code);
	make_printable(last.reason);
}

int fail(int errnum, const char *fmt, ...)
{
	va_list ap;

	errnum = abs(errnum);
	va_start(ap, fmt);
	set_reason(errnum, "", fmt, ap);
	va_end(ap);
	return -errnum;
}

int fail_code(int errnum, const char *code, const char *fmt, ...)
{
	va_list ap;

	errnum = abs(errnum);
	va_start(ap, fmt);
	set_reason(errnum, code, fmt, ap);
	va_end(ap);
	return -errnum;
}

int fail_in(int rc, const char *fmt, ...)
{
	char context[160], joined[ERR_REASON_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(context, sizeof(context), fmt, ap);
	va_end(ap);
	snprintf(joined, sizeof(joined), "%s: %.350s", context, last.reason);
	make_printable(joined);
	memcpy(last.reason, joined, sizeof(joined));
	return rc;
}

const char *err_reason(void)
{
	return last.reason;
}

const char *err_code(void)
{
	return last.code;
}

void err_adopt(const char *code, const char *reason)
{
	snprintf(last.code, sizeof(last.code), "%s", code);
	snprintf(last.reason, sizeof(last.reason), "%s", reason);
}

void err_clear(void)
{
	last.code[0] = '\0';
	last.reason[0] = '\0';
}
