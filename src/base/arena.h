/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An arena owns all memory of one artefact (an inventory, a plan, a map) and frees it at once.
 * Not for the copy loop, which allocates nothing. One thread at a time.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/cleanup.h"

struct arena;

/* NULL only when memory is out. */
struct arena *arena_new(void);

/* Accepts NULL. */
void arena_free(struct arena *a);

/* Zeroed memory, aligned for any type; aborts the process when memory is out, as nothing can go on.
 */
void *arena_alloc(struct arena *a, size_t bytes);
char *arena_strdup(struct arena *a, const char *text);
char *arena_strndup(struct arena *a, const char *text, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Room for one more element at the end of an array of *count elements that lives in the arena;
 * doubles the room when count reaches a power of two. Returns the zeroed new element; the caller
 * counts it.
 */
void *arena_grow(struct arena *a, void *array_ptr, size_t count, size_t element_bytes);

/* Typed form: struct x *new = arena_push(a, &list, &n); */
#define arena_push(a, array_ptr, count_ptr)                                   \
	((typeof(*(array_ptr)))arena_grow((a), (array_ptr), (*(count_ptr))++, \
					  sizeof(**(array_ptr))))

static inline void cleanup_arena_(struct arena **a)
{
	arena_free(*a);
}

#define CLEANUP_ARENA CLEANUP(cleanup_arena_)

#endif
