/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One disk in rounds: start the threads, watch them, settle; and again when a connection was lost.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "copy/private.h"

#define HANDS_MAX   (COPY_CONNECTIONS_MAX + COPY_WORKERS_MAX + COPY_ITEMS_MAX)
#define INTERVAL_MS 500
#define ADAPT_MS    200
#define LOST_MAX    3 /* rounds in which the receiver forgets what it had acknowledged */
#define BACKOFF_MS  500
#define STACK_BYTES (256 * 1024)
#define ROUND_HOLES 2

/* ---- threads ---- */

static int start(struct hand *hand, struct round *r, unsigned index, void *(*body)(void *))
{
	*hand = (struct hand){.round = r, .index = index};
	return thread_start(&hand->thread, "the copy", STACK_BYTES, body, hand);
}

/* Counts are set before the first thread runs, so that no stage ends too early. */
static unsigned start_all(struct round *r, struct hand *hands)
{
	struct engine *e = r->engine;
	unsigned readers = e->options->readers, n = 0;

	if (!readers)
		readers = sources_readers(&e->sources, r->state->map);
	readers = min_of(readers, e->budget.items);
	r->readers_left = readers;
	r->workers_left = e->budget.workers;
	r->threads_left = readers + e->budget.workers + r->connections;
	for (; n < readers + e->budget.workers + r->connections; n++) {
		unsigned sender = n - min_of(n, readers + e->budget.workers);
		int rc;

		if (n < readers)
			rc = start(&hands[n], r, n, reader_main);
		else if (n < readers + e->budget.workers)
			rc = start(&hands[n], r, n - readers, worker_main);
		else
			rc = start(&hands[n], r, sender, sender_main);
		if (rc < 0) {
			unsigned missing = readers + e->budget.workers + r->connections - n;

			round_fail(r, rc, false);
			LOCK_SCOPE(&r->lock);
			r->threads_left -= missing;
			break;
		}
	}
	return n;
}

/* True when all threads are done; false after at most wait_ms. */
static bool wait_ended(struct round *r, unsigned wait_ms)
{
	LOCK_SCOPE(&r->lock);
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += (long)wait_ms * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	while (r->threads_left)
		if (pthread_cond_timedwait(&r->ended, &r->lock, &until) == ETIMEDOUT)
			break;
	return r->threads_left == 0;
}

/* ---- while they run ---- */

/* An operator's order comes before all else, and stays. */
static bool take_order(struct engine *e)
{
	unsigned ordered = atomic_load(&e->control->step_and_one), step;

	if (ordered == 0)
		return false;
	if (ordered == e->ordered_step)
		return true;
	e->ordered_step = ordered;
	step = min_of(ordered - 1, e->budget.order_max);
	if (step < ordered - 1)
		log_warn("compression %u needs more memory than this copy has; it goes on with %u",
			 ordered - 1, step);
	atomic_store(&e->compression, step);
	return true;
}

unsigned adapted_step(const struct budget *b, unsigned now, unsigned at_work, unsigned at_send)
{
	if (at_send > b->items / 2 && now < b->compression_max)
		return now + 1;
	if (at_send <= 1 && at_work > b->items / 4 && now > 0)
		return now - 1;
	return now;
}

static void adapt(struct engine *e, struct round *r)
{
	if (take_order(e) || !e->options->adaptive)
		return;
	atomic_store(&e->compression, adapted_step(&e->budget, atomic_load(&e->compression),
						   queue_count(&r->work), queue_count(&r->send)));
}

static int poll_durable(struct round *r)
{
	struct whole *whole = r->engine->whole;
	struct copy_progress *p = &whole->progress[r->disk];
	struct wire_durable d;
	uint64_t pending_bytes;
	int rc;

	if (!r->info.chunks_ok)
		return 0;
	rc = wire_nbd_durable(r->ask, false, &d);
	if (rc < 0)
		return rc;
	r->engine->reached_ms = clock_ms();
	pending_bytes = d.pending_chunks * WIRE_CHUNK_BYTES;
	pthread_mutex_lock(&whole->lock);
	p->durable_bytes = p->done_bytes - min_of(p->done_bytes, pending_bytes);
	pthread_mutex_unlock(&whole->lock);
	return 0;
}

