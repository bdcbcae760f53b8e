/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The last stage of a round: each sender owns one connection, keeps it full within the rate limit,
 * and books what the receiver has answered. With a server that lacks our extension the same chunks
 * go as plain WRITE and WRITE_ZEROES.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "copy/private.h"

#define LOOK_MS		  50
#define REAP_MS		  5
#define ATTEMPTS_MAX	  3
#define STREAM_GOOD_BYTES (64 * MIB) /* so much came through before a stream broke */
#define TLS_RECORD	  16384
#define TLS_EXTRA	  29  /* header, explicit nonce and tag of an AES-GCM record */
#define REQUEST_EXTRA	  160 /* headers, bitmap, digest */
#define ZEROES_MAX_OLD	  (32u << 20)

struct sender {
	struct round *round;
	struct wire_nbd *nbd;
	unsigned lane;
	uint64_t charged_bytes; /* taken from the rate limit so far */
};

/* ---- answers ---- */

static void mark_done(struct disk_state *s, const struct item *item)
{
	for (uint64_t i = item->chunk; i < item->chunk + item->count; i++) {
		switch (item->kind) {
		case ITEM_CHUNK:
			s->flags[i] = CHUNK_KNOWN | CHUNK_DATA | CHUNK_DONE | CHUNK_OURS;
			memcpy(s->digests + i * s->digest_bytes, item->wire.digest,
			       s->digest_bytes);
			break;
		case ITEM_ZERO:
			s->flags[i] = CHUNK_KNOWN | CHUNK_DONE | CHUNK_OURS;
			break;
		case ITEM_KEEP:
			s->flags[i] |= CHUNK_DONE | CHUNK_OURS;
			break;
		}
	}
}

static void book(struct round *r, struct item *item)
{
	mark_done(r->state, item);
	atomic_fetch_add(&r->done_bytes, item->map_bytes);
	atomic_fetch_add(&r->zero_bytes, item->zero_bytes);
	if (item->kind == ITEM_CHUNK) {
		atomic_fetch_add(&r->sent_chunks, 1);
		atomic_fetch_add(&r->patched_chunks, item->wire.patch);
		atomic_fetch_add(&r->sent_plain_bytes, item->plain_bytes);
	} else if (item->kind == ITEM_ZERO) {
		atomic_fetch_add(&r->zero_chunks, item->count);
	} else {
		atomic_fetch_add(&r->kept_chunks, item->count);
	}
	queue_push(&r->engine->pool, item);
}

/* The receiver answered with an error. */
static int refused(struct round *r, const struct item *item, const struct wire_done *done)
{
	const char *name = r->state->map->name,
		   *words = *done->message ? done->message : strerror(-done->rc);
	unsigned long long at = item->chunk * (unsigned long long)WIRE_CHUNK_BYTES;

	switch (done->rc) {
	case -ENOSPC:
		return fail_code(ENOSPC, "TARGET_FULL",
				 "disk %s: the target is full at byte %llu (%s)", name, at, words);
	case -EBADMSG:
		return fail_code(EBADMSG, "CHUNK_CORRUPTED",
				 "disk %s: the chunk at byte %llu arrived damaged %u times (%s); "
				 "check the memory of both machines",
				 name, at, ATTEMPTS_MAX, words);
	case -EPERM:
		return fail_code(EPERM, "TARGET_WRITE_ERROR",
				 "disk %s: the target may not be written at byte %llu (%s)", name,
				 at, words);
	default:
		return fail_code(-done->rc, "TARGET_WRITE_ERROR",
				 "disk %s: the receiver cannot write at byte %llu (%s)", name, at,
				 words);
	}
}

/* The marks have come, or the receiver cannot make them: then the whole chunk is sent. */
static void take_marks(struct round *r, struct item *item, int rc)
{
	if (rc == 0)
		pack_patch(item, r->info.to_patch_ok ? WIRE_MARK_TO_PATCH_BYTES : WIRE_MARK_BYTES);
	item->patch = PATCH_MADE;
	queue_push(&r->work, item);
}

/*
 * A part of a stream cannot be sent again: what was made after it builds upon it. So the round
 * ends, and the next one begins other streams. All that was on its way in the stream is refused
 * now, too, and counts as one; and what a long way does to a stream now and then is no reason to
 * give up.
 */
