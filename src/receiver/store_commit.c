/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making knowledge durable: sync the disk, then append the records of what was pending when the
 * sync began, then sync the journal. One thread for each disk does it every commit_ms while there
 * is anything, and FLUSH, FUA and DURABLE do it at once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/num.h"
#include "base/thread.h"
#include "receiver/store_private.h"

#define COMMITTER_STACK (256u << 10)

void store_mark_pending(struct store *s, uint64_t first, uint64_t count)
{
	bool idle = s->pending_from >= s->pending_to;

	for (uint64_t i = first; i < first + count; i++)
		s->states[i] |= CHUNK_PENDING;
	s->pending_from = idle ? first : min_of(s->pending_from, first);
	s->pending_to = idle ? first + count : max_of(s->pending_to, first + count);
	if (idle)
		pthread_cond_signal(&s->wake);
}

static bool can_join(const struct store *s, const struct journal_record *r, uint64_t chunk)
{
	return r->kind == JOURNAL_ZERO && (s->states[chunk] & CHUNK_KIND) == WIRE_ZERO &&
	       chunk == r->chunk + r->count && r->count < UINT32_MAX;
}

/*
 * Under lock: turn pending chunks into records, as many as fit. A pending chunk without a run (a
 * plain WRITE_ZEROES) is recorded as of an earlier run.
 */
static size_t gather(struct store *s)
{
	uint64_t i = s->pending_from;
	size_t n = 0;

	for (; i < s->pending_to; i++) {
		uint8_t state = s->states[i];
		struct journal_record *r = &s->batch[n];
		bool this_run = state & CHUNK_THIS_RUN;

		/* Still being committed by nobody: commit_lock is ours. */
		if (!(state & CHUNK_PENDING))
			continue;
		if (n > 0 && this_run && can_join(s, r - 1, i)) {
			r[-1].count++;
		} else {
			if (n == STORE_BATCH)
				break;
			memset(r, 0, sizeof(*r));
			r->chunk = i;
			r->count = 1;
			if ((state & CHUNK_KIND) == WIRE_DATA) {
				r->kind = this_run ? JOURNAL_DATA : JOURNAL_OLD_DATA;
				memcpy(r->value, store_digest_at(s, i), s->digest_bytes);
			} else {
				r->kind = this_run ? JOURNAL_ZERO : JOURNAL_OLD_ZERO;
			}
			n++;
		}
		s->states[i] = (uint8_t)((state & ~CHUNK_PENDING) | CHUNK_COMMITTING);
	}
	s->pending_from = i;
	return n;
}

/* Under lock: the journal has no room for the gathered records. They wait for the next commit. */
static void put_off(struct store *s, size_t records)
{
	for (size_t n = 0; n < records; n++) {
		const struct journal_record *r = &s->batch[n];

		for (uint64_t i = r->chunk; i < r->chunk + r->count; i++)
			s->states[i] &= (uint8_t)~CHUNK_COMMITTING;
		store_mark_pending(s, r->chunk, r->count);
	}
}

/* Under lock: the records are durable, or (rc < 0) nobody knows. */
static void settle(struct store *s, size_t records, int rc)
{
	for (size_t n = 0; n < records; n++)
		for (uint64_t i = s->batch[n].chunk; i < s->batch[n].chunk + s->batch[n].count; i++)
			s->states[i] = rc < 0 ? 0
					      : (uint8_t)((s->states[i] & ~CHUNK_COMMITTING) |
							  CHUNK_JOURNALED);
	s->commits++;
}

static void end_commit(struct store *s, size_t records, int rc, bool no_room)
{
	LOCK_SCOPE(&s->lock);

	if (no_room)
		put_off(s, records);
	else
		settle(s, records, rc);
	if (no_room && !s->no_room)
		log_error("disk%u: %s; what arrived since is not durable until there is", s->disk,
			  err_reason());
	s->no_room = no_room;
	s->committing = false;
	pthread_cond_broadcast(&s->changed);
}

static int commit_step(struct store *s, bool *more)
{
	bool dirty, no_room = false;
	size_t records;
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	if (s->error) {
		rc = fail(s->error, "disk%u had an error before", s->disk);
		pthread_mutex_unlock(&s->lock);
		return rc;
	}
	records = gather(s);
	*more = s->pending_from < s->pending_to;
	dirty = s->dirty || records > 0;
	s->dirty = false;
	s->committing = true;
	pthread_mutex_unlock(&s->lock);

	if (dirty && fdatasync(s->fd) < 0)
		rc = fail_code(errno, "TARGET_FAILED", "%s: what was written did not reach it",
			       s->path);
	if (rc == 0 && records > 0) {
		rc = journal_append(s->journal, s->batch, records);
		no_room = rc == -ENOSPC;
	}
	if (rc == 0)
		rc = journal_sync(s->journal);
	if (rc < 0 && !no_room) {
		store_fail(s, rc);
		log_error("disk%u: %s", s->disk, err_reason());
	}
	end_commit(s, records, rc, no_room);
	return rc;
}

int store_commit(struct store *s)
{
	bool more = true;
	int rc = 0;
	LOCK_SCOPE(&s->commit_lock);

	while (rc == 0 && more)
		rc = commit_step(s, &more);
	return rc;
}

/* Under lock: wait until something is pending and commit_ms have passed; false to stop. */
static bool wait_for_work(struct store *s)
{
	struct timespec until;

	while (!s->stopping && s->pending_from >= s->pending_to)
		pthread_cond_wait(&s->wake, &s->lock);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(s->commit_ms / 1000);
	until.tv_nsec += (long)(s->commit_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	while (!s->stopping && pthread_cond_timedwait(&s->wake, &s->lock, &until) != ETIMEDOUT)
		;
	return !s->stopping;
}

static void *run_committer(void *arg)
{
	struct store *s = arg;

	for (;;) {
		bool go_on;
		int rc;

		pthread_mutex_lock(&s->lock);
		go_on = wait_for_work(s);
		pthread_mutex_unlock(&s->lock);
		rc = store_commit(s);
		if (!go_on || (rc < 0 && rc != -ENOSPC))
			return NULL;
	}
}

int store_committer_start(struct store *s)
{
	int rc = thread_start(&s->committer, "a disk's journal", COMMITTER_STACK, run_committer, s);

	s->committer_runs = rc == 0;
	return rc;
}

void store_committer_stop(struct store *s)
{
	if (!s->committer_runs)
		return;
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->committer, NULL);
	s->committer_runs = false;
}
