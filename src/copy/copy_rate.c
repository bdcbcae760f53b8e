/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rate limit. The line is thought of as busy until next_us; whoever wants to send takes its
 * time behind that, and may send when it is over. So no more than rate * time leaves, whatever the
 * number of senders. An idle line saves up only what makes good for a thread that was scheduled
 * late.
 */
#include "base/cleanup.h"
#include "copy/private.h"

/* On a busy machine a thread is late by tenths of a second; a limit that loses them falls short. */
#define SAVED_US 200000

void rate_init(struct rate *r)
{
	*r = (struct rate){0};
	pthread_mutex_init(&r->lock, NULL);
}

void rate_fini(struct rate *r)
{
	pthread_mutex_destroy(&r->lock);
}

uint64_t rate_reserve(struct rate *r, uint64_t mbit, int64_t bytes, uint64_t now_us)
{
	LOCK_SCOPE(&r->lock);
	double earliest = (double)now_us - SAVED_US;

	/* What was reckoned with another limit is forgotten: a new one holds at once. */
	if (r->mbit != mbit)
		r->next_us = (double)now_us;
	r->mbit = mbit;
	if (mbit == 0)
		return now_us;
	/* A million bits a second is one bit a microsecond. */
	r->next_us = max_of(r->next_us, earliest) + (double)bytes * 8 / (double)mbit;
	return r->next_us > 0 ? (uint64_t)r->next_us : 0;
}
