/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What cannot be read at the first try. Good areas first: a chunk that fails is put off until the
 * cursor is through with the disk. Then it is read in ever smaller parts down to the sector, what
 * is still bad again after growing waits, and the rest becomes holes. A disk that does not answer
 * at all is waited for, opened again, and given up with SOURCE_LOST. Chunks with holes go out in a
 * further round, when copy_options.judge has allowed them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/io.h"
#include "copy/private.h"

#define PATIENCE_MS   (5 * 60 * 1000)
#define FIRST_WAIT_MS 200 /* before a bad place is tried again; four times longer each time */
#define TRIES	      3
#define LOOK_MS	      100
#define WAIT_MAX_MS   5000
/* So many failures in a row may be the disk, not its surface. */
#define SUSPECT_ROW 8
#define SECTOR_MIN  512
#define SECTORS_MAX (WIRE_CHUNK_BYTES / SECTOR_MIN + 2)

void rescue_init(struct rescue *k, const struct copy_options *o)
{
	*k = (struct rescue){.patience_ms = o->rescue_ms ? o->rescue_ms : PATIENCE_MS};
	pthread_mutex_init(&k->lock, NULL);
	pthread_mutex_init(&k->wait_lock, NULL);
}

/* The holes stay: they are the result's. */
void rescue_fini(struct rescue *k)
{
	free(k->later);
	k->later = NULL;
	pthread_mutex_destroy(&k->wait_lock);
	pthread_mutex_destroy(&k->lock);
}

void rescue_begin_round(struct rescue *k)
{
	k->later_count = k->later_next = 0;
	k->withheld_chunks = 0;
	atomic_store(&k->failed_in_row, 0);
	atomic_store(&k->bad_chunks, 0);
}

/* ---- waiting for the disk ---- */

/* Waits within the patience that is left. False when there is none, or the run is to end. */
static bool wait_ms(struct round *r, uint64_t ms)
{
	struct rescue *k = &r->state->rescue;
	uint64_t until_ms;
	{
		LOCK_SCOPE(&k->lock);

		if (k->patience_ms == 0)
			return false;
		ms = min_of(ms, k->patience_ms);
		k->patience_ms -= ms;
	}
	until_ms = clock_ms() + ms;
	while (clock_ms() < until_ms) {
		if (!round_go_on(r))
			return false;
		usleep(1000 * (useconds_t)min_of(until_ms - clock_ms(), (uint64_t)LOOK_MS));
	}
	return true;
}

/* Whether the disk reads what it has read before. */
static bool answers(struct round *r, unsigned source, uint8_t **bounce)
{
	struct sources *s = &r->engine->sources;
	uint64_t at = atomic_load(&s->list[source].good_bytes);

	return *bounce && source_read_all(s, source, bounce, 0, s->list[source].sector_bytes,
					  round_down(at, SECTOR_MIN)) == 0;
}

static bool comes_back(struct round *r, unsigned source, uint8_t **bounce)
{
	const struct copy_options *o = r->engine->options;
	uint64_t pause_ms = FIRST_WAIT_MS;

	while (wait_ms(r, pause_ms)) {
		if (o->revive)
			o->revive(o->revive_ctx, source);
		source_reopen(&r->engine->sources, source);
		if (answers(r, source, bounce))
			return true;
		pause_ms = min_of(pause_ms * 2, (uint64_t)WAIT_MAX_MS);
	}
	return false;
}

/* After many failures: 0 when the disk is there, if need be again. */
static int await_disk(struct round *r, unsigned source, uint8_t **bounce)
{
	const char *name = r->engine->sources.list[source].spec->name;
	struct rescue *k = &r->state->rescue;
	LOCK_SCOPE(&k->wait_lock);
	uint64_t wait_s;
	bool back;

	if (answers(r, source, bounce))
		return 0;
	pthread_mutex_lock(&k->lock);
	wait_s = k->patience_ms / 1000;
	pthread_mutex_unlock(&k->lock);
	log_warn("disk %s does not answer any more; waiting %" PRIu64 " s for it", name, wait_s);
	atomic_store(&k->waiting_s, max_of(wait_s, (uint64_t)1));
	back = comes_back(r, source, bounce);
	atomic_store(&k->waiting_s, 0);
	if (!back)
		return fail_code(
			EIO, "SOURCE_LOST",
			"disk %s does not answer any more, not even where it was read before; it "
			"was waited for %" PRIu64 " s",
			name, wait_s);
	log_info("disk %s answers again", name);
	return 0;
}

/* ---- one range, slowly ---- */

enum sector { SECTOR_NEW, SECTOR_READ, SECTOR_BAD };

