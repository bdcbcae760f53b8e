/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists of pool items handed between threads; see private.h. */
#include <errno.h>
#include <time.h>

#include "base/cleanup.h"
#include "copy/private.h"

/* How many chunks one zero or keep range may grow to: 1 GiB. */
#define RANGE_CHUNKS_MAX 1024

void queue_init(struct queue *q)
{
	pthread_condattr_t attr;

	*q = (struct queue){0};
	pthread_mutex_init(&q->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&q->more, &attr);
	pthread_condattr_destroy(&attr);
}

void queue_fini(struct queue *q)
{
	pthread_cond_destroy(&q->more);
	pthread_mutex_destroy(&q->lock);
}

static void append(struct queue *q, struct item *item)
{
	item->next = NULL;
	if (q->last)
		q->last->next = item;
	else
		q->first = item;
	q->last = item;
	q->count++;
	/* Not each of those who wait may take it. */
	if (item->lane >= 0)
		pthread_cond_broadcast(&q->more);
	else
		pthread_cond_signal(&q->more);
}

void queue_push(struct queue *q, struct item *item)
{
	LOCK_SCOPE(&q->lock);

	append(q, item);
}

struct item *queue_push_joined(struct queue *q, struct item *item)
{
	LOCK_SCOPE(&q->lock);
	struct item *last = q->last;

	if (!last || item->kind == ITEM_CHUNK || last->kind != item->kind ||
	    last->chunk + last->count != item->chunk ||
	    last->count + item->count > RANGE_CHUNKS_MAX) {
		append(q, item);
		return NULL;
	}
	last->count += item->count;
	last->map_bytes += item->map_bytes;
	last->zero_bytes += item->zero_bytes;
	return item;
}

/* False when the time is over. */
static bool wait_more(struct queue *q, const struct timespec *until)
{
	if (!until)
		return pthread_cond_wait(&q->more, &q->lock) == 0;
	return pthread_cond_timedwait(&q->more, &q->lock, until) != ETIMEDOUT;
}

/* Takes out the first that is for this lane (-1: the first of all), or gives NULL. */
static struct item *take(struct queue *q, int lane)
{
	struct item *item = q->first, *before = NULL;

	for (; item; before = item, item = item->next)
		if (lane < 0 || item->lane < 0 || item->lane == lane)
			break;
	if (!item)
		return NULL;
	if (before)
		before->next = item->next;
	else
		q->first = item->next;
	if (q->last == item)
		q->last = before;
	q->count--;
	item->next = NULL;
	return item;
}

struct item *queue_pop_lane(struct queue *q, int lane, int wait_ms)
{
	LOCK_SCOPE(&q->lock);
	struct timespec until;
	struct item *item;

	if (wait_ms > 0) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
		until.tv_sec += wait_ms / 1000 + until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
	}
	while (!(item = take(q, lane)) && !(q->closed && !q->first) && wait_ms != 0)
		if (!wait_more(q, wait_ms < 0 ? NULL : &until))
			return take(q, lane);
	return item;
}

struct item *queue_pop(struct queue *q, int wait_ms)
{
	return queue_pop_lane(q, -1, wait_ms);
}

void queue_close(struct queue *q)
{
	LOCK_SCOPE(&q->lock);

	q->closed = true;
	pthread_cond_broadcast(&q->more);
}

bool queue_ended(struct queue *q)
{
	LOCK_SCOPE(&q->lock);

	return q->closed && !q->first;
}

unsigned queue_count(struct queue *q)
{
	LOCK_SCOPE(&q->lock);

	return q->count;
}
