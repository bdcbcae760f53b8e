/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The copy as a whole: memory, disk after disk, what the caller is told. See copy.h. */
#include "copy/copy.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "copy/private.h"

/* Weight of the past in smoothed rates, for a look every half second: some four seconds. */
#define SMOOTH 0.88

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
	struct copy_progress *p = &e->progress[r->disk];
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
static void look_at_rates(struct engine *e, uint64_t done_bytes, uint64_t wire_bytes)
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

void engine_report(struct engine *e, struct round *r, unsigned disk, const char *message)
{
	uint64_t total = 0, done = 0, skipped = 0, wire = 0;
	struct copy_status status = {.disks = e->progress,
				     .disk_count = e->options->map->disk_count,
				     .current = disk,
				     .left_ms = UINT64_MAX,
				     .compression = atomic_load(&e->compression),
				     .reconnecting = !r && *message,
				     .message = message};

	if (r)
		look_at_round(e, r);
	for (size_t i = 0; i < status.disk_count; i++) {
		total += e->progress[i].total_bytes;
		done += e->progress[i].done_bytes;
		skipped += e->progress[i].skipped_bytes;
		wire += e->progress[i].wire_bytes;
	}
	look_at_rates(e, done - min_of(done, skipped), wire);
	status.read_bytes_per_s = (uint64_t)e->done_per_s;
	status.wire_bytes_per_s = (uint64_t)e->wire_per_s;
	if (e->done_per_s >= 1)
		status.left_ms =
			(uint64_t)((double)(total - min_of(total, done)) * 1000 / e->done_per_s);
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
		e->items[i].data = aligned_alloc(4096, WIRE_CHUNK_BYTES);
		if (!e->items[i].data)
			return fail_code(ENOMEM, "COPY_NO_MEMORY",
					 "no memory for the copy's buffers");
		/* Pages are taken now, not when a machine that is short of them is busy copying. */
		memset(e->items[i].data, 0, WIRE_CHUNK_BYTES);
	}
	for (unsigned i = 0; i < b->workers; i++) {
		int rc = pack_init(&e->packers[i], b->context_bytes);

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

static void start_progress(struct engine *e)
{
	const struct map *map = e->options->map;

	for (unsigned i = 0; i < map->disk_count; i++)
		e->progress[i] = (struct copy_progress){.disk = i,
							.name = map->disks[i].name,
							.total_bytes = map->disks[i].source_bytes};
	e->result->disk_count = map->disk_count;
	e->reached_ms = clock_ms();
}

static int run_disks(struct engine *e)
{
	const struct budget *b = &e->budget;
	int rc = budget_make(e->options, &e->budget);

	if (rc < 0)
		return rc;
	log_info("copy: %llu MiB of memory: %u chunks on their way, %u workers of %llu KiB",
		 (unsigned long long)(b->total_bytes / MIB), b->items, b->workers,
		 (unsigned long long)((b->context_bytes + 2 * WIRE_CHUNK_BYTES) / KIB));
	rc = take_memory(e);
	if (rc == 0)
		rc = sources_open(&e->sources, e->options);
	for (unsigned i = 0; rc == 0 && i < e->options->map->disk_count; i++)
		rc = disk_copy(e, i);
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
	struct engine e = {.options = options, .result = result};
	uint64_t start_ms = clock_ms();
	int rc;

	*result = (struct copy_result){0};
	if (options->compression > COPY_COMPRESSION_MAX)
		return fail(EINVAL, "compression is 0 to %d", COPY_COMPRESSION_MAX);
	e.control = options->control ? options->control : &e.no_control;
	atomic_store(&e.compression, options->compression);
	queue_init(&e.pool);
	rate_init(&e.rate);
	start_progress(&e);
	rc = run_disks(&e);
	finish_result(result);
	sources_close(&e.sources);
	free_memory(&e);
	rate_fini(&e.rate);
	queue_fini(&e.pool);
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
