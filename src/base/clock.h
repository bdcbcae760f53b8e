/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Monotonic time, for rates and deadlines; and wall time as text, for records. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static inline uint64_t clock_ms(void)
{
	return clock_us() / 1000;
}

#define CLOCK_TEXT_BYTES 24

/* "2026-01-31T23:59:59Z" of now; returns buf. */
static inline const char *clock_text(char buf[CLOCK_TEXT_BYTES])
{
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(buf, CLOCK_TEXT_BYTES, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return buf;
}

#endif
