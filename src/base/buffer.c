/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory that grows; see buffer.h. */
#include "base/buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"

#define BUFFER_STEP_BYTES 4096

int buffer_add(struct buffer *b, const void *data, size_t bytes, const char *what)
{
	if (b->room - b->used < bytes + 1) {
		size_t room = max_of(b->room * 2, b->used + bytes + BUFFER_STEP_BYTES);
		char *wider = realloc(b->data, room);

		if (!wider)
			return fail(ENOMEM, "memory for %s", what);
		b->data = wider;
		b->room = room;
	}
	memcpy(b->data + b->used, data, bytes);
	b->used += bytes;
	b->data[b->used] = '\0';
	return 0;
}
