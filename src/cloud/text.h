/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A text that grows in an arena, and the encodings of URLs, headers and times. */
#ifndef CLOUD_TEXT_H
#define CLOUD_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

struct text {
	struct arena *a;
	char *data; /* NUL-terminated once something was added; "" never NULL after text_new() */
	size_t bytes;
	size_t room;
};

struct text text_new(struct arena *a);
void text_add(struct text *t, const char *s);
void text_addf(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Percent-encode: unreserved A-Z a-z 0-9 - _ . ~ stay, and '/' if asked. Upper-case hex. */
void text_add_encoded(struct text *t, const char *s, bool keep_slash);
const char *text_encoded(struct arena *a, const char *s, bool keep_slash);

/* Decode %XX, in place of a copy in the arena; NULL when it is not well formed. */
const char *text_decoded(struct arena *a, const char *s);

const char *text_lower(struct arena *a, const char *s);
/* Without blanks at both ends. */
const char *text_trimmed(struct arena *a, const char *s);
const char *text_base64(struct arena *a, const void *data, size_t bytes);

/* 2026-01-02T03:04:05Z; 20260102T030405Z; Fri, 02 Jan 2026 03:04:05 GMT. Independent of locales. */
const char *text_time_iso(struct arena *a, int64_t unix_s);
const char *text_time_compact(struct arena *a, int64_t unix_s);
const char *text_time_http(struct arena *a, int64_t unix_s);
/* The latter and the first back; -1 when it is neither. */
int64_t text_parse_http_time(const char *s);
int64_t text_parse_iso_time(const char *s);

#endif