static int stream_broke(struct round *r, const struct item *item, const struct wire_done *done)
{
	struct engine *e = r->engine;
	unsigned times;
	int rc;

	if (atomic_exchange(&r->stream_broke, true))
		return -EBADMSG;
	if (atomic_load(&r->sent_plain_bytes) >= STREAM_GOOD_BYTES)
		atomic_store(&e->broken_streams, 0);
	times = atomic_fetch_add(&e->broken_streams, 1) + 1;
	if (times >= ATTEMPTS_MAX) {
		rc = refused(r, item, done);
		round_fail(r, rc, false);
		return rc;
	}
	rc = fail_code(EBADMSG, "CHUNK_CORRUPTED", "the chunk at byte %llu arrived damaged (%s)",
		       item->chunk * (unsigned long long)WIRE_CHUNK_BYTES,
		       *done->message ? done->message : strerror(-done->rc));
	round_fail(r, -EAGAIN, true);
	return rc;
}

static int take_answer(struct sender *s, const struct wire_done *done)
{
	struct round *r = s->round;
	struct item *item = done->user;

	item->parts--;
	if (done->rc == -ESHUTDOWN) {
		round_fail(r, fail_code(EPIPE, "RECEIVER_UNREACHABLE", "the receiver shuts down"),
			   true);
		return -EPIPE;
	}
	if (item->patch == PATCH_ASK) {
		take_marks(r, item, done->rc);
		return 0;
	}
	/* It has forgotten the chunk now, so that the next round sends all of it. */
	if (done->rc == -EBADMSG && item->wire.patch) {
		log_warn("disk %s: %s", r->state->map->name, done->message);
		queue_push(&r->engine->pool, item);
		return 0;
	}
	if (done->rc == -EBADMSG && item->wire.codec == WIRE_CODEC_STREAM)
		return stream_broke(r, item, done);
	if (done->rc == -EBADMSG && ++item->attempts < ATTEMPTS_MAX) {
		queue_push(&r->send, item);
		return 0;
	}
	if (done->rc < 0) {
		int rc = refused(r, item, done);

		round_fail(r, rc, false);
		return rc;
	}
	if (item->parts == 0)
		book(r, item);
	return 0;
}

/* Take what answers there are, waiting at most wait_ms for the first. */
static int reap(struct sender *s, int wait_ms)
{
	struct wire_done done;
	int rc;

	while ((rc = wire_nbd_reap(s->nbd, wait_ms, &done)) > 0) {
		rc = take_answer(s, &done);
		if (rc < 0)
			return rc;
		wait_ms = 0;
	}
	if (rc < 0)
		round_fail(s->round, rc, true);
	return rc;
}

/* ---- requests ---- */

static int submit(struct sender *s, struct item *item, const struct wire_request *request)
{
	int rc;

	item->parts++;
	while ((rc = wire_nbd_submit(s->nbd, request)) == -EBUSY) {
		rc = reap(s, -1);
		if (rc < 0)
			return rc;
	}
	if (rc < 0)
		round_fail(s->round, rc, true);
	return rc;
}

/* A range without our extension, in as many requests as the server's limits want. */
static int submit_foreign(struct sender *s, struct item *item, uint64_t offset_bytes,
			  uint64_t length_bytes)
{
	const struct wire_nbd_info *info = &s->round->info;
	bool zero = item->kind == ITEM_ZERO, write = !zero || !info->zeroes_ok;
	uint64_t step = write ? min_of(info->block_max_bytes, WIRE_CHUNK_BYTES) : ZEROES_MAX_OLD;
	int rc = 0;

	if (zero && write)
		memset(item->data, 0, WIRE_CHUNK_BYTES);
	item->parts++; /* not done before the last part is on its way */
	for (uint64_t done = 0; rc == 0 && done < length_bytes;) {
		uint64_t n = min_of(length_bytes - done, step);
		struct wire_request request = {
			.command = write ? NBD_CMD_WRITE : NBD_CMD_WRITE_ZEROES,
			.offset_bytes = offset_bytes + done,
			.length_bytes = (uint32_t)n,
			.data = write ? item->data + (zero ? 0 : done) : NULL,
			.user = item,
		};

		rc = submit(s, item, &request);
		done += n;
	}
	item->parts--;
	if (rc == 0 && item->parts == 0)
		book(s->round, item);
	return rc;
}