struct slow {
	struct round *round;
	struct item *item;
	struct map_entry entry; /* clipped to the chunk */
	uint32_t sector_bytes;
	uint64_t first; /* sector of the source in which the entry begins */
	unsigned count;
	uint8_t *bounce; /* of WIRE_CHUNK_BYTES; NULL when memory is out */
	int error;	 /* of the last failure, positive */
	unsigned hung;	 /* in a row */
	uint8_t state[SECTORS_MAX];
};

/* The bytes of sectors [from, to) that the entry wants, counted from its start. */
static uint64_t sectors_bytes(const struct slow *w, unsigned from, unsigned to, uint64_t *start)
{
	uint64_t begin = w->entry.source_offset_bytes;
	uint64_t a = max_of((w->first + from) * w->sector_bytes, begin);
	uint64_t b = min_of((w->first + to) * w->sector_bytes, begin + w->entry.length_bytes);

	*start = a - begin;
	return b - a;
}

static bool try_sectors(struct slow *w, unsigned from, unsigned to)
{
	uint64_t start, bytes = sectors_bytes(w, from, to, &start);
	int rc = -ENOMEM;

	if (w->bounce)
		rc = source_read_all(&w->round->engine->sources, w->entry.source, &w->bounce, 0,
				     bytes, w->entry.source_offset_bytes + start);
	if (rc == 0) {
		memcpy(w->item->data + w->entry.offset_bytes + start, w->bounce, bytes);
		memset(w->state + from, SECTOR_READ, to - from);
		w->hung = 0;
		return true;
	}
	w->error = -rc;
	if (rc == -ETIMEDOUT) {
		w->hung++;
		source_reopen(&w->round->engine->sources, w->entry.source);
	}
	return false;
}

/* Each part that can be read, in as few reads as halving takes. */
static void narrow(struct slow *w, unsigned from, unsigned to)
{
	if (from >= to || atomic_load(&w->round->stop))
		return;
	/* Halving a disk that hangs would take hours. */
	if (w->hung < 2 && try_sectors(w, from, to))
		return;
	if (to - from == 1 || w->hung >= 2 || w->error == ENOMEM) {
		memset(w->state + from, SECTOR_BAD, to - from);
		return;
	}
	narrow(w, from, from + (to - from) / 2);
	narrow(w, from + (to - from) / 2, to);
}

static unsigned count_bad(const struct slow *w)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w->count; i++)
		n += w->state[i] == SECTOR_BAD;
	return n;
}

/* Bad sectors again, after growing waits. */
static void insist(struct slow *w)
{
	uint64_t pause_ms = FIRST_WAIT_MS;

	for (unsigned n = 0; n < TRIES && count_bad(w) && wait_ms(w->round, pause_ms); n++) {
		source_reopen(&w->round->engine->sources, w->entry.source);
		w->hung = 0;
		for (unsigned i = 0; i < w->count && w->hung < 2; i++)
			if (w->state[i] == SECTOR_BAD)
				try_sectors(w, i, i + 1);
		pause_ms *= 4;
	}
}

/* What is known to be bad is not touched again. Returns how many sectors of the range that are. */
static unsigned mark_known(struct slow *w)
{
	uint64_t base = w->item->chunk * WIRE_CHUNK_BYTES + w->entry.offset_bytes, end;
	unsigned known = 0;

	for (unsigned i = 0; i < w->count; i++) {
		uint64_t start;

		sectors_bytes(w, i, i + 1, &start);
		if (hole_at(&w->round->state->rescue, base + start, UINT64_MAX, &end)) {
			w->state[i] = SECTOR_BAD;
			known++;
		}
	}
	return known;
}

static int record(struct slow *w, unsigned from, unsigned to)
{
	uint64_t start, bytes = sectors_bytes(w, from, to, &start);
	struct copy_hole hole = {.source = w->entry.source,
				 .source_offset_bytes = w->entry.source_offset_bytes + start,
				 .offset_bytes = w->item->chunk * WIRE_CHUNK_BYTES +
						 w->entry.offset_bytes + start,
				 .length_bytes = bytes,
				 .error = w->error ? w->error : EIO};

	memset(w->item->data + w->entry.offset_bytes + start, 0, bytes);
	return hole_add(&w->round->state->rescue, &hole);
}