static void watch(struct round *r)
{
	struct engine *e = r->engine;
	unsigned interval_ms = e->options->interval_ms ? e->options->interval_ms : INTERVAL_MS;
	uint64_t next_ms = clock_ms() + interval_ms;
	char words[160];

	while (!wait_ended(r, min_of(interval_ms, (unsigned)ADAPT_MS))) {
		int rc;

		adapt(e, r);
		if (engine_ending(e))
			round_go_on(r);
		if (clock_ms() < next_ms)
			continue;
		next_ms = clock_ms() + interval_ms;
		engine_report(e, r, r->disk, rescue_words(r, words, sizeof(words)));
		/* While nothing else moves, a dead network would keep this thread for long. */
		if (atomic_load(&r->stop) || atomic_load(&e->control->paused))
			continue;
		rc = poll_durable(r);
		if (rc < 0)
			round_fail(r, rc, true);
	}
}

/* The time in which chunks of any disk move. */
static void count_running(struct engine *e, bool begins)
{
	struct whole *whole = e->whole;
	LOCK_SCOPE(&whole->lock);

	if (begins && whole->running++ == 0)
		whole->running_since_ms = clock_ms();
	if (!begins && --whole->running == 0)
		e->result->running_ms += clock_ms() - whole->running_since_ms;
}

static void run_threads(struct round *r)
{
	struct engine *e = r->engine;
	struct hand hands[HANDS_MAX];
	unsigned n;

	/* The threads of the round before are gone, so every item is free. */
	queue_fini(&e->pool);
	queue_init(&e->pool);
	for (unsigned i = 0; i < e->budget.items; i++)
		queue_push(&e->pool, &e->items[i]);
	take_order(e);
	count_running(e, true);
	n = start_all(r, hands);
	watch(r);
	for (unsigned i = 0; i < n; i++)
		pthread_join(hands[i].thread, NULL);
	count_running(e, false);
}

/* ---- a round ---- */

static void init_round(struct round *r, struct engine *e, unsigned disk, struct disk_state *state)
{
	pthread_condattr_t attr;

	*r = (struct round){.engine = e, .disk = disk, .state = state};
	rescue_begin_round(&state->rescue);
	r->cursor = (struct cursor_run){.disk = state, .sources = &e->sources};
	pthread_mutex_init(&r->cursor.lock, NULL);
	pthread_mutex_init(&r->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->ended, &attr);
	pthread_condattr_destroy(&attr);
	queue_init(&r->work);
	queue_init(&r->send);
}

static void fini_round(struct round *r)
{
	round_disconnect(r);
	queue_fini(&r->send);
	queue_fini(&r->work);
	pthread_cond_destroy(&r->ended);
	pthread_mutex_destroy(&r->lock);
	pthread_mutex_destroy(&r->cursor.lock);
}

static void note_phase(struct engine *e, unsigned disk, enum copy_phase phase)
{
	struct copy_progress *p = &e->whole->progress[disk];
	LOCK_SCOPE(&e->whole->lock);

	p->phase = phase;
	if (phase == COPY_DONE)
		p->durable_bytes = p->done_bytes;
}

static void set_phase(struct round *r, enum copy_phase phase)
{
	note_phase(r->engine, r->disk, phase);
	engine_report(r->engine, r, r->disk, "");
}

/*
 * A receiver that cannot be reached, or broke off wherever it was, may come back; what it has said
 * is final.
 */
bool copy_is_lost(int rc)
{
	switch (-rc) {
	case EPIPE:
	case ECONNRESET:
	case ECONNREFUSED:
	case ECONNABORTED:
	case ETIMEDOUT:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case ENETDOWN:
	case ESHUTDOWN:
	case EAGAIN:
		return true;
	default:
		return strcmp(err_code(), "RECEIVER_UNREACHABLE") == 0;
	}
}

/* 1: all durable; 0: the receiver lacks some again; ROUND_HOLES: what is lacking cannot be read and
 * may be sent as zeros; negative: failed, *lost when it may come back. */
static int work_round(struct round *r, bool *lost)
{
	int rc, judged;

	set_phase(r, COPY_CONNECTING);
	rc = round_connect(r);
	if (rc == 0) {
		set_phase(r, COPY_COMPARING);
		rc = round_ask(r);
	}
	if (rc < 0) {
		*lost = copy_is_lost(rc);
		return rc;
	}
	set_phase(r, COPY_RUNNING);
	run_threads(r);
	if (r->rc < 0) {
		*lost = r->lost && copy_is_lost(r->rc);
		err_adopt(r->code, r->reason);
		return r->rc;
	}
	set_phase(r, COPY_SETTLING);
	rc = round_settle(r);
	if (rc < 0) {
		*lost = copy_is_lost(rc);
		return rc;
	}
	/* All that is good is safe now, whatever becomes of the rest. */
	judged = rescue_judge(r);
	return judged < 0 ? judged : judged > 0 ? ROUND_HOLES : rc;
}

