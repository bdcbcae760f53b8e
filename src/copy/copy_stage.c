/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The first two stages of a round: readers fill chunks in disk order, workers make them ready. */
#include <string.h>

#include "base/cleanup.h"
#include "copy/private.h"

/* How often a waiting thread looks whether it should end. */
#define LOOK_MS 100

/* What asks the receiver comes back to the workers: the queue closes behind the last of all. */
static void close_work(struct round *r)
{
	if (r->readers_left == 0 && r->unworked == 0)
		queue_close(&r->work);
}

static void count_read(struct round *r)
{
	LOCK_SCOPE(&r->lock);
	r->unworked++;
}

static void count_worked(struct round *r)
{
	LOCK_SCOPE(&r->lock);
	r->unworked--;
	close_work(r);
}

static void leave(struct round *r, unsigned *of_stage)
{
	LOCK_SCOPE(&r->lock);

	--*of_stage;
	close_work(r);
	if (r->workers_left == 0)
		queue_close(&r->send);
	if (--r->threads_left == 0)
		pthread_cond_signal(&r->ended);
}

static void to_senders(struct round *r, struct item *item)
{
	struct item *joined = queue_push_joined(&r->send, item);

	if (joined)
		queue_push(&r->engine->pool, joined);
}

/* False when there is nothing more to do, or the round has failed. */
static bool read_next(struct round *r)
{
	struct engine *e = r->engine;
	struct item *item = queue_pop(&e->pool, LOOK_MS);
	uint64_t read_bytes = 0;
	int rc;

	if (!item)
		return true;
	item->rescue = false;
	item->patch = PATCH_NONE;
	item->lane = -1;
	if (!cursor_next(&r->cursor, item) && !rescue_next(r, item)) {
		queue_push(&e->pool, item);
		return false;
	}
	if (item->kind != ITEM_CHUNK) {
		to_senders(r, item);
		return true;
	}
	rc = rescue_read(r, item, &read_bytes);
	atomic_fetch_add(&r->read_bytes, read_bytes);
	if (rc) {
		queue_push(&e->pool, item);
		if (rc < 0)
			round_fail(r, rc, false);
		return rc > 0;
	}
	count_read(r);
	queue_push(&r->work, item);
	return true;
}

void *reader_main(void *hand)
{
	struct round *r = ((struct hand *)hand)->round;

	while (round_go_on(r) && read_next(r))
		;
	leave(r, &r->readers_left);
	return NULL;
}

/*
 * What is read equals what the receiver has from another run: it need only be told so. What it has
 * another version of may differ in few blocks.
 */
static void compare(const struct round *r, struct item *item)
{
	const struct disk_state *s = r->state;
	uint8_t flags = s->flags[item->chunk];

	if (!(flags & CHUNK_KNOWN) || (item->kind == ITEM_CHUNK) != !!(flags & CHUNK_DATA))
		return;
	if (item->kind == ITEM_CHUNK && memcmp(s->digests + item->chunk * s->digest_bytes,
					       item->wire.digest, s->digest_bytes) != 0)
		item->patch = r->info.patch_ok ? PATCH_ASK : PATCH_NONE;
	else
		item->kind = ITEM_KEEP;
}

void *worker_main(void *arg)
{
	struct hand *hand = arg;
	struct round *r = hand->round;
	struct item *item;

	pack_use_stream(&r->engine->packers[hand->index], (int)hand->index,
			hand->index < r->connections ? r->stream_window_log : 0);
	r->engine->packers[hand->index].near_ok = r->info.near_ok;
	while (!atomic_load(&r->stop) && (item = queue_pop(&r->work, -1))) {
		unsigned compression = r->info.zstd_ok ? atomic_load(&r->engine->compression) : 0;

		if (item->patch != PATCH_MADE) {
			pack_scan(item, r->engine->options->digest);
			compare(r, item);
		}
		if (item->patch == PATCH_ASK) {
			queue_push(&r->send, item);
			continue;
		}
		pack_compress(&r->engine->packers[hand->index], item, compression);
		to_senders(r, item);
		count_worked(r);
	}
	leave(r, &r->workers_left);
	return NULL;
}
