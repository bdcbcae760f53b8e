/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is kept of a disk's upload from one life of the receiver to the next:
 *
 *   magic 8 | order 64, zeros behind it | checkpoint 4 | count of parts that are done 4
 *   | for each: number 4, bytes 4, CRC-64 8, bytes of the disk up to its end 8, length of ETag 1,
 * ETag | state of the checkpoint's part | SHA-256 of all before
 *
 * Integers are big-endian.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/log.h"
#include "receiver/upload_private.h"

#define MAGIC	   "CLFTUPL1"
#define HEAD_BYTES (8 + UPLOAD_ID_MAX + 4 + 4)
#define PART_BYTES (4 + 4 + 8 + 8 + 1)

int upload_saved_write(const struct upload_work *w, const struct upload_disk *d, uint8_t **out,
		       size_t *bytes)
{
	size_t max = HEAD_BYTES + d->state_bytes + HASH_SHA256_BYTES;
	char id[UPLOAD_ID_MAX] = "";
	struct writer wr;
	unsigned count = 0;

	for (unsigned n = 1; n <= UPLOAD_PARTS_MAX; n++)
		if (d->parts[n].done) {
			max += PART_BYTES + strlen(d->parts[n].etag);
			count++;
		}
	*out = malloc(max);
	if (!*out)
		return fail(ENOMEM, "memory for the state of an upload");
	memcpy(id, w->order.id, strlen(w->order.id));
	wr = writer_of(*out, max);
	writer_bytes(&wr, MAGIC, 8);
	writer_bytes(&wr, id, sizeof(id));
	writer_be(&wr, d->checkpoint, 4);
	writer_be(&wr, count, 4);
	for (unsigned n = 1; n <= UPLOAD_PARTS_MAX; n++) {
		const struct upload_part *p = &d->parts[n];

		if (!p->done)
			continue;
		writer_be(&wr, n, 4);
		writer_be(&wr, p->bytes, 4);
		writer_be(&wr, p->crc, 8);
		writer_be(&wr, p->done_bytes, 8);
		writer_be(&wr, strlen(p->etag), 1);
		writer_bytes(&wr, p->etag, strlen(p->etag));
	}
	writer_bytes(&wr, d->state, d->state_bytes);
	hash_sha256(*out, writer_used(&wr), wr.at);
	*bytes = writer_used(&wr) + HASH_SHA256_BYTES;
	return 0;
}

static bool read_part(struct upload_disk *d, struct cursor *c)
{
	uint32_t number = cursor_be32(c);
	struct upload_part p = {.done = true, .bytes = cursor_be32(c), .crc = cursor_be64(c)};
	size_t etag;

	p.done_bytes = cursor_be64(c);
	etag = cursor_u8(c);
	if (number < 1 || number > UPLOAD_PARTS_MAX || etag >= sizeof(p.etag))
		return false;
	cursor_copy(c, p.etag, etag);
	if (!cursor_ok(c))
		return false;
	d->parts[number] = p;
	return true;
}

static bool read_all(struct upload_disk *d, const char *order, struct cursor *c)
{
	char id[UPLOAD_ID_MAX + 1] = "";
	const uint8_t *magic = cursor_bytes(c, 8);
	uint32_t count;

	cursor_copy(c, id, UPLOAD_ID_MAX);
	if (!magic || memcmp(magic, MAGIC, 8) != 0 || strcmp(id, order) != 0)
		return false;
	d->checkpoint = cursor_be32(c);
	count = cursor_be32(c);
	for (uint32_t i = 0; i < count; i++)
		if (!read_part(d, c))
			return false;
	d->state_bytes = cursor_left(c);
	if (d->state_bytes > 0) {
		d->state = malloc(d->state_bytes);
		if (!d->state)
			return false;
		memcpy(d->state, c->at, d->state_bytes);
	}
	return cursor_ok(c) && d->checkpoint <= UPLOAD_PARTS_MAX;
}

void upload_saved_read(struct upload_disk *d, const char *order, const uint8_t *data, size_t bytes)
{
	uint8_t sum[HASH_SHA256_BYTES];
	struct cursor c;

	if (bytes < HEAD_BYTES + HASH_SHA256_BYTES)
		return;
	bytes -= HASH_SHA256_BYTES;
	hash_sha256(data, bytes, sum);
	c = cursor_of(data, bytes);
	if (memcmp(sum, data + bytes, sizeof(sum)) == 0 && read_all(d, order, &c))
		return;
	log_warn("%s: what was kept of its upload is of no use; it begins anew", d->name);
	for (unsigned n = 1; n <= UPLOAD_PARTS_MAX; n++)
		d->parts[n] = (struct upload_part){0};
	free(d->state);
	d->state = NULL;
	d->state_bytes = 0;
	d->checkpoint = 0;
}
