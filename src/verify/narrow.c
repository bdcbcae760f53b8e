/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which blocks of a bad chunk differ: the receiver's marks of what stands there (4 bytes a block)
 * against those of the chunk as the source gives it now. Whatever cannot be asked or read leaves
 * the whole chunk suspected.
 */
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "verify/private.h"

/* When a whole disk is bad, blocks are of no interest. */
#define NARROW_MAX 256

static void close_nbd(struct wire_nbd **n)
{
	wire_nbd_close(*n);
}

static void free_buf(uint8_t **buf)
{
	free(*buf);
}

static uint64_t bytes_of(const struct verify_disk *d, uint64_t chunk)
{
	return min_of((uint64_t)WIRE_CHUNK_BYTES, d->size_bytes - chunk * WIRE_CHUNK_BYTES);
}

static bool blocks_of(const struct verify_options *o, unsigned disk, struct wire_nbd *n,
		      struct verify_result *result, struct verify_bad *bad, uint8_t *buf)
{
	const struct verify_disk *d = &result->disks[disk];
	uint64_t base = bad->chunk * WIRE_CHUNK_BYTES, bytes = bytes_of(d, bad->chunk);
	uint8_t theirs[WIRE_MARKS_BYTES], own[WIRE_MARKS_BYTES];
	struct wire_request request = {.command = NBD_CMD_BLOCK_DIGESTS,
				       .offset_bytes = base,
				       .length_bytes = 1,
				       .into = theirs};
	struct wire_done done;

	if (wire_nbd_call(n, &request, &done) < 0 ||
	    copy_read_chunk(o->copy, disk, bad->chunk, d->size_bytes, buf) < 0)
		return false;
	wire_chunk_marks(buf, bytes, WIRE_MARK_BYTES, own);
	for (uint64_t at = 0; at < bytes; at += WIRE_BLOCK_BYTES) {
		size_t mark = at / WIRE_BLOCK_BYTES * WIRE_MARK_BYTES;

		if (memcmp(own + mark, theirs + mark, WIRE_MARK_BYTES) != 0)
			disk_extents_add(result->arena, &bad->differs, base + at,
					 min_of(bytes - at, (uint64_t)WIRE_BLOCK_BYTES));
	}
	return bad->differs.count > 0;
}

void verify_narrow(const struct verify_options *o, unsigned disk, struct verify_result *result)
{
	CLEANUP(close_nbd) struct wire_nbd *n = NULL;
	CLEANUP(free_buf) uint8_t *buf = NULL;
	struct verify_disk *d = &result->disks[disk];
	bool able = d->bad_count > 0 && verify_open(o, disk, &n) == 0 && wire_nbd_info(n)->patch_ok;

	if (able)
		buf = aligned_alloc(4096, WIRE_CHUNK_BYTES);
	for (size_t i = 0; i < d->bad_count; i++) {
		struct verify_bad *bad = &d->bad[i];

		if (!buf || i >= NARROW_MAX || !blocks_of(o, disk, n, result, bad, buf))
			disk_extents_add(result->arena, &bad->differs,
					 bad->chunk * WIRE_CHUNK_BYTES, bytes_of(d, bad->chunk));
	}
}
