/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bounded cursor through which every byte that we did not write ourselves is read. A read past
 * the end, or a failed check, makes the cursor bad and empty: later reads give zeros, and one test
 * of cursor_ok() at the end of a run of reads is enough. Also the bounded writer for what we send.
 */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct cursor {
	const uint8_t *at;
	const uint8_t *end;
	bool bad;
};

static inline struct cursor cursor_of(const void *data, size_t bytes)
{
	return (struct cursor){.at = data, .end = (const uint8_t *)data + bytes};
}

static inline bool cursor_ok(const struct cursor *c)
{
	return !c->bad;
}

static inline size_t cursor_left(const struct cursor *c)
{
	return (size_t)(c->end - c->at);
}

static inline void cursor_fail(struct cursor *c)
{
	c->bad = true;
	c->at = c->end;
}

/* The next n bytes, borrowed from the data, or NULL (and the cursor bad). */
static inline const uint8_t *cursor_bytes(struct cursor *c, size_t n)
{
	const uint8_t *p = c->at;

	if (c->bad || n > cursor_left(c)) {
		cursor_fail(c);
		return NULL;
	}
	c->at += n;
	return p;
}

static inline void cursor_skip(struct cursor *c, size_t n)
{
	(void)cursor_bytes(c, n);
}

/* Copy n bytes out; zeros when they are not there. */
static inline void cursor_copy(struct cursor *c, void *out, size_t n)
{
	const uint8_t *p = cursor_bytes(c, n);

	if (p)
		memcpy(out, p, n);
	else
		memset(out, 0, n);
}

/* A cursor over the next n bytes alone; empty and bad when they are not there. */
static inline struct cursor cursor_sub(struct cursor *c, size_t n)
{
	const uint8_t *p = cursor_bytes(c, n);

	return p ? cursor_of(p, n) : (struct cursor){.at = c->end, .end = c->end, .bad = true};
}

static inline uint64_t cursor_be(struct cursor *c, size_t n)
{
	const uint8_t *p = cursor_bytes(c, n);
	uint64_t v = 0;

	for (size_t i = 0; p && i < n; i++)
		v = v << 8 | p[i];
	return v;
}

static inline uint64_t cursor_le(struct cursor *c, size_t n)
{
	const uint8_t *p = cursor_bytes(c, n);
	uint64_t v = 0;

	for (size_t i = n; p && i > 0; i--)
		v = v << 8 | p[i - 1];
	return v;
}

static inline uint8_t cursor_u8(struct cursor *c)
{
	return (uint8_t)cursor_le(c, 1);
}
static inline uint16_t cursor_be16(struct cursor *c)
{
	return (uint16_t)cursor_be(c, 2);
}
static inline uint32_t cursor_be32(struct cursor *c)
{
	return (uint32_t)cursor_be(c, 4);
}
static inline uint64_t cursor_be64(struct cursor *c)
{
	return cursor_be(c, 8);
}
static inline uint16_t cursor_le16(struct cursor *c)
{
	return (uint16_t)cursor_le(c, 2);
}
static inline uint32_t cursor_le32(struct cursor *c)
{
	return (uint32_t)cursor_le(c, 4);
}
static inline uint64_t cursor_le64(struct cursor *c)
{
	return cursor_le(c, 8);
}

/* The writing twin: writes past the end make it bad and write nothing. */
struct writer {
	uint8_t *start;
	uint8_t *at;
	uint8_t *end;
	bool bad;
};

static inline struct writer writer_of(void *data, size_t bytes)
{
	return (struct writer){.start = data, .at = data, .end = (uint8_t *)data + bytes};
}

static inline bool writer_ok(const struct writer *w)
{
	return !w->bad;
}

static inline size_t writer_used(const struct writer *w)
{
	return (size_t)(w->at - w->start);
}

static inline void writer_bytes(struct writer *w, const void *data, size_t n)
{
	if (w->bad || n > (size_t)(w->end - w->at)) {
		w->bad = true;
		return;
	}
	if (n)
		memcpy(w->at, data, n);
	w->at += n;
}

static inline void writer_be(struct writer *w, uint64_t v, size_t n)
{
	uint8_t b[8];

	for (size_t i = 0; i < n; i++)
		b[i] = (uint8_t)(v >> 8 * (n - 1 - i));
	writer_bytes(w, b, n);
}

static inline void writer_le(struct writer *w, uint64_t v, size_t n)
{
	uint8_t b[8];

	for (size_t i = 0; i < n; i++)
		b[i] = (uint8_t)(v >> 8 * i);
	writer_bytes(w, b, n);
}

#endif
