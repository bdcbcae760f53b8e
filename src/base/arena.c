/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A list of blocks, freed together; see arena.h. */
#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"

#define BLOCK_BYTES (64 * KIB)

struct block {
	struct block *next;
	size_t used_bytes;
	size_t room_bytes;
	_Alignas(max_align_t) unsigned char data[];
};

struct arena {
	struct block *first;
};

struct arena *arena_new(void)
{
	return calloc(1, sizeof(struct arena));
}

void arena_free(struct arena *a)
{
	if (!a)
		return;
	for (struct block *b = a->first, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	free(a);
}

static struct block *block_new(struct arena *a, size_t bytes)
{
	size_t room = max_of(bytes, (size_t)BLOCK_BYTES);
	struct block *b = room < SIZE_MAX / 2 ? calloc(1, sizeof(*b) + room) : NULL;

	if (!b) {
		fprintf(stderr, "out of memory: %zu bytes\n", bytes);
		abort();
	}
	b->room_bytes = room;
	/* A large block goes behind the first, so that the room left there is still used. */
	if (a->first && bytes >= BLOCK_BYTES) {
		b->next = a->first->next;
		a->first->next = b;
	} else {
		b->next = a->first;
		a->first = b;
	}
	return b;
}

void *arena_alloc(struct arena *a, size_t bytes)
{
	size_t step = bytes < SIZE_MAX / 2 ? round_up(bytes, _Alignof(max_align_t)) : bytes;
	struct block *b = a->first;

	if (!b || step > b->room_bytes - b->used_bytes)
		b = block_new(a, step);
	b->used_bytes += step;
	return b->data + b->used_bytes - step;
}

char *arena_strndup(struct arena *a, const char *text, size_t n)
{
	size_t len = strnlen(text, n);
	char *copy = arena_alloc(a, len + 1);

	memcpy(copy, text, len);
	return copy;
}

char *arena_strdup(struct arena *a, const char *text)
{
	return arena_strndup(a, text, strlen(text));
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap, again;
	char *text;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	text = arena_alloc(a, (size_t)max_of(n, 0) + 1);
	vsnprintf(text, (size_t)max_of(n, 0) + 1, fmt, again);
	va_end(again);
	va_end(ap);
	return text;
}

void *arena_grow(struct arena *a, void *array_ptr, size_t count, size_t element_bytes)
{
	void **array = array_ptr;

	if ((count & (count - 1)) == 0) {
		uint64_t bytes = 0;
		void *wider;

		if (!mul_ok(count ? count * 2 : 1, element_bytes, &bytes))
			bytes = SIZE_MAX;
		wider = arena_alloc(a, bytes);
		if (count)
			memcpy(wider, *array, count * element_bytes);
		*array = wider;
	}
	return (char *)*array + count * element_bytes;
}
