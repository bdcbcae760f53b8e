/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verify.leaves: the digest of each chunk, so that a difference can be located later. Big-endian.
 * docs/copy.md has the layout. Read from foreign bytes in place, without memory of its own.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/num.h"
#include "verify/private.h"

#define HEAD_BYTES  16
#define DISK_BYTES  24
#define RUN_BYTES   8
#define CHECK_BYTES 32
#define VERSION	    1
#define SHIFT	    20

static const char magic[8] = "CLFTLEAF";

/* ---- writing ---- */

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
		writer_be(w, data ? WIRE_DATA : WIRE_ZERO, 1);
		writer_be(w, 0, 3);
		if (data)
			writer_bytes(w, d->digests + at * WIRE_DIGEST_BYTES, n * WIRE_DIGEST_BYTES);
	}
}

static size_t room_for(const struct verify_result *result)
{
	size_t bytes = HEAD_BYTES + CHECK_BYTES;

	for (size_t i = 0; i < result->disk_count; i++) {
		const struct verify_disk *d = &result->disks[i];

		bytes += DISK_BYTES + d->data_chunks * WIRE_DIGEST_BYTES;
		for (uint64_t at = 0; at < d->chunks; at += run_of(d, at))
			bytes += RUN_BYTES;
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
		return fail(ENOMEM, "verify.leaves");
	w = writer_of(*data, room);
	writer_bytes(&w, magic, sizeof(magic));
	writer_be(&w, VERSION, 2);
	writer_be(&w, SHIFT, 1);
	writer_be(&w, 1, 1); /* XXH3-128 */
	writer_be(&w, result->disk_count, 4);
	for (size_t i = 0; i < result->disk_count; i++)
		write_disk(&w, &result->disks[i], map->disks[i].index);
	*bytes = writer_used(&w) + CHECK_BYTES;
	hash_sha256(*data, writer_used(&w), w.at);
	return writer_ok(&w) && *bytes == room ? 0 : fail(EINVAL, "verify.leaves");
}

/* ---- reading ---- */

static int invalid(const char *what)
{
	return fail_code(EINVAL, "LEAVES_INVALID", "verify.leaves: %s", what);
}

/* Walk over the runs of a disk; bad when they do not make up its chunks exactly. */
static void skip_runs(struct cursor *c, uint64_t chunks)
{
	for (uint64_t at = 0; at < chunks && cursor_ok(c);) {
		uint32_t count = cursor_be32(c);
		uint8_t state = cursor_u8(c);

		cursor_skip(c, 3);
		if (count == 0 || count > chunks - at || (state != WIRE_ZERO && state != WIRE_DATA))
			cursor_fail(c);
		else if (state == WIRE_DATA)
			cursor_skip(c, (size_t)count * WIRE_DIGEST_BYTES);
		at += count;
	}
}

static int open_head(const void *data, size_t bytes, struct cursor *c, uint32_t *disks)
{
	uint8_t sum[CHECK_BYTES], head[sizeof(magic)];

	if (bytes < HEAD_BYTES + CHECK_BYTES)
		return invalid("too short");
	hash_sha256(data, bytes - CHECK_BYTES, sum);
	if (memcmp(sum, (const uint8_t *)data + bytes - CHECK_BYTES, CHECK_BYTES) != 0)
		return invalid("its checksum is wrong; it was damaged or cut");
	*c = cursor_of(data, bytes - CHECK_BYTES);
	cursor_copy(c, head, sizeof(head));
	if (memcmp(head, magic, sizeof(magic)) != 0)
		return invalid("not such a file");
	if (cursor_be16(c) != VERSION || cursor_u8(c) != SHIFT || cursor_u8(c) != 1)
		return invalid("of another version");
	*disks = cursor_be32(c);
	return 0;
}

int verify_leaves_find(const void *data, size_t bytes, unsigned disk, struct verify_leaves *out)
{
	struct cursor c = {0};
	uint32_t disks = 0;
	int rc = open_head(data, bytes, &c, &disks);
	bool found = false;

	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < disks && cursor_ok(&c); i++) {
		struct verify_leaves l = {.disk = cursor_be32(&c)};

		cursor_skip(&c, 4);
		l.size_bytes = cursor_be64(&c);
		l.chunks = cursor_be64(&c);
		if (l.chunks != div_up(l.size_bytes, WIRE_CHUNK_BYTES))
			cursor_fail(&c);
		l.runs = c.at;
		skip_runs(&c, l.chunks);
		l.end = c.at;
		if (!found && l.disk == disk)
			*out = l;
		found |= l.disk == disk;
	}
	if (!cursor_ok(&c) || cursor_left(&c))
		return invalid("it contradicts itself");
	return found ? 0 : invalid("it does not have this disk");
}

void verify_leaves_begin(const struct verify_leaves *l, struct verify_leaf_cursor *c)
{
	*c = (struct verify_leaf_cursor){.at = l->runs};
}

/* The runs were checked when they were found. */
const uint8_t *verify_leaves_next(struct verify_leaf_cursor *c)
{
	const uint8_t *digest;

	if (c->left == 0) {
		struct cursor head = cursor_of(c->at, RUN_BYTES);

		c->left = cursor_be32(&head);
		c->data = cursor_u8(&head) == WIRE_DATA;
		c->at += RUN_BYTES;
	}
	c->left--;
	digest = c->data ? c->at : NULL;
	if (c->data)
		c->at += WIRE_DIGEST_BYTES;
	return digest;
}
