/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sorted lists of byte ranges; see disk.h. */
#include "disk/disk.h"

#include <assert.h>

void disk_extents_add(struct arena *a, struct disk_extents *e, uint64_t offset_bytes,
		      uint64_t length_bytes)
{
	struct disk_extent *last = e->count ? &e->list[e->count - 1] : NULL;

	if (length_bytes == 0)
		return;
	assert(length_bytes <= UINT64_MAX - offset_bytes);
	assert(!last || offset_bytes >= last->offset_bytes + last->length_bytes);
	if (last && last->offset_bytes + last->length_bytes == offset_bytes)
		last->length_bytes += length_bytes;
	else
		*arena_push(a, &e->list, &e->count) = (struct disk_extent){
			.offset_bytes = offset_bytes, .length_bytes = length_bytes};
	e->total_bytes += length_bytes;
}
