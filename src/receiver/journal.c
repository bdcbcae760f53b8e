/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The journal's file. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"
#include "receiver/journal.h"
#include "wire/wire.h"

#define MAGIC	   "CLFTJRNL"
#define PATH_BYTES 4200
/* Zeros are written ahead in steps of this: a sync that need not record a size is twice as fast. */
#define ROOM_BYTES (256u << 10)

struct journal {
	int fd;
	char path[PATH_BYTES];
	uint64_t id;
	uint64_t room_bytes;  /* the file's size: zeros stand behind the records */
	pthread_mutex_t lock; /* append */
	pthread_mutex_t sync_lock;
	uint64_t records;		 /* under lock */
	_Atomic uint64_t synced_records; /* written under sync_lock */
	uint32_t batch;			 /* under lock: syncs that are over, and one */
	int error;			 /* sticky, under lock */
};

/* A mistake in this sum would be noticed only by chance, so it is the digest, cut short. */
static uint64_t sum(const void *data, size_t bytes)
{
	uint8_t digest[WIRE_DIGEST_MAX];
	struct cursor c = cursor_of(digest, sizeof(digest));

	wire_digest(data, bytes, digest);
	return cursor_be64(&c);
}

static void encode_head(const struct journal_subject *s, uint64_t id,
			uint8_t raw[JOURNAL_HEAD_BYTES])
{
	struct writer w = writer_of(raw, JOURNAL_HEAD_BYTES);

	memset(raw, 0, JOURNAL_HEAD_BYTES);
	writer_bytes(&w, MAGIC, 8);
	writer_be(&w, JOURNAL_VERSION, 4);
	writer_be(&w, s->disk, 4);
	writer_be(&w, s->disk_bytes, 8);
	writer_be(&w, s->disk_identity, 8);
	writer_be(&w, WIRE_CHUNK_BYTES, 4);
	writer_be(&w, s->digest ? s->digest : WIRE_DIGEST_XXH3_128, 4);
	writer_be(&w, id, 8);
	w.at = raw + JOURNAL_HEAD_BYTES - 8;
	writer_be(&w, sum(raw, JOURNAL_HEAD_BYTES - 8), 8);
}

static uint32_t record_sum(const uint8_t raw[JOURNAL_RECORD_BYTES], uint64_t id, uint64_t place)
{
	uint8_t bytes[JOURNAL_RECORD_BYTES + 16];
	struct writer w = writer_of(bytes, sizeof(bytes));

	writer_bytes(&w, raw, 4);
	writer_bytes(&w, raw + 8, JOURNAL_RECORD_BYTES - 8);
	writer_be(&w, id, 8);
	writer_be(&w, place, 8);
	return (uint32_t)sum(bytes, writer_used(&w));
}

static void encode_record(const struct journal_record *r, uint32_t batch, uint64_t id,
			  uint64_t place, uint8_t raw[JOURNAL_RECORD_BYTES])
{
	struct writer w = writer_of(raw, JOURNAL_RECORD_BYTES);

	writer_be(&w, (uint64_t)r->kind << 24, 4);
	writer_be(&w, 0, 4);
	writer_be(&w, batch, 4);
	writer_be(&w, r->count, 4);
	writer_be(&w, r->chunk, 8);
	writer_bytes(&w, r->value, JOURNAL_VALUE_BYTES);
	w.at = raw + 4;
	writer_be(&w, record_sum(raw, id, place), 4);
}

/* False when the bytes are no record of this journal at this place. */
static bool decode_record(const uint8_t *raw, uint64_t id, uint64_t place, struct journal_record *r,
			  uint32_t *batch)
{
	struct cursor c = cursor_of(raw, JOURNAL_RECORD_BYTES);
	uint32_t kind = cursor_be32(&c), check = cursor_be32(&c);

	*batch = cursor_be32(&c);
	r->kind = kind >> 24;
	r->count = cursor_be32(&c);
	r->chunk = cursor_be64(&c);
	cursor_copy(&c, r->value, JOURNAL_VALUE_BYTES);
	return (kind & 0xffffff) == 0 && check == record_sum(raw, id, place);
}

