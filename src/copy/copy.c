/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The copy as a whole: memory, disks at the same time, what the caller is told. See copy.h. */
#include "copy/copy.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/thread.h"
#include "copy/private.h"

/* Weight of the past in smoothed rates, for a look every half second: some four seconds. */
#define SMOOTH 0.88

#define DISKS_AT_ONCE	   4u
#define CONNECTIONS_SPARE  4
#define SHARE_MIN_BYTES	   (20 * MIB)
#define ENGINE_STACK_BYTES (1024 * 1024)

const char *copy_phase_name(enum copy_phase phase)
{
	static const char *const names[] = {
		[COPY_CONNECTING] = "connecting",
		[COPY_COMPARING] = "comparing",
		[COPY_RUNNING] = "copying",
		[COPY_SETTLING] = "settling",
		[COPY_DONE] = "done",
	};

	return names[phase];
}

/* ---- progress ---- */

static void look_at_round(struct engine *e, struct round *r)
{
	struct copy_progress *p = &e->whole->progress[r->disk];
	uint64_t skipped, ours;

	pthread_mutex_lock(&r->cursor.lock);
	skipped = r->cursor.skipped_bytes;
	ours = r->cursor.ours_bytes;
	pthread_mutex_unlock(&r->cursor.lock);
	/* A round that has not begun to walk says nothing about what is there. */
	if (p->phase == COPY_RUNNING || p->phase == COPY_SETTLING) {
		p->skipped_bytes = max_of(p->skipped_bytes, skipped);
		p->done_bytes = skipped + ours + atomic_load(&r->done_bytes);
		p->durable_bytes = min_of(p->durable_bytes, p->done_bytes);
	}
	p->zero_bytes = max_of(p->zero_bytes, atomic_load(&r->zero_bytes));
	p->hole_bytes = rescue_hole_bytes(&r->state->rescue);
	p->wire_bytes = e->result->disks[r->disk].wire_bytes + round_wire_bytes(r);
}

/* What was there before is not speed: rates count what moved, and so does the time left. */
static void look_at_rates(struct whole *e, uint64_t done_bytes, uint64_t wire_bytes)
{
	uint64_t now_us = clock_us(), us = now_us - e->look_us;
	double weight = SMOOTH;

	if (us < 100000)
		return;
	if (e->look_us && done_bytes >= e->look_done_bytes && wire_bytes >= e->look_wire_bytes) {
		double seconds = (double)us / 1e6;
		double done = (double)(done_bytes - e->look_done_bytes) / seconds;
		double wire = (double)(wire_bytes - e->look_wire_bytes) / seconds;

		if (e->done_per_s <= 0)
			weight = 0;
		e->done_per_s = weight * e->done_per_s + (1 - weight) * done;
		e->wire_per_s = weight * e->wire_per_s + (1 - weight) * wire;
	}
	e->look_us = now_us;
	e->look_done_bytes = done_bytes;
	e->look_wire_bytes = wire_bytes;
}

/* Disks are copied side by side, and what one has to say is not wiped out by the next one's
 * silence. */
static void join_words(const struct whole *whole, size_t disks, char *buf, size_t bytes)
{
	size_t used = 0;

	*buf = '\0';
	for (size_t i = 0; i < disks && used < bytes - 1; i++) {
		const char *text = whole->words[i].text;

		/* A receiver that is gone is gone for all of them. */
		if (*text && !strstr(buf, text))
			used += (size_t)snprintf(buf + used, bytes - used, "%s%s", used ? "; " : "",
						 text);
	}
}

static bool moves(const struct whole *whole, size_t i)
{
	enum copy_phase phase = whole->progress[i].phase;

	return phase != COPY_CONNECTING && phase != COPY_DONE && !whole->words[i].failed;
}

