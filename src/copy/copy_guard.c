/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads that may never come back. A thread waits in the kernel in our place; when it takes too
 * long, it is left behind with the memory that the disk may still write to, and frees that if it
 * ever returns. It knows nothing of the copy, which may be over by then.
 */
#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/thread.h"
#include "copy/private.h"

#define STACK_BYTES (64 * 1024)

enum guard_state { GUARD_IDLE, GUARD_ASKED, GUARD_ANSWERED, GUARD_LEFT, GUARD_ENDS };

struct guard {
	struct guard *next; /* idle ones */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum guard_state state;
	struct guard_read ask;
	ssize_t answer; /* bytes, or -errno */
};

static ssize_t read_now(const struct guard_read *r)
{
	ssize_t n = r->hook ? r->hook(r->hook_ctx, r->source, r->buf, r->bytes, r->offset_bytes)
			    : pread(r->fd, r->buf, r->bytes, (off_t)r->offset_bytes);

	/* A disk's own ETIMEDOUT has come back, after all: the buffer is not lost. */
	return n >= 0 ? n : errno == ETIMEDOUT ? -EIO : -errno;
}

static void discard(struct guard *g)
{
	pthread_cond_destroy(&g->changed);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

static void *guard_main(void *arg)
{
	struct guard *g = arg;

	pthread_mutex_lock(&g->lock);
	for (;;) {
		ssize_t answer;

		while (g->state != GUARD_ASKED && g->state != GUARD_ENDS)
			pthread_cond_wait(&g->changed, &g->lock);
		if (g->state == GUARD_ENDS)
			break;
		pthread_mutex_unlock(&g->lock);
		answer = read_now(&g->ask);
		pthread_mutex_lock(&g->lock);
		if (g->state == GUARD_LEFT) {
			free(g->ask.owned);
			pthread_mutex_unlock(&g->lock);
			discard(g);
			return NULL;
		}
		g->answer = answer;
		g->state = GUARD_ANSWERED;
		pthread_cond_signal(&g->changed);
	}
	pthread_mutex_unlock(&g->lock);
	return NULL;
}

static struct guard *new_guard(void)
{
	struct guard *g = calloc(1, sizeof(*g));
	pthread_condattr_t cond;
	int rc;

	if (!g)
		return NULL;
	pthread_mutex_init(&g->lock, NULL);
	pthread_condattr_init(&cond);
	pthread_condattr_setclock(&cond, CLOCK_MONOTONIC);
	pthread_cond_init(&g->changed, &cond);
	pthread_condattr_destroy(&cond);
	rc = thread_start(&g->thread, "the copy", STACK_BYTES, guard_main, g);
	if (rc < 0)
		discard(g);
	return rc < 0 ? NULL : g;
}

void guards_init(struct guards *s, uint64_t limit_ms)
{
	*s = (struct guards){.limit_ms = limit_ms};
	pthread_mutex_init(&s->lock, NULL);
}

void guards_fini(struct guards *s)
{
	while (s->idle) {
		struct guard *g = s->idle;

		s->idle = g->next;
		pthread_mutex_lock(&g->lock);
		g->state = GUARD_ENDS;
		pthread_cond_signal(&g->changed);
		pthread_mutex_unlock(&g->lock);
		pthread_join(g->thread, NULL);
		discard(g);
	}
	pthread_mutex_destroy(&s->lock);
}

static struct guard *take(struct guards *s)
{
	LOCK_SCOPE(&s->lock);
	struct guard *g = s->idle;

	if (g)
		s->idle = g->next;
	return g ? g : new_guard();
}

static void give_back(struct guards *s, struct guard *g)
{
	LOCK_SCOPE(&s->lock);

	g->next = s->idle;
	s->idle = g;
}

ssize_t guard_read(struct guards *s, const struct guard_read *ask)
{
	struct guard *g = take(s);
	struct timespec until;
	ssize_t answer;
	int err = 0;

	if (!g)
		return -ENOMEM;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(s->limit_ms / 1000);
	until.tv_nsec += (long)(s->limit_ms % 1000) * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&g->lock);
	g->ask = *ask;
	g->state = GUARD_ASKED;
	pthread_cond_signal(&g->changed);
	while (g->state != GUARD_ANSWERED && err != ETIMEDOUT)
		err = pthread_cond_timedwait(&g->changed, &g->lock, &until);
	if (g->state != GUARD_ANSWERED) {
		g->state = GUARD_LEFT;
		pthread_detach(g->thread);
		pthread_mutex_unlock(&g->lock);
		return -ETIMEDOUT;
	}
	g->state = GUARD_IDLE;
	answer = g->answer;
	pthread_mutex_unlock(&g->lock);
	give_back(s, g);
	return answer;
}
