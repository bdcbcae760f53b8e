/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytes that are put together one after the other, in memory that grows. */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include <stddef.h>

/* All zero is an empty one. data is for free(). */
struct buffer {
	char *data; /* with a NUL behind it, which is not counted; NULL before the first call */
	size_t used;
	size_t room;
};

/* what: for the reason. -ENOMEM, and what is there stays. */
int buffer_add(struct buffer *b, const void *data, size_t bytes, const char *what);

#endif
