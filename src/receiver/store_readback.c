/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Comparing what is known with what stands on the medium. The page cache must not answer for it: it
 * is gone past with direct reads, and where those do not work it is emptied first. A chunk that is
 * not what the journal says becomes unknown, durably, before anybody is told.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/num.h"
#include "receiver/store_private.h"

/* A disk that was exchanged differs in every chunk; the log need not say each. */
#define DISTRUST_LOG_MAX 16

static int read_cached(struct store *s, uint8_t *buf, size_t bytes, uint64_t offset_bytes)
{
	/* Dirty pages stay where they are: write them out first. */
	if (sync_file_range(s->fd, (off_t)offset_bytes, (off_t)bytes,
			    SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
				    SYNC_FILE_RANGE_WAIT_AFTER) < 0 &&
	    fdatasync(s->fd) < 0)
		return fail(errno, "sync %s", s->path);
	posix_fadvise(s->fd, (off_t)offset_bytes, (off_t)bytes, POSIX_FADV_DONTNEED);
	return io_pread(s->fd, buf, bytes, offset_bytes, s->path);
}

/* bytes at a chunk's offset, from the medium. */
static int read_medium(struct store *s, uint8_t *buf, size_t bytes, uint64_t offset_bytes)
{
	size_t whole = (size_t)round_up(bytes, STORE_ALIGN), done = 0;

	while (atomic_load(&s->medium_ok) && done < bytes) {
		ssize_t n =
			pread(s->medium_fd, buf + done, whole - done, (off_t)(offset_bytes + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EINVAL)
			atomic_store(&s->medium_ok, false);
		if (n < 0 && errno != EINVAL)
			return fail(errno, "read %s at %" PRIu64, s->path, offset_bytes + done);
		done += n > 0 ? (size_t)n : 0;
		/* An odd length comes only at the end of the disk. */
		if (n <= 0 || done % STORE_ALIGN != 0)
			break;
	}
	return done >= bytes ? 0 : read_cached(s, buf, bytes, offset_bytes);
}

/* Nobody overwrites the chunk from here to the end of the reading; *state is what is known. */
static int begin_reading(struct store *s, uint64_t chunk, uint8_t *state,
			 uint8_t digest[WIRE_DIGEST_MAX])
{
	LOCK_SCOPE(&s->lock);

	while (s->states[chunk] & (CHUNK_BUSY | CHUNK_READING) && !s->error)
		pthread_cond_wait(&s->changed, &s->lock);
	if (s->error)
		return fail(s->error, "disk%u had an error before", s->disk);
	*state = s->states[chunk];
	memcpy(digest, store_digest_at(s, chunk), s->digest_bytes);
	s->states[chunk] |= CHUNK_READING;
	return 0;
}

static void end_reading(struct store *s, uint64_t chunk, const uint8_t *run_id,
			struct store_found *out)
{
	uint8_t state;
	LOCK_SCOPE(&s->lock);

	state = s->states[chunk] &= (uint8_t)~CHUNK_READING;
	out->durable = (state & CHUNK_KIND) != WIRE_UNKNOWN &&
		       (state & CHUNK_JOURNALED || !(state & (CHUNK_PENDING | CHUNK_COMMITTING)));
	out->this_run = state & CHUNK_THIS_RUN && store_same_run(s, run_id);
	pthread_cond_broadcast(&s->changed);
}

/* The chunk, which is being read, is not what was known of it. */
static int distrust(struct store *s, uint64_t chunk)
{
	uint64_t ahead;
	bool journaled;
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	while (s->states[chunk] & CHUNK_COMMITTING)
		pthread_cond_wait(&s->changed, &s->lock);
	journaled = s->states[chunk] & CHUNK_JOURNALED;
	ahead = store_ahead_records(s, chunk, 1);
	s->states[chunk] = CHUNK_READING;
	pthread_mutex_unlock(&s->lock);
	if (journaled)
		rc = store_forget(s, chunk, 1);
	else if (ahead)
		rc = journal_sync_to(s->journal, ahead);
	pthread_mutex_lock(&s->lock);
	/* Where the journal has no room it still speaks of the chunk. */
	s->states[chunk] = rc < 0 ? CHUNK_JOURNALED : 0;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

/* What the bytes are; false where they cannot be read. */
static void find(struct store *s, uint64_t chunk, uint8_t *buf, struct store_found *out)
{
	size_t bytes = (size_t)store_chunk_bytes(s, chunk);

	if (read_medium(s, buf, bytes, chunk << WIRE_CHUNK_SHIFT) < 0) {
		log_error("disk%u: chunk %" PRIu64 " cannot be read back: %s", s->disk, chunk,
			  err_reason());
		out->state = WIRE_UNKNOWN;
		return;
	}
	out->state = io_is_zero(buf, bytes) ? WIRE_ZERO : WIRE_DATA;
	if (out->state == WIRE_ZERO)
		return;
	wire_digest_of(s->digest)(buf, bytes, out->digest);
}

int store_readback(struct store *s, uint64_t chunk, uint8_t *buf, const uint8_t *run_id,
		   struct store_found *out)
{
	uint8_t known = 0, digest[WIRE_DIGEST_MAX];
	int rc = begin_reading(s, chunk, &known, digest);

	*out = (struct store_found){0};
	if (rc < 0)
		return rc;
	find(s, chunk, buf, out);
	known &= CHUNK_KIND;
	out->differs = (known != WIRE_UNKNOWN && known != out->state) ||
		       (known == WIRE_DATA && memcmp(digest, out->digest, s->digest_bytes) != 0);
	if (!out->differs) {
		end_reading(s, chunk, run_id, out);
		return 0;
	}
	if (atomic_fetch_add(&s->distrusted, 1) < DISTRUST_LOG_MAX)
		log_error("disk%u: chunk %" PRIu64 ", at byte %" PRIu64
			  ", is not on the medium as it was written; the next copy sends it again",
			  s->disk, chunk, chunk << WIRE_CHUNK_SHIFT);
	return distrust(s, chunk);
}

uint64_t store_readback_hole(struct store *s, uint64_t first, uint64_t max, const uint8_t *run_id,
			     struct store_found *out)
{
	uint64_t at = first << WIRE_CHUNK_SHIFT, end;
	struct store_run run;
	off_t data;

	if (s->is_device)
		return 0;
	data = lseek(s->fd, (off_t)at, SEEK_DATA);
	if (data < 0 && errno != ENXIO)
		return 0;
	end = data < 0 ? s->chunks : (uint64_t)data >> WIRE_CHUNK_SHIFT;
	if (end <= first)
		return 0;
	store_run_at(s, first, min_of(max, end - first), run_id, &run, NULL);
	if (run.state == WIRE_DATA) /* or would be: one that is busy is unknown */
		return 0;
	*out = (struct store_found){
		.state = WIRE_ZERO, .this_run = run.this_run, .durable = run.durable};
	return run.count;
}