static int submit_item(struct sender *s, struct item *item)
{
	const struct disk_state *state = s->round->state;
	uint64_t offset = item->chunk * WIRE_CHUNK_BYTES;
	uint64_t length = min_of(item->count * WIRE_CHUNK_BYTES, state->target_bytes - offset);
	struct wire_request request = {
		.offset_bytes = offset, .length_bytes = (uint32_t)length, .user = item};

	if (!s->round->info.chunks_ok)
		return submit_foreign(s, item, offset, length);
	if (item->patch == PATCH_ASK) {
		request.command = NBD_CMD_BLOCK_DIGESTS;
		request.length_bytes = 1;
		if (s->round->info.to_patch_ok)
			request.flags = NBD_CMD_FLAG_TO_PATCH;
		request.into = item->marks;
		return submit(s, item, &request);
	}
	switch (item->kind) {
	case ITEM_CHUNK:
		request.command = NBD_CMD_CHUNK_WRITE;
		request.chunk = &item->wire;
		break;
	case ITEM_ZERO:
		request.command = NBD_CMD_WRITE_ZEROES;
		break;
	case ITEM_KEEP:
		request.command = NBD_CMD_KEEP;
		request.length_bytes = (uint32_t)item->count; /* KEEP counts chunks */
		break;
	}
	return submit(s, item, &request);
}

/* ---- the rate ---- */

static uint64_t wire_estimate(const struct sender *s, const struct item *item)
{
	uint64_t bytes = REQUEST_EXTRA;

	bool data = item->kind == ITEM_CHUNK && item->patch != PATCH_ASK;

	if (data && item->wire.codec != WIRE_CODEC_PLAIN)
		bytes += item->wire.data_bytes;
	else if (data)
		bytes += s->round->info.chunks_ok ? item->plain_bytes : item->bytes;
	return bytes + div_up(bytes, TLS_RECORD) * TLS_EXTRA;
}

/* Wait for this item's time on the line, taking answers meanwhile. */
static int wait_turn(struct sender *s, const struct item *item)
{
	struct round *r = s->round;
	uint64_t mbit = atomic_load(&r->engine->control->rate_mbit);
	uint64_t now_us = clock_us(), due_us, sent, received, bytes = wire_estimate(s, item);

	/* The guesses so far are set right by what really left. */
	wire_nbd_counters(s->nbd, &sent, &received);
	due_us = rate_reserve(&r->engine->whole->rate, mbit,
			      (int64_t)bytes + (int64_t)(sent - s->charged_bytes), now_us);
	s->charged_bytes = sent + bytes;
	for (; now_us < due_us; now_us = clock_us()) {
		uint64_t wait_us = min_of(due_us - now_us, (uint64_t)20000);
		int rc = 0;

		if (atomic_load(&r->stop) || engine_ending(r->engine) ||
		    atomic_load(&r->engine->control->rate_mbit) != mbit)
			return 0;
		if (wire_nbd_in_flight(s->nbd) && wait_us >= 1000)
			rc = reap(s, (int)(wait_us / 1000));
		else
			usleep((useconds_t)wait_us);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- the thread ---- */

/* 1: go on; 0: all is sent and answered; negative: failed, and told. */
static int step(struct sender *s)
{
	struct round *r = s->round;
	bool idle = wire_nbd_in_flight(s->nbd) == 0;
	bool paused = atomic_load(&r->engine->control->paused);
	struct item *item = NULL;
	int rc = 0;

	if (!paused)
		item = queue_pop_lane(&r->send, (int)s->lane, idle ? LOOK_MS : 0);
	else if (idle)
		usleep(LOOK_MS * 1000);
	if (!item && idle)
		return paused || !queue_ended(&r->send);
	if (item)
		rc = wait_turn(s, item);
	if (item && rc == 0)
		rc = submit_item(s, item);
	if (rc == 0)
		rc = reap(s, item ? 0 : REAP_MS);
	return rc < 0 ? rc : 1;
}

void *sender_main(void *arg)
{
	struct hand *hand = arg;
	struct round *r = hand->round;
	struct sender s = {.round = r, .nbd = r->nbd[hand->index], .lane = hand->index};
	uint64_t received;

	wire_nbd_counters(s.nbd, &s.charged_bytes, &received);
	while (!atomic_load(&r->stop) && step(&s) > 0)
		;
	{
		LOCK_SCOPE(&r->lock);

		if (--r->threads_left == 0)
			pthread_cond_signal(&r->ended);
	}
	return NULL;
}
