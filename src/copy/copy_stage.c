/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The first two stages of a round: readers fill chunks in disk order, workers make them ready. */
#include <string.h>

#include "base/cleanup.h"
#include "copy/private.h"

/* How often a waiting thread looks whether it should end. */
#define LOOK_MS 100

static void leave(struct round *r, unsigned *of_stage, struct queue *next)
{
	LOCK_SCOPE(&r->lock);

	if (--*of_stage == 0)
		queue_close(next);
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
	queue_push(&r->work, item);
	return true;
}

void *reader_main(void *hand)
{
	struct round *r = ((struct hand *)hand)->round;

	while (round_go_on(r) && read_next(r))
		;
	leave(r, &r->readers_left, &r->work);
	return NULL;
}

/* What is read equals what the receiver has from another run: it need only be told so. */
static void compare(const struct disk_state *s, struct item *item)
{
	uint8_t flags = s->flags[item->chunk];

	if (!(flags & CHUNK_KNOWN) || (item->kind == ITEM_CHUNK) != !!(flags & CHUNK_DATA))
		return;
	if (item->kind == ITEM_CHUNK && memcmp(s->digests + item->chunk * WIRE_DIGEST_BYTES,
					       item->wire.digest, WIRE_DIGEST_BYTES) != 0)
		return;
	item->kind = ITEM_KEEP;
}

void *worker_main(void *arg)
{
	struct hand *hand = arg;
	struct round *r = hand->round;
	struct item *item;

	while (!atomic_load(&r->stop) && (item = queue_pop(&r->work, -1))) {
		unsigned compression = r->info.zstd_ok ? atomic_load(&r->engine->compression) : 0;

		pack_item(&r->engine->packers[hand->index], item, compression);
		compare(r->state, item);
		to_senders(r, item);
	}
	leave(r, &r->workers_left, &r->send);
	return NULL;
}