void engine_report(struct engine *e, struct round *r, unsigned disk, const char *message)
{
	struct whole *whole = e->whole;
	LOCK_SCOPE(&whole->lock);
	uint64_t total = 0, done = 0, skipped = 0, wire = 0;
	char words[2 * ERR_REASON_MAX];
	struct copy_status status = {.disks = whole->progress,
				     .disk_count = e->options->map->disk_count,
				     .current = disk,
				     .left_ms = UINT64_MAX,
				     .compression = atomic_load(&e->compression),
				     .message = words};

	snprintf(whole->words[disk].text, ERR_REASON_MAX, "%s", message);
	join_words(whole, status.disk_count, words, sizeof(words));
	status.reconnecting = *words != '\0';
	if (r)
		look_at_round(e, r);
	for (size_t i = 0; i < status.disk_count; i++) {
		total += whole->progress[i].total_bytes;
		done += whole->progress[i].done_bytes;
		skipped += whole->progress[i].skipped_bytes;
		wire += whole->progress[i].wire_bytes;
		if (moves(whole, i))
			status.reconnecting = false;
	}
	look_at_rates(whole, done - min_of(done, skipped), wire);
	status.read_bytes_per_s = (uint64_t)whole->done_per_s;
	status.wire_bytes_per_s = (uint64_t)whole->wire_per_s;
	if (whole->done_per_s >= 1)
		status.left_ms = (uint64_t)((double)(total - min_of(total, done)) * 1000 /
					    whole->done_per_s);
	if (e->options->status)
		e->options->status(e->options->status_ctx, &status);
}

/* ---- start and end ---- */

