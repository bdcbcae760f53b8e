/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verify.leaves: the digest of each chunk, so that a difference can be located later. Big-endian.
 * docs/copy.md has the layout; base/leaves.h reads it.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/leaves.h"
#include "verify/private.h"

/* The length of the run of equal states at `from`. */
static uint32_t run_of(const struct verify_disk *d, uint64_t from)
{
	uint64_t i = from;

	while (i < d->chunks && d->states[i] == d->states[from] && i - from < UINT32_MAX)
		i++;
	return (uint32_t)(i - from);
}

static void write_disk(struct writer *w, const struct verify_disk *d, unsigned index)
{
	writer_be(w, index, 4);
	writer_be(w, 0, 4);
	writer_be(w, d->size_bytes, 8);
	writer_be(w, d->chunks, 8);
	for (uint64_t at = 0, n; at < d->chunks; at += n) {
		bool data = d->states[at] == WIRE_DATA;

		n = run_of(d, at);
		writer_be(w, n, 4);
		writer_be(w, data ? LEAVES_DATA : LEAVES_ZERO, 1);
		writer_be(w, 0, 3);
		if (data)
			writer_bytes(w, d->digests + at * d->digest_bytes, n * d->digest_bytes);
	}
}

static size_t room_for(const struct verify_result *result)
{
	size_t bytes = LEAVES_HEAD_BYTES + LEAVES_CHECK_BYTES;

	for (size_t i = 0; i < result->disk_count; i++) {
		const struct verify_disk *d = &result->disks[i];

		bytes += LEAVES_DISK_BYTES + d->data_chunks * d->digest_bytes;
		for (uint64_t at = 0; at < d->chunks; at += run_of(d, at))
			bytes += LEAVES_RUN_BYTES;
	}
	return bytes;
}

int verify_leaves_make(const struct verify_result *result, const struct map *map, uint8_t **data,
		       size_t *bytes)
{
	size_t room = room_for(result);
	struct writer w;

	*data = malloc(room);
	if (!*data)
		return fail(ENOMEM, "memory for verify.leaves");
	w = writer_of(*data, room);
	writer_bytes(&w, LEAVES_MAGIC, 8);
	writer_be(&w, LEAVES_VERSION, 2);
	writer_be(&w, LEAVES_CHUNK_SHIFT, 1);
	writer_be(&w, result->digest, 1);
	writer_be(&w, result->disk_count, 4);
	for (size_t i = 0; i < result->disk_count; i++)
		write_disk(&w, &result->disks[i], map->disks[i].index);
	*bytes = writer_used(&w) + LEAVES_CHECK_BYTES;
	hash_sha256(*data, writer_used(&w), w.at);
	return writer_ok(&w) && *bytes == room
		       ? 0
		       : fail(EINVAL, "the digests do not fill verify.leaves");
}
