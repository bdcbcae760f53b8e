/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Growing texts and encodings; see text.h. */
#include "cloud/text.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/num.h"

static const char *const day_names[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const month_names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

struct text text_new(struct arena *a)
{
	struct text t = {.a = a, .room = 128};

	t.data = arena_alloc(a, t.room);
	return t;
}

static void add_bytes(struct text *t, const char *s, size_t bytes)
{
	if (bytes >= t->room - t->bytes) {
		size_t room = max_of(2 * t->room, t->bytes + bytes + 1);
		char *grown = arena_alloc(t->a, room);

		memcpy(grown, t->data, t->bytes);
		explicit_bzero(t->data, t->bytes);
		t->data = grown;
		t->room = room;
	}
	memcpy(t->data + t->bytes, s, bytes);
	t->bytes += bytes;
	t->data[t->bytes] = '\0';
}

void text_add(struct text *t, const char *s)
{
	add_bytes(t, s, strlen(s));
}

void text_addf(struct text *t, const char *fmt, ...)
{
	CLEANUP_FREE char *s = NULL;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vasprintf(&s, fmt, args);
	va_end(args);
	if (n < 0)
		abort();
	add_bytes(t, s, (size_t)n);
}

void text_add_encoded(struct text *t, const char *s, bool keep_slash)
{
	static const char hex[] = "0123456789ABCDEF";

	for (; *s; s++) {
		unsigned char ch = (unsigned char)*s;
		const char escaped[3] = {'%', hex[ch >> 4], hex[ch & 15]};
		bool plain = (ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z') ||
			     (ch >= '0' && ch <= '9') || strchr("-_.~", ch) ||
			     (keep_slash && ch == '/');

		if (plain)
			add_bytes(t, s, 1);
		else
			add_bytes(t, escaped, 3);
	}
}

const char *text_encoded(struct arena *a, const char *s, bool keep_slash)
{
	struct text t = text_new(a);

	text_add_encoded(&t, s, keep_slash);
	return t.data;
}

const char *text_decoded(struct arena *a, const char *s)
{
	char *out = arena_alloc(a, strlen(s) + 1), *to = out;
	char pair[3] = "";

	for (; *s; s++) {
		if (*s != '%') {
			*to++ = *s == '+' ? ' ' : *s;
			continue;
		}
		if (!s[1] || !s[2])
			return NULL;
		memcpy(pair, s + 1, 2);
		if (hex_decode(pair, to, 1) < 0 || !*to)
			return NULL;
		to++;
		s += 2;
	}
	return out;
}

const char *text_lower(struct arena *a, const char *s)
{
	char *out = arena_strdup(a, s);

	for (char *p = out; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return out;
}

const char *text_trimmed(struct arena *a, const char *s)
{
	size_t n;

	s += strspn(s, " \t");
	n = strlen(s);
	while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t'))
		n--;
	return arena_strndup(a, s, n);
}

const char *text_base64(struct arena *a, const void *data, size_t bytes)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *in = data;
	char *out = arena_alloc(a, (bytes + 2) / 3 * 4 + 1), *to = out;

	for (size_t i = 0; i < bytes; i += 3) {
		uint32_t v = (uint32_t)in[i] << 16;

		v |= i + 1 < bytes ? (uint32_t)in[i + 1] << 8 : 0;
		v |= i + 2 < bytes ? in[i + 2] : 0;
		*to++ = digits[v >> 18];
		*to++ = digits[v >> 12 & 63];
		*to++ = i + 1 < bytes ? digits[v >> 6 & 63] : '=';
		*to++ = i + 2 < bytes ? digits[v & 63] : '=';
	}
	return out;
}

static struct tm utc(int64_t unix_s)
{
	time_t t = (time_t)unix_s;
	struct tm tm = {0};

	gmtime_r(&t, &tm);
	return tm;
}

const char *text_time_iso(struct arena *a, int64_t unix_s)
{
	struct tm tm = utc(unix_s);

	return arena_printf(a, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1,
			    tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

const char *text_time_compact(struct arena *a, int64_t unix_s)
{
	struct tm tm = utc(unix_s);

	return arena_printf(a, "%04d%02d%02dT%02d%02d%02dZ", tm.tm_year + 1900, tm.tm_mon + 1,
			    tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

const char *text_time_http(struct arena *a, int64_t unix_s)
{
	struct tm tm = utc(unix_s);

	return arena_printf(a, "%s, %02d %s %04d %02d:%02d:%02d GMT", day_names[tm.tm_wday],
			    tm.tm_mday, month_names[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour,
			    tm.tm_min, tm.tm_sec);
}

static int64_t unix_of(struct tm *tm)
{
	if (tm->tm_year < 1970 || tm->tm_year > 9999 || tm->tm_mon < 0 || tm->tm_mon > 11 ||
	    tm->tm_mday < 1 || tm->tm_mday > 31 || tm->tm_hour < 0 || tm->tm_hour > 23 ||
	    tm->tm_min < 0 || tm->tm_min > 59 || tm->tm_sec < 0 || tm->tm_sec > 60)
		return -1;
	tm->tm_year -= 1900;
	return (int64_t)timegm(tm);
}

int64_t text_parse_http_time(const char *s)
{
	struct tm tm = {0};
	char month[4] = "";

	if (sscanf(s, "%*3s, %2d %3s %4d %2d:%2d:%2d GMT", &tm.tm_mday, month, &tm.tm_year,
		   &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6)
		return -1;
	tm.tm_mon = -1;
	for (int i = 0; i < 12; i++)
		if (strcmp(month, month_names[i]) == 0)
			tm.tm_mon = i;
	return unix_of(&tm);
}

int64_t text_parse_iso_time(const char *s)
{
	struct tm tm = {0};
	char zone = 0;

	if (sscanf(s, "%4d-%2d-%2dT%2d:%2d:%2d%c", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
		   &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &zone) != 7 ||
	    zone != 'Z')
		return -1;
	tm.tm_mon--;
	return unix_of(&tm);
}