static int record_bad(struct slow *w)
{
	for (unsigned i = 0, n; i < w->count; i += n) {
		int rc;

		n = 1;
		if (w->state[i] != SECTOR_BAD)
			continue;
		while (i + n < w->count && w->state[i + n] == SECTOR_BAD)
			n++;
		rc = record(w, i, i + n);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int ends_early(const struct slow *w)
{
	const struct source *source = &w->round->engine->sources.list[w->entry.source];
	const struct map_source *spec = source->spec;
	uint64_t start, at, end;
	unsigned i = 0;

	while (i + 1 < w->count && w->state[i] != SECTOR_BAD)
		i++;
	sectors_bytes(w, i, i + 1, &start);
	at = w->entry.source_offset_bytes + start;
	/* Whoever came first may have been far behind the end. */
	if (io_size(source->fd, spec->name, &end) == 0)
		at = min_of(at, end);
	return fail_code(EIO, "SOURCE_READ_ERROR",
			 "disk %s ends at sector %" PRIu64 " (byte %" PRIu64
			 "), but is said to have %" PRIu64 " bytes",
			 spec->name, at / SECTOR_MIN, at, spec->size_bytes);
}

/* Returns how many sectors are lost, or -errno. */
static int read_range(struct slow *w)
{
	unsigned known, from = 0;
	int rc;

	memset(w->state, SECTOR_NEW, sizeof(w->state));
	w->first = w->entry.source_offset_bytes / w->sector_bytes;
	w->count = (unsigned)(div_up(w->entry.source_offset_bytes + w->entry.length_bytes,
				     w->sector_bytes) -
			      w->first);
	known = mark_known(w);
	for (unsigned i = 0; i <= w->count; i++) {
		if (i < w->count && w->state[i] == SECTOR_NEW)
			continue;
		narrow(w, from, i);
		from = i + 1;
	}
	if (w->error == SOURCE_ENDS && count_bad(w) > known)
		return ends_early(w);
	if (count_bad(w) > known)
		insist(w);
	if (w->error == ENOMEM || !w->bounce)
		return fail_code(ENOMEM, "COPY_NO_MEMORY", "no memory for a read that hangs");
	if (!round_go_on(w->round))
		return fail(ECANCELED, "the run ends");
	/* That nothing can be read any more is no matter of holes. */
	if (count_bad(w) > known) {
		rc = await_disk(w->round, w->entry.source, &w->bounce);
		if (rc < 0)
			return rc;
	}
	rc = record_bad(w);
	return rc < 0 ? rc : (int)count_bad(w);
}

/* ---- a chunk ---- */

static int put_off(struct round *r, const struct item *item)
{
	struct rescue *k = &r->state->rescue;
	LOCK_SCOPE(&k->lock);

	if (k->later_count == k->later_room) {
		size_t room = k->later_room ? 2 * k->later_room : 64;
		struct later *more = realloc(k->later, room * sizeof(*more));

		if (!more)
			return fail_code(ENOMEM, "COPY_NO_MEMORY",
					 "no memory for the list of what cannot be read");
		k->later = more;
		k->later_room = room;
	}
	k->later[k->later_count++] = (struct later){.chunk = item->chunk,
						    .map_bytes = item->map_bytes,
						    .first_entry = item->first_entry,
						    .entry_count = item->entry_count};
	atomic_fetch_add(&k->bad_chunks, 1);
	atomic_fetch_add(&k->failed_in_row, 1);
	return 1;
}

bool rescue_next(struct round *r, struct item *item)
{
	struct rescue *k = &r->state->rescue;
	LOCK_SCOPE(&k->lock);
	const struct later *next;

	if (k->later_next == k->later_count)
		return false;
	next = &k->later[k->later_next++];
	item->kind = ITEM_CHUNK;
	item->rescue = true;
	item->chunk = next->chunk;
	item->count = 1;
	item->map_bytes = next->map_bytes;
	item->zero_bytes = 0;
	item->attempts = item->parts = 0;
	item->first_entry = next->first_entry;
	item->entry_count = next->entry_count;
	item->bytes = (uint32_t)state_chunk_bytes(r->state, next->chunk);
	return true;
}

static unsigned first_source(const struct round *r, const struct item *item)
{
	for (size_t i = 0; i < item->entry_count; i++)
		if (r->state->map->entries[item->first_entry + i].kind == MAP_SOURCE)
			return r->state->map->entries[item->first_entry + i].source;
	return 0;
}

static void free_bounce(uint8_t **p)
{
	free(*p);
}

/* The disk itself may be the matter, and then it is no use to go through all of it. */
static int suspect(struct round *r, const struct item *item)
{
	CLEANUP(free_bounce) uint8_t *bounce = NULL;
	struct rescue *k = &r->state->rescue;
	int rc;

	if (atomic_load(&k->failed_in_row) < SUSPECT_ROW)
		return 1;
	atomic_store(&k->failed_in_row, 0);
	bounce = aligned_alloc(4096, WIRE_CHUNK_BYTES);
	rc = await_disk(r, first_source(r, item), &bounce);
	return rc < 0 ? rc : 1;
}

static int read_slowly(struct round *r, struct item *item, uint64_t *read_bytes)
{
	const struct map_entry *entries = r->state->map->entries + item->first_entry;
	struct slow w = {.round = r, .item = item};
	int lost = 0;

	w.bounce = aligned_alloc(4096, WIRE_CHUNK_BYTES);
	for (size_t i = 0; i < item->entry_count; i++) {
		int rc;

		if (entries[i].kind != MAP_SOURCE)
			continue;
		w.entry = source_clip(&entries[i], item->chunk * WIRE_CHUNK_BYTES, item->bytes);
		w.sector_bytes = r->engine->sources.list[w.entry.source].sector_bytes;
		rc = read_range(&w);
		if (rc < 0) {
			free(w.bounce);
			return rc;
		}
		lost += rc;
		*read_bytes += w.entry.length_bytes;
	}
	free(w.bounce);
	source_fill_rest(r->state->map, item);
	return lost;
}

/* A chunk in which an earlier round found a hole. */
static bool has_hole(struct round *r, const struct item *item)
{
	uint64_t start = item->chunk * WIRE_CHUNK_BYTES, end;

	return hole_at(&r->state->rescue, start, start + item->bytes, &end) ||
	       end < start + item->bytes;
}

int rescue_read(struct round *r, struct item *item, uint64_t *read_bytes)
{
	struct rescue *k = &r->state->rescue;
	int rc;

	if (!item->rescue && !has_hole(r, item)) {
		rc = source_read_item(&r->engine->sources, r->state->map, item, read_bytes);
		if (rc == 0) {
			if (atomic_load_explicit(&k->failed_in_row, memory_order_relaxed))
				atomic_store(&k->failed_in_row, 0);
			return 0;
		}
		if (!item->data)
			return fail_code(ENOMEM, "COPY_NO_MEMORY",
					 "no memory for a read that hangs");
		if (rc == -ETIMEDOUT)
			source_reopen(&r->engine->sources, first_source(r, item));
		rc = put_off(r, item);
		return rc < 0 ? rc : suspect(r, item);
	}
	rc = read_slowly(r, item, read_bytes);
	if (item->rescue)
		atomic_fetch_sub(&k->bad_chunks, 1);
	if (rc <= 0)
		return rc;
	LOCK_SCOPE(&k->lock);
	if (k->allowed)
		return 0;
	k->withheld_chunks++;
	return 1;
}

const char *rescue_words(struct round *r, char *buf, size_t bytes)
{
	unsigned n = atomic_load(&r->state->rescue.bad_chunks);
	uint64_t wait_s = atomic_load(&r->state->rescue.waiting_s);

	*buf = '\0';
	if (wait_s)
		snprintf(buf, bytes,
			 "disk %s does not answer; waiting up to %" PRIu64
			 " s: see to its cable and power, or plug it in again",
			 r->state->map->name, wait_s);
	else if (n)
		snprintf(buf, bytes,
			 "disk %s: %u MiB could not be read and are tried again at the end",
			 r->state->map->name, n);
	return buf;
}

/* ---- the verdict ---- */

const char *copy_error_text(int error)
{
	switch (error) {
	case ENODATA:
		return "the disk reports a medium error";
	case ETIMEDOUT:
		return "the disk does not answer in time";
	default:
		return strerror(error);
	}
}

static int read_error(const struct round *r)
{
	const struct rescue *k = &r->state->rescue;
	const struct copy_hole *h = &k->holes[0];
	uint64_t bytes = 0;

	for (size_t i = 0; i < k->hole_count; i++)
		bytes += k->holes[i].length_bytes;
	return fail_code(EIO, "SOURCE_READ_ERROR",
			 "disk %s cannot be read at sector %" PRIu64 " (byte %" PRIu64
			 "): %s; %" PRIu64 " bytes in %zu places of it in all",
			 r->engine->sources.list[h->source].spec->name,
			 h->source_offset_bytes / SECTOR_MIN, h->source_offset_bytes,
			 copy_error_text(h->error), bytes, k->hole_count);
}

int rescue_judge(struct round *r)
{
	const struct copy_options *o = r->engine->options;
	struct rescue *k = &r->state->rescue;
	int rc;

	if (k->withheld_chunks == 0)
		return 0;
	rc = read_error(r);
	log_warn("%s", err_reason());
	if (o->judge)
		rc = o->judge(o->judge_ctx, r->disk, k->holes, k->hole_count);
	if (rc < 0)
		return rc;
	k->allowed = true;
	return 1;
}