static void add_up(struct round *r)
{
	struct copy_disk_result *d = &r->engine->result->disks[r->disk];

	d->read_bytes += atomic_load(&r->read_bytes);
	d->sent_chunks += atomic_load(&r->sent_chunks);
	d->sent_plain_bytes += atomic_load(&r->sent_plain_bytes);
	d->kept_chunks += atomic_load(&r->kept_chunks);
	d->zero_chunks += atomic_load(&r->zero_chunks);
	d->patched_chunks += atomic_load(&r->patched_chunks);
	d->received_bytes += round_received_bytes(r);
	d->skipped_chunks += r->cursor.skipped_chunks;
	d->wire_bytes += round_wire_bytes(r);
	d->verified_digests = r->info.chunks_ok;
}

/* ---- rounds ---- */

static void wait_again(struct engine *e, unsigned disk, unsigned attempt)
{
	uint64_t wait_ms = (uint64_t)BACKOFF_MS << min_of(attempt, 4u); /* 8 s at most */
	uint64_t until_ms = clock_ms() + wait_ms;
	char message[ERR_REASON_MAX];

	snprintf(message, sizeof(message), "%s", err_reason());
	log_warn("disk %s: %s; trying again", e->options->map->disks[disk].name, message);
	note_phase(e, disk, COPY_CONNECTING);
	while (clock_ms() < until_ms && !engine_ending(e)) {
		engine_report(e, NULL, disk, message);
		usleep(100000);
	}
}

/* *lost: the receiver is; *broke: only a stream is. */
static int next_round(struct engine *e, unsigned disk, struct disk_state *state, bool *lost,
		      bool *broke)
{
	char code[ERR_CODE_MAX], reason[ERR_REASON_MAX];
	struct round r;
	int rc;

	*lost = false;
	init_round(&r, e, disk, state);
	rc = work_round(&r, lost);
	snprintf(code, sizeof(code), "%s", err_code());
	snprintf(reason, sizeof(reason), "%s", err_reason());
	engine_report(e, &r, disk, rc < 0 ? reason : "");
	*broke = *lost && atomic_load(&r.stream_broke);
	add_up(&r);
	fini_round(&r);
	/* Saying goodbye on a broken connection fails too; that is not the reason. */
	if (rc < 0)
		err_adopt(code, reason);
	return rc;
}

/* rc 0: nothing is lost but a stream. 0: try again. Otherwise the failure stands. */
static int after_loss(struct engine *e, unsigned disk, int rc, unsigned attempt)
{
	uint64_t patience_ms = e->options->patience_ms;

	if (engine_ending(e))
		return fail_code(ECANCELED, "COPY_CANCELLED", "the copy was cancelled");
	/* Of the run before a connection may be leaving still. */
	if (strcmp(err_code(), "RECEIVER_BUSY") == 0)
		patience_ms = max_of(patience_ms, (uint64_t)WIRE_LEAVING_MS);
	if (rc < 0 && clock_ms() - e->reached_ms >= patience_ms)
		return rc;
	wait_again(e, disk, attempt);
	pthread_mutex_lock(&e->whole->lock);
	e->result->reconnects++;
	pthread_mutex_unlock(&e->whole->lock);
	return 0;
}

static int copy_in_rounds(struct engine *e, unsigned disk, struct disk_state *state)
{
	unsigned attempt = 0, forgotten = 0;

	for (;;) {
		uint64_t reached_ms = e->reached_ms;
		bool lost, broke;
		int rc = next_round(e, disk, state, &lost, &broke);

		if (rc == 1)
			break;
		if (rc == 0 && ++forgotten >= LOST_MAX)
			return fail_code(EIO, "RECEIVER_LOST_CHUNKS",
					 "disk %s: the receiver lacks chunks that it had "
					 "acknowledged; look at its log and its disk",
					 state->map->name);
		if (rc == 0 || rc == ROUND_HOLES)
			continue;
		if (!lost)
			return rc;
		attempt = e->reached_ms == reached_ms ? attempt + 1 : 0;
		rc = after_loss(e, disk, broke ? 0 : rc, attempt);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int disk_copy(struct engine *e, unsigned disk)
{
	struct disk_state state = {.map = &e->options->map->disks[disk]};
	struct copy_disk_result *result = &e->result->disks[disk];
	int rc;

	rescue_init(&state.rescue, e->options);
	rc = copy_in_rounds(e, disk, &state);
	result->holes = state.rescue.holes;
	result->hole_count = state.rescue.hole_count;
	rescue_fini(&state.rescue);
	if (rc < 0)
		return rc;
	note_phase(e, disk, COPY_DONE);
	engine_report(e, NULL, disk, "");
	return 0;
}