static int foreign(const char *name, const char *why)
{
	return fail_code(EINVAL, "JOURNAL_FOREIGN",
			 "%s %s; give back the disk that it belongs to, or remove the journal to "
			 "copy this disk from the beginning",
			 name, why);
}

static bool digest_sane(uint32_t kind)
{
	return kind == WIRE_DIGEST_XXH3_128 || kind == WIRE_DIGEST_SHA256;
}

static int check_head(const uint8_t *raw, const struct journal_subject *s, const char *name,
		      uint64_t *id, uint32_t *digest)
{
	struct cursor c = cursor_of(raw, JOURNAL_HEAD_BYTES);
	const uint8_t *magic = cursor_bytes(&c, 8);
	struct cursor tail = cursor_of(raw + JOURNAL_HEAD_BYTES - 8, 8);

	if (memcmp(magic, MAGIC, 8) != 0)
		return foreign(name, "is not a journal");
	if (cursor_be32(&c) != JOURNAL_VERSION)
		return foreign(name, "was written by another version of the receiver");
	if (cursor_be64(&tail) != sum(raw, JOURNAL_HEAD_BYTES - 8))
		return foreign(name, "is damaged at its beginning");
	if (cursor_be32(&c) != s->disk)
		return foreign(name, "belongs to a disk with another number");
	if (cursor_be64(&c) != s->disk_bytes)
		return foreign(name, "belongs to a disk of another size");
	if (cursor_be64(&c) != s->disk_identity)
		return foreign(name, "belongs to another file than the one that is there now");
	if (cursor_be32(&c) != WIRE_CHUNK_BYTES)
		return foreign(name, "counts in other chunks");
	*digest = cursor_be32(&c);
	if (!digest_sane(*digest))
		return foreign(name, "has digests of a kind that this receiver does not know");
	*id = cursor_be64(&c);
	return 0;
}

static bool record_sane(const struct journal_record *r, uint64_t chunks)
{
	switch (r->kind) {
	case JOURNAL_DATA:
	case JOURNAL_OLD_DATA:
		return r->count == 1 && r->chunk < chunks;
	case JOURNAL_ZERO:
	case JOURNAL_OLD_ZERO:
	case JOURNAL_UNKNOWN:
		return r->count > 0 && range_ok(r->chunk, r->count, chunks);
	case JOURNAL_RUN:
		return r->count == 0 && r->chunk == 0;
	case JOURNAL_DIGEST:
		return r->count == 0 && r->chunk == 0 && digest_sane(r->value[0]) &&
		       io_is_zero(r->value + 1, sizeof(r->value) - 1);
	}
	return false;
}

static int damaged(const char *name, uint64_t place)
{
	return fail_code(EINVAL, "JOURNAL_DAMAGED",
			 "%s: record %" PRIu64 " is damaged though later ones are there; the "
			 "storage lost what it had confirmed. Remove the journal to copy this disk "
			 "from the beginning",
			 name, place);
}

/*
 * Behind the first bad record. A record of batch b was appended before sync b ended, so sync b + 1
 * covered it; and a sync happens only when there is something new. So what was torn when the power
 * went, and what else stands there unsynced, lies within three batches of the last good record. A
 * good record of a later batch proves that something was lost which had been synced.
 */
#define UNSYNCED_BATCHES 3

static int check_tail(const uint8_t *data, size_t bytes, uint64_t id, uint64_t place,
		      uint32_t last_batch, const char *name)
{
	const uint8_t *at = data + JOURNAL_HEAD_BYTES + place * JOURNAL_RECORD_BYTES;

	for (uint64_t p = place; at + JOURNAL_RECORD_BYTES <= data + bytes;
	     p++, at += JOURNAL_RECORD_BYTES) {
		struct journal_record r;
		uint32_t batch;

		if (decode_record(at, id, p, &r, &batch) && batch > last_batch + UNSYNCED_BATCHES)
			return damaged(name, place);
	}
	return 0;
}

