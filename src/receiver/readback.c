/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Readers that run ahead, and a ring in which their findings wait for their turn. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/thread.h"
#include "receiver/readback.h"

#define READER_STACK  (256u << 10)
#define RING_FINDINGS 512
#define SIGNAL_EVERY  64 /* findings: more make one answer, and fewer wake-ups */

struct finding {
	uint64_t chunk, count;
	bool there;
	struct store_found found;
};

struct readback {
	struct store *store;
	bool has_run;
	uint8_t run_id[WIRE_RUN_ID_BYTES];
	int event_fd;
	unsigned readers;
	pthread_t threads[READBACK_READERS];

	pthread_mutex_t lock; /* of all that follows */
	pthread_cond_t room;
	uint64_t next, end;    /* chunks that no reader has yet */
	uint64_t taken, given; /* findings: place % RING_FINDINGS; those between are on their way */
	unsigned unsignalled;
	bool stopping;
	int rc;
	char reason[200];
	struct finding ring[RING_FINDINGS];
};

static const uint8_t *run_of(const struct readback *r)
{
	return r->has_run ? r->run_id : NULL;
}

/* Under lock: something to take, or an end. */
static void signal_owner(struct readback *r)
{
	const uint64_t one = 1;

	r->unsignalled = 0;
	if (write(r->event_fd, &one, sizeof(one)) < 0)
		r->stopping = true; /* cannot be: the counter is never full */
}

/* Under lock: a finding is there. */
static void found_one(struct readback *r)
{
	r->unsignalled++;
	if (r->unsignalled >= SIGNAL_EVERY || r->next == r->end)
		signal_owner(r);
}

/* Under lock: take the place of the next finding; NULL when there is nothing more to do. */
static struct finding *next_place(struct readback *r)
{
	struct finding *f;

	while (!r->stopping && r->next < r->end && r->given - r->taken == RING_FINDINGS)
		pthread_cond_wait(&r->room, &r->lock);
	if (r->stopping || r->next == r->end)
		return NULL;
	f = &r->ring[r->given++ % RING_FINDINGS];
	f->chunk = r->next;
	f->there = false;
	f->count = store_readback_hole(r->store, r->next, r->end - r->next, run_of(r), &f->found);
	f->there = f->count > 0;
	f->count = max_of(f->count, (uint64_t)1);
	r->next += f->count;
	return f;
}

static void fail_all(struct readback *r, int rc)
{
	if (r->rc == 0) {
		r->rc = rc;
		snprintf(r->reason, sizeof(r->reason), "%s", err_reason());
	}
	r->stopping = true;
	pthread_cond_broadcast(&r->room);
	signal_owner(r);
}

static void *run_reader(void *arg)
{
	struct readback *r = arg;
	uint8_t *buf = store_buffer();
	struct finding *f;

	pthread_mutex_lock(&r->lock);
	if (!buf)
		fail_all(r, fail(ENOMEM, "memory for reading back"));
	while ((f = next_place(r)) != NULL) {
		int rc = 0;

		if (!f->there) {
			pthread_mutex_unlock(&r->lock);
			rc = store_readback(r->store, f->chunk, buf, run_of(r), &f->found);
			pthread_mutex_lock(&r->lock);
			f->there = rc == 0;
		}
		if (rc < 0)
			fail_all(r, rc);
		else
			found_one(r);
	}
	pthread_mutex_unlock(&r->lock);
	free(buf);
	return NULL;
}

static int start_readers(struct readback *r, unsigned readers)
{
	uint64_t most = min_of(readers, (unsigned)READBACK_READERS);
	unsigned wanted = (unsigned)min_of(most, r->end - r->next);
	int rc = 0;

	while (rc == 0 && r->readers < wanted) {
		rc = thread_start(&r->threads[r->readers], "reading back", READER_STACK, run_reader,
				  r);
		r->readers += rc == 0;
	}
	return r->readers > 0 ? 0 : rc;
}

int readback_start(struct store *s, uint64_t first, uint64_t count, unsigned readers,
		   const uint8_t *run_id, struct readback **out)
{
	struct readback *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return fail(ENOMEM, "memory for reading back");
	r->store = s;
	r->next = first;
	r->end = first + count;
	r->event_fd = -1;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->room, NULL);
	if (run_id) {
		r->has_run = true;
		memcpy(r->run_id, run_id, sizeof(r->run_id));
	}
	r->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = r->event_fd < 0 ? fail(errno, "eventfd for reading back") : start_readers(r, readers);
	if (rc < 0) {
		readback_stop(r);
		return rc;
	}
	*out = r;
	return 0;
}

void readback_stop(struct readback *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	r->stopping = true;
	pthread_cond_broadcast(&r->room);
	pthread_mutex_unlock(&r->lock);
	for (unsigned i = 0; i < r->readers; i++)
		pthread_join(r->threads[i], NULL);
	if (r->event_fd >= 0)
		close(r->event_fd);
	pthread_mutex_destroy(&r->lock);
	pthread_cond_destroy(&r->room);
	free(r);
}

int readback_fd(const struct readback *r)
{
	return r->event_fd;
}

int readback_take(struct readback *r, uint64_t *chunk, uint64_t *count, struct store_found *out)
{
	struct finding *f;
	uint64_t signals;
	LOCK_SCOPE(&r->lock);

	if (r->rc < 0)
		return fail(r->rc, "%s", r->reason);
	f = &r->ring[r->taken % RING_FINDINGS];
	if (r->taken == r->given || !f->there) {
		/* Findings that come from now on signal anew. */
		if (read(r->event_fd, &signals, sizeof(signals)) > 0)
			r->unsignalled = 0;
		return 0;
	}
	*chunk = f->chunk;
	*count = f->count;
	*out = f->found;
	r->taken++;
	pthread_cond_signal(&r->room);
	return 1;
}

bool readback_over(struct readback *r)
{
	LOCK_SCOPE(&r->lock);

	return r->rc == 0 && r->next == r->end && r->taken == r->given;
}
