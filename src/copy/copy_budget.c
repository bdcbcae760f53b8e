/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How much memory the copy takes, and what it is spent on: half at most for compression (a context
 * and two chunks a worker), the rest for chunks on their way; more for the windows of streams,
 * where there is plenty. A machine with 192 MiB in all has some 100 MiB free in the live image; of
 * these it is a fifth.
 */
#include <errno.h>
#include <unistd.h>

#include "base/memory.h"
#include "copy/private.h"

#define TOTAL_MIN_BYTES (12 * MIB)
#define TOTAL_MAX_BYTES (108 * MIB)
#define ITEMS_MIN	6

static uint64_t packers_bytes(const struct budget *b)
{
	return b->workers * (b->context_bytes + b->near_bytes + 2 * (uint64_t)WIRE_CHUNK_BYTES);
}

/*
 * The widest window that leaves a sixth of the memory, and enough of it, to the chunks on their
 * way, and that the receiver can have for all workers too. 0 where none does.
 */
static unsigned choose_window(const struct budget *b)
{
	for (unsigned log = WIRE_STREAM_LOG_MAX; log >= WIRE_STREAM_LOG_MIN; log--) {
		struct budget with = *b;
		uint64_t bytes = pack_stream_bytes(b->compression_max, log);

		with.context_bytes = max_of(b->context_bytes, bytes);
		if (bytes && packers_bytes(&with) <= b->total_bytes / 6 * 5 &&
		    packers_bytes(&with) + 2 * ITEMS_MIN * MIB <= b->total_bytes &&
		    ((uint64_t)b->workers << log) <= WIRE_STREAMS_BYTES)
			return log;
	}
	return 0;
}

/* One worker and the fewest chunks. */
static uint64_t least_bytes(unsigned compression)
{
	return pack_context_bytes(compression) + pack_near_bytes(compression) +
	       (2 + ITEMS_MIN) * (uint64_t)WIRE_CHUNK_BYTES;
}

/* A fifth of what is free; more, up to half, when the compression that was asked for needs it. */
static uint64_t choose_total(unsigned compression)
{
	uint64_t free_bytes = memory_available_bytes();
	uint64_t total = min_of(max_of(free_bytes / 5, TOTAL_MIN_BYTES), TOTAL_MAX_BYTES);

	return max_of(total, min_of(least_bytes(compression), free_bytes / 2));
}

uint64_t budget_total_bytes(const struct copy_options *o)
{
	return o->memory_bytes ? o->memory_bytes : choose_total(o->compression);
}

static void set_steps(struct budget *b, unsigned compression_max)
{
	b->compression_max = compression_max;
	b->context_bytes = pack_context_bytes(compression_max);
	b->near_bytes = pack_near_bytes(compression_max);
}

/* A stream's window may be narrower then. */
static bool fits(const struct budget *b, unsigned step)
{
	return pack_context_bytes(step) <= b->context_bytes &&
	       (b->window_log == 0 || pack_stream_bytes(step, WIRE_STREAM_LOG_MIN) == 0 ||
		pack_stream_window(step, b->window_log, b->context_bytes));
}

int budget_make(const struct copy_options *o, struct budget *b)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t left;

	*b = (struct budget){.total_bytes = budget_total_bytes(o), .workers = o->workers};
	if (!b->workers)
		b->workers = (unsigned)max_of(processors, 1L);
	b->workers = min_of(b->workers, (unsigned)COPY_WORKERS_MAX);
	/* Where orders may come, there is room for the streams of the steps above too. */
	set_steps(b, o->adaptive || (o->changeable && o->compression < COPY_COMPRESSION_DEFAULT)
			     ? COPY_COMPRESSION_MAX
			     : o->compression);
	while (packers_bytes(b) > b->total_bytes / 2) {
		if (b->compression_max > o->compression)
			set_steps(b, b->compression_max - 1);
		else if (b->workers > 1)
			b->workers--;
		else
			break;
	}
	b->window_log = choose_window(b);
	if (b->window_log)
		b->context_bytes = max_of(b->context_bytes,
					  pack_stream_bytes(b->compression_max, b->window_log));
	b->order_max = COPY_COMPRESSION_MAX;
	while (b->order_max > 0 && !fits(b, b->order_max))
		b->order_max--;
	left = b->total_bytes > packers_bytes(b) ? b->total_bytes - packers_bytes(b) : 0;
	b->items = (unsigned)min_of(left / WIRE_CHUNK_BYTES, (uint64_t)COPY_ITEMS_MAX);
	if (b->items < ITEMS_MIN)
		return fail_code(ENOMEM, "COPY_NO_MEMORY",
				 "compression %u needs %llu MiB of memory for the copy, of which "
				 "%llu MiB may be used; choose a lower one",
				 o->compression,
				 (unsigned long long)(least_bytes(o->compression) / MIB + 1),
				 (unsigned long long)(b->total_bytes / MIB));
	b->total_bytes = packers_bytes(b) + b->items * (uint64_t)WIRE_CHUNK_BYTES;
	return 0;
}