static int replay(const uint8_t *data, size_t bytes, const struct journal_subject *s,
		  const char *name, journal_apply_fn apply, void *ctx, struct journal *j)
{
	uint64_t chunks = div_up(s->disk_bytes, WIRE_CHUNK_BYTES);
	const uint8_t *at = data + JOURNAL_HEAD_BYTES;
	struct journal_record first = {.kind = JOURNAL_DIGEST};
	uint32_t digest = 0;
	int rc;

	if (bytes < JOURNAL_HEAD_BYTES)
		return foreign(name, "is too short for a journal");
	rc = check_head(data, s, name, &j->id, &digest);
	first.value[0] = (uint8_t)digest;
	if (rc == 0 && digest != WIRE_DIGEST_XXH3_128)
		rc = apply(ctx, &first);
	if (rc < 0)
		return rc;
	for (; at + JOURNAL_RECORD_BYTES <= data + bytes; at += JOURNAL_RECORD_BYTES) {
		struct journal_record r;
		uint32_t batch;

		if (!decode_record(at, j->id, j->records, &r, &batch))
			break;
		if (!record_sane(&r, chunks) || batch < j->batch)
			return damaged(name, j->records);
		rc = apply(ctx, &r);
		if (rc < 0)
			return rc;
		j->batch = batch;
		j->records++;
	}
	return check_tail(data, bytes, j->id, j->records, j->batch, name);
}

static uint64_t end_of(const struct journal *j)
{
	return JOURNAL_HEAD_BYTES + j->records * JOURNAL_RECORD_BYTES;
}

int journal_replay(const void *data, size_t bytes, const struct journal_subject *subject,
		   const char *name, journal_apply_fn apply, void *ctx, size_t *good)
{
	struct journal j = {.fd = -1};
	int rc = replay(data, bytes, subject, name, apply, ctx, &j);

	*good = rc < 0 ? 0 : end_of(&j);
	return rc;
}

static int create(struct journal *j, const struct journal_subject *s)
{
	uint8_t raw[JOURNAL_HEAD_BYTES];
	int rc;

	wire_random(&j->id, sizeof(j->id));
	encode_head(s, j->id, raw);
	rc = io_pwrite(j->fd, raw, sizeof(raw), 0, j->path);
	if (rc == 0 && fsync(j->fd) < 0)
		rc = fail(errno, "sync %s", j->path);
	return rc;
}

static int load(struct journal *j, size_t bytes, const struct journal_subject *s,
		journal_apply_fn apply, void *ctx)
{
	void *data = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, j->fd, 0);
	bool blank;
	int rc;

	if (data == MAP_FAILED)
		return fail(errno, "map %s", j->path);
	/* Its size was on the medium when the power went, and its head not yet: it was never used.
	 */
	blank = io_is_zero(data, bytes);
	rc = blank ? 0 : replay(data, bytes, s, j->path, apply, ctx, j);
	munmap(data, bytes);
	if (blank)
		return create(j, s);
	if (rc == 0 && end_of(j) < bytes && ftruncate(j->fd, (off_t)end_of(j)) < 0)
		rc = fail(errno, "cut the torn end of %s", j->path);
	/* A receiver that was killed may have left records that are believed now and not synced:
	 * what is built on them must not outlive them. */
	if (rc == 0 && fsync(j->fd) < 0)
		rc = fail(errno, "sync %s", j->path);
	return rc;
}

