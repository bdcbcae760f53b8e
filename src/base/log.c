/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One line an event; see log.h. */
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/clock.h"

/* Where lines go is a property of the process, set once by cmd/ before there are threads. */
static struct {
	pthread_mutex_t lock;
	enum log_level level;
	log_sink_fn sink;
	void *ctx;
} out = {.lock = PTHREAD_MUTEX_INITIALIZER, .level = LOG_LEVEL_INFO};

void log_setup(enum log_level level, log_sink_fn sink, void *ctx)
{
	LOCK_SCOPE(&out.lock);
	out.level = level;
	out.sink = sink;
	out.ctx = ctx;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};
	int saved_errno = errno;
	char line[1024], when[CLOCK_TEXT_BYTES];
	int n;
	va_list ap;

	if (level > out.level)
		return;
	n = snprintf(line, sizeof(line), "%s %-5s ", clock_text(when), names[level]);
	va_start(ap, fmt);
	vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
	va_end(ap);
	for (char *c = line; *c; c++) {
		if ((unsigned char)*c < ' ')
			*c = ' ';
	}
	{
		LOCK_SCOPE(&out.lock);
		if (out.sink)
			out.sink(out.ctx, level, line);
		else
			fprintf(stderr, "%s\n", line);
	}
	errno = saved_errno;
}
