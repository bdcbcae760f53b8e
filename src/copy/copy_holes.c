/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list of what could not be read of one disk, by target offset, without overlap. */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "copy/private.h"

/* The first hole that ends behind offset. Under the lock. */
static size_t find(const struct rescue *k, uint64_t offset_bytes)
{
	size_t low = 0, high = k->hole_count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct copy_hole *h = &k->holes[middle];

		if (h->offset_bytes + h->length_bytes <= offset_bytes)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* `next` goes on where `hole` ends, on both sides. */
static bool continues(const struct copy_hole *hole, const struct copy_hole *next)
{
	return hole->source == next->source &&
	       hole->offset_bytes + hole->length_bytes == next->offset_bytes &&
	       hole->source_offset_bytes + hole->length_bytes == next->source_offset_bytes;
}

/* The hole before i has grown up to it: they are one. */
static void close_gap(struct rescue *k, size_t i)
{
	if (i == k->hole_count || !continues(&k->holes[i - 1], &k->holes[i]))
		return;
	k->holes[i - 1].length_bytes += k->holes[i].length_bytes;
	k->hole_count--;
	memmove(&k->holes[i], &k->holes[i + 1], (k->hole_count - i) * sizeof(*k->holes));
}

int hole_add(struct rescue *k, const struct copy_hole *hole)
{
	LOCK_SCOPE(&k->lock);
	size_t i = find(k, hole->offset_bytes);

	if (i < k->hole_count && k->holes[i].offset_bytes <= hole->offset_bytes)
		return 0; /* was found in an earlier round */
	k->allowed = false;
	if (i > 0 && continues(&k->holes[i - 1], hole)) {
		k->holes[i - 1].length_bytes += hole->length_bytes;
		close_gap(k, i);
		return 0;
	}
	/* Readers of neighbouring chunks come in any order. */
	if (i < k->hole_count && continues(hole, &k->holes[i])) {
		k->holes[i].offset_bytes = hole->offset_bytes;
		k->holes[i].source_offset_bytes = hole->source_offset_bytes;
		k->holes[i].length_bytes += hole->length_bytes;
		return 0;
	}
	if (k->hole_count == k->hole_room) {
		size_t room = k->hole_room ? 2 * k->hole_room : 64;
		struct copy_hole *more = realloc(k->holes, room * sizeof(*more));

		if (!more)
			return fail_code(ENOMEM, "COPY_NO_MEMORY",
					 "no memory for the list of what cannot be read");
		k->holes = more;
		k->hole_room = room;
	}
	memmove(&k->holes[i + 1], &k->holes[i], (k->hole_count - i) * sizeof(*k->holes));
	k->holes[i] = *hole;
	k->hole_count++;
	return 0;
}

bool hole_at(struct rescue *k, uint64_t offset_bytes, uint64_t limit_bytes, uint64_t *end)
{
	LOCK_SCOPE(&k->lock);
	size_t i = find(k, offset_bytes);
	bool in = i < k->hole_count && k->holes[i].offset_bytes <= offset_bytes;

	*end = limit_bytes;
	if (in)
		*end = min_of(limit_bytes, k->holes[i].offset_bytes + k->holes[i].length_bytes);
	else if (i < k->hole_count)
		*end = min_of(limit_bytes, k->holes[i].offset_bytes);
	return in;
}

uint64_t rescue_hole_bytes(struct rescue *k)
{
	LOCK_SCOPE(&k->lock);
	uint64_t bytes = 0;

	for (size_t i = 0; k->allowed && i < k->hole_count; i++)
		bytes += k->holes[i].length_bytes;
	return bytes;
}