int journal_open(int fd, const char *name, const struct journal_subject *subject,
		 journal_apply_fn apply, void *ctx, struct journal **out)
{
	struct journal *j = calloc(1, sizeof(*j));
	uint64_t bytes = 0;
	int rc;

	if (!j) {
		close(fd);
		return fail(ENOMEM, "memory for a journal");
	}
	pthread_mutex_init(&j->lock, NULL);
	pthread_mutex_init(&j->sync_lock, NULL);
	snprintf(j->path, sizeof(j->path), "%s", name);
	j->fd = fd;
	rc = io_size(fd, name, &bytes);
	if (rc == 0)
		rc = bytes == 0 ? create(j, subject) : load(j, bytes, subject, apply, ctx);
	if (rc < 0) {
		journal_close(j);
		return rc;
	}
	j->synced_records = j->records;
	j->room_bytes = end_of(j);
	j->batch++;
	*out = j;
	return 0;
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	close(j->fd);
	pthread_mutex_destroy(&j->lock);
	pthread_mutex_destroy(&j->sync_lock);
	free(j);
}

uint64_t journal_records(struct journal *j)
{
	LOCK_SCOPE(&j->lock);

	return j->records;
}

bool journal_is_synced(const struct journal *j, uint64_t records)
{
	return atomic_load(&j->synced_records) >= records;
}

/* Zeros behind the records up to bytes. */
static int make_room(struct journal *j, uint64_t bytes)
{
	static const uint8_t zeros[ROOM_BYTES];

	while (j->room_bytes < bytes) {
		int rc = io_pwrite(j->fd, zeros, sizeof(zeros), j->room_bytes, j->path);

		if (rc < 0)
			return rc;
		j->room_bytes += sizeof(zeros);
	}
	return 0;
}

int journal_append(struct journal *j, const struct journal_record *records, size_t count)
{
	uint8_t raw[64 * JOURNAL_RECORD_BYTES];
	LOCK_SCOPE(&j->lock);
	uint64_t place = j->records;
	int rc;

	if (j->error)
		return fail(j->error, "%s takes no more records after an earlier error", j->path);
	rc = make_room(j, JOURNAL_HEAD_BYTES + (place + count) * JOURNAL_RECORD_BYTES);
	if (rc < 0) {
		/* Zeros are no records: a full file system has changed nothing yet. */
		if (rc != -ENOSPC)
			j->error = rc;
		return rc;
	}
	while (count > 0) {
		size_t n = min_of(count, sizeof(raw) / JOURNAL_RECORD_BYTES);

		for (size_t i = 0; i < n; i++)
			encode_record(&records[i], j->batch, j->id, place + i,
				      raw + i * JOURNAL_RECORD_BYTES);
		rc = io_pwrite(j->fd, raw, n * JOURNAL_RECORD_BYTES,
			       JOURNAL_HEAD_BYTES + place * JOURNAL_RECORD_BYTES, j->path);
		if (rc < 0) {
			j->error = rc;
			return rc;
		}
		place += n;
		records += n;
		count -= n;
	}
	j->records = place;
	return 0;
}

int journal_sync(struct journal *j)
{
	return journal_sync_to(j, journal_records(j));
}

/* Several threads that come here together are served by one fdatasync. */
int journal_sync_to(struct journal *j, uint64_t records)
{
	uint64_t target;
	int error;

	if (journal_is_synced(j, records))
		return 0;
	LOCK_SCOPE(&j->sync_lock);
	if (journal_is_synced(j, records))
		return 0;
	pthread_mutex_lock(&j->lock);
	target = j->records;
	error = j->error;
	pthread_mutex_unlock(&j->lock);
	if (error)
		return fail(error, "%s had an error before", j->path);
	if (fdatasync(j->fd) < 0) {
		error = errno;
		pthread_mutex_lock(&j->lock);
		j->error = -error;
		pthread_mutex_unlock(&j->lock);
		return fail(error, "sync %s", j->path);
	}
	j->synced_records = target;
	pthread_mutex_lock(&j->lock);
	j->batch++;
	pthread_mutex_unlock(&j->lock);
	return 0;
}