static int take_memory(struct engine *e)
{
	const struct budget *b = &e->budget;

	e->items = calloc(b->items, sizeof(*e->items));
	e->packers = calloc(b->workers, sizeof(*e->packers));
	if (!e->items || !e->packers)
		return fail_code(ENOMEM, "COPY_NO_MEMORY", "no memory for the copy's buffers");
	for (unsigned i = 0; i < b->items; i++) {
		/* Pages are taken now, not when a machine that is short of them is busy copying. */
		e->items[i].data = memory_take(WIRE_CHUNK_BYTES);
		if (!e->items[i].data)
			return fail_code(ENOMEM, "COPY_NO_MEMORY",
					 "no memory for the copy's buffers");
	}
	for (unsigned i = 0; i < b->workers; i++) {
		int rc = pack_init(&e->packers[i], b->context_bytes);

		if (rc == 0)
			rc = pack_near_init(&e->packers[i], b->near_bytes);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static void free_memory(struct engine *e)
{
	for (unsigned i = 0; e->items && i < e->budget.items; i++)
		free(e->items[i].data);
	for (unsigned i = 0; e->packers && i < e->budget.workers; i++)
		pack_fini(&e->packers[i]);
	free(e->items);
	free(e->packers);
}

bool engine_ending(const struct engine *e)
{
	return atomic_load(&e->control->cancelled) || atomic_load(&e->whole->stop);
}

static void start_progress(struct whole *whole, const struct copy_options *o,
			   struct copy_result *result)
{
	for (unsigned i = 0; i < o->map->disk_count; i++)
		whole->progress[i] = (struct copy_progress){
			.disk = i,
			.name = o->map->disks[i].name,
			.total_bytes = o->map->disks[i].source_bytes,
		};
	result->disk_count = o->map->disk_count;
}

/* ---- several disks at the same time ---- */

/* Two disks of the map that are read from one spinning disk would only make it seek. */
static bool spindle_is_shared(const struct map *map, const struct sources *sources)
{
	for (size_t source = 0; source < sources->count; source++) {
		unsigned users = 0;

		if (!sources->list[source].rotational)
			continue;
		for (size_t d = 0; d < map->disk_count; d++) {
			const struct map_entry *e = map->disks[d].entries;
			size_t i = 0;

			while (i < map->disks[d].count &&
			       (e[i].kind != MAP_SOURCE || e[i].source != source))
				i++;
			users += i < map->disks[d].count;
		}
		if (users > 1)
			return true;
	}
	return false;
}

/* Memory is shared out evenly; fewer disks go at once when a share would be too small. */
static int share_out(const struct copy_options *o, unsigned *at_once, struct budget *share)
{
	struct copy_options part = *o;

	for (; *at_once > 1; --*at_once) {
		part.memory_bytes = budget_total_bytes(o) / *at_once;
		if (part.memory_bytes >= SHARE_MIN_BYTES && budget_make(&part, share) == 0)
			return 0;
	}
	return budget_make(o, share);
}

/*
 * The receiver has COPY_CONNECTIONS_MAX disks open, whoever opened them. Each disk takes one more
 * than it is given, for questions; and some are left for whoever wants to look.
 */
static unsigned share_connections(const struct copy_options *o, unsigned at_once)
{
	unsigned want = o->connections ? o->connections : COPY_CONNECTIONS_DEFAULT;
	unsigned share = (COPY_CONNECTIONS_MAX - CONNECTIONS_SPARE) / at_once - 1;

	if (want > share)
		log_info("copy: %u connections for each disk instead of %u, as the receiver serves "
			 "%d in all",
			 share, want, COPY_CONNECTIONS_MAX);
	return min_of(want, share);
}

/* A disk that fails says nothing of the others, and these may not be readable for long either. */
static bool is_of_one_disk(const char *code)
{
	return strcmp(code, "SOURCE_READ_ERROR") == 0 || strcmp(code, "SOURCE_LOST") == 0;
}

static void note_failure(struct whole *whole, unsigned disk, int rc)
{
	LOCK_SCOPE(&whole->lock);

	whole->words[disk].failed = true;
	snprintf(whole->words[disk].text, ERR_REASON_MAX, "%s", err_reason());
	if (whole->rc == 0) {
		whole->rc = rc;
		snprintf(whole->code, sizeof(whole->code), "%s", err_code());
		snprintf(whole->reason, sizeof(whole->reason), "%s", err_reason());
	}
	if (!is_of_one_disk(err_code()))
		atomic_store(&whole->stop, true);
}

/* Copy the next disk, until there is none. */
static void *engine_main(void *arg)
{
	struct engine *e = arg;
	struct whole *whole = e->whole;
	unsigned disk;

	while (!atomic_load(&whole->stop) &&
	       (disk = atomic_fetch_add(&whole->next_disk, 1)) < e->options->map->disk_count) {
		int rc;

		e->reached_ms = clock_ms();
		rc = disk_copy(e, disk);
		if (rc < 0)
			note_failure(whole, disk, rc);
	}
	return NULL;
}

static int make_engine(struct engine *e, const struct engine *model)
{
	int rc;

	*e = *model;
	queue_init(&e->pool);
	rc = take_memory(e);
	return rc < 0 ? rc : sources_open(&e->sources, e->options);
}

static void unmake_engine(struct engine *e)
{
	sources_close(&e->sources);
	free_memory(e);
	queue_fini(&e->pool);
}

/* The calling thread copies with the first engine, and one more thread with each of the others. */
static int run_engines(struct engine *engines, unsigned count)
{
	pthread_t threads[DISKS_AT_ONCE] = {0};
	struct whole *whole = engines[0].whole;
	unsigned n = 1;

	/* Without a thread its disks wait for another engine. */
	while (n < count && thread_start(&threads[n], "the copy", ENGINE_STACK_BYTES, engine_main,
					 &engines[n]) == 0)
		n++;
	engine_main(&engines[0]);
	while (--n > 0)
		pthread_join(threads[n], NULL);
	if (whole->rc < 0)
		err_adopt(whole->code, whole->reason);
	return whole->rc;
}

static int run_disks(struct engine *model)
{
	const struct copy_options *o = model->options;
	const struct budget *b = &model->budget;
	unsigned at_once = max_of(1u, min_of((unsigned)o->map->disk_count, DISKS_AT_ONCE));
	struct engine engines[DISKS_AT_ONCE];
	struct sources sources;
	unsigned made = 0;
	int rc = sources_open(&sources, o);

	if (rc == 0 && spindle_is_shared(o->map, &sources))
		at_once = 1;
	sources_close(&sources);
	if (rc == 0)
		rc = share_out(o, &at_once, &model->budget);
	if (rc < 0)
		return rc;
	model->connections = share_connections(o, at_once);
	log_info("copy: %llu MiB of memory: %u disks at a time, each with %u chunks on their way "
		 "and %u workers of %llu KiB",
		 (unsigned long long)(at_once * b->total_bytes / MIB), at_once, b->items,
		 b->workers,
		 (unsigned long long)((b->context_bytes + b->near_bytes + 2 * WIRE_CHUNK_BYTES) /
				      KIB));
	while (rc == 0 && made < at_once)
		rc = make_engine(&engines[made++], model);
	if (rc == 0)
		rc = run_engines(engines, at_once);
	while (made > 0)
		unmake_engine(&engines[--made]);
	return rc;
}

/* The state's flags become the result's. */
static void finish_result(struct copy_result *result)
{
	for (size_t i = 0; i < result->disk_count; i++) {
		struct copy_disk_result *d = &result->disks[i];

		for (uint64_t k = 0; d->data && k < d->chunks; k++)
			if (d->data[k])
				d->data[k] = (d->data[k] & CHUNK_DATA ? COPY_CHUNK_DATA : 0) |
					     (d->data[k] & CHUNK_OURS ? COPY_CHUNK_OURS : 0);
	}
}

int copy_run(const struct copy_options *options, struct copy_result *result)
{
	struct whole whole = {0};
	struct engine e = {.whole = &whole, .options = options, .result = result};
	uint64_t start_ms = clock_ms();
	int rc;

	*result = (struct copy_result){0};
	if (options->compression > COPY_COMPRESSION_MAX)
		return fail(EINVAL, "compression is 0 to %d", COPY_COMPRESSION_MAX);
	e.control = options->control ? options->control : &e.no_control;
	atomic_store(&e.compression, options->compression);
	pthread_mutex_init(&whole.lock, NULL);
	rate_init(&whole.rate);
	start_progress(&whole, options, result);
	rc = run_disks(&e);
	finish_result(result);
	rate_fini(&whole.rate);
	pthread_mutex_destroy(&whole.lock);
	result->elapsed_ms = clock_ms() - start_ms;
	return rc;
}

int copy_read_chunk(const struct copy_options *options, unsigned disk, uint64_t chunk,
		    uint64_t target_bytes, uint8_t *buf)
{
	const struct map_disk *map = &options->map->disks[disk];
	uint64_t start = chunk * WIRE_CHUNK_BYTES, read_bytes = 0;
	uint64_t end = min_of(start + WIRE_CHUNK_BYTES, target_bytes);
	struct item item = {.chunk = chunk, .bytes = (uint32_t)(end - start)};
	struct sources sources;
	int rc = sources_open(&sources, options);

	/* A read that hangs may keep its buffer. */
	item.data = aligned_alloc(4096, WIRE_CHUNK_BYTES);
	if (rc == 0 && !item.data)
		rc = -ENOMEM;
	for (size_t i = 0; i < map->count && map->entries[i].offset_bytes < end; i++) {
		if (map->entries[i].offset_bytes + map->entries[i].length_bytes <= start)
			item.first_entry = i + 1;
		else
			item.entry_count++;
	}
	if (rc == 0)
		rc = source_read_item(&sources, map, &item, &read_bytes);
	if (rc == 0)
		memcpy(buf, item.data, item.bytes);
	sources_close(&sources);
	free(item.data);
	return rc;
}

void copy_result_fini(struct copy_result *result)
{
	for (size_t i = 0; i < result->disk_count; i++) {
		free(result->disks[i].digests);
		free(result->disks[i].data);
		free(result->disks[i].holes);
		result->disks[i].digests = result->disks[i].data = NULL;
		result->disks[i].holes = NULL;
	}
}
