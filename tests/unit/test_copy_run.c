/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * copy_run() against a receiver in this very process, over loopback and TLS: what
 * arrives, what is refused, and orders while it runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/num.h"
#include "copy/copy.h"
#include "receiver/receiver.h"
#include "base/merkle.h"

#define SOURCE_BYTES (24 * MIB)
#define GATE_BYTES   (SOURCE_BYTES / 2)
/* For what has to happen, and does unless something is wrong. */
#define PATIENCE_MS 120000

struct fixture {
	char dir[64], state[96], files[96], source[96];
	struct receiver *receiver;
	struct wire_activation activation;
	struct arena *arena;
	struct map *map;
	struct copy_target targets[4];
	char exports[4][WIRE_EXPORT_MAX];
	struct copy_control control;
	struct copy_options options;
	struct copy_result result;
	uint8_t *bytes; /* of the source */
	/* Kept by on_status(). */
	unsigned calls;
	uint64_t last_done, last_total, last_durable;
	void (*order)(struct fixture *f, const struct copy_status *s);
	uint64_t mark;
	unsigned still; /* calls in which nothing moved */
	atomic_bool gate_open;
	uint64_t gate_until_ms;
};

static void on_status(void *ctx, const struct copy_status *s)
{
	struct fixture *f = ctx;

	f->calls++;
	f->last_done = f->last_total = f->last_durable = 0;
	for (size_t i = 0; i < s->disk_count; i++) {
		assert_true(s->disks[i].done_bytes <= s->disks[i].total_bytes);
		assert_true(s->disks[i].durable_bytes <= s->disks[i].done_bytes);
		f->last_done += s->disks[i].done_bytes;
		f->last_total += s->disks[i].total_bytes;
		f->last_durable += s->disks[i].durable_bytes;
	}
	if (f->order)
		f->order(f, s);
}

/* Random, text-like, zero, by turns of 256 KiB. */
static void make_source(struct fixture *f)
{
	CLEANUP_CLOSE int fd = open(f->source, O_RDWR | O_CREAT | O_TRUNC, 0600);

	f->bytes = calloc(1, SOURCE_BYTES);
	for (size_t at = 0; at < SOURCE_BYTES; at += 256 * KIB) {
		if (at / (256 * KIB) % 3 == 0)
			wire_random(f->bytes + at, 256 * KIB);
		for (size_t i = 0; at / (256 * KIB) % 3 == 1 && i < 256 * KIB; i++)
			f->bytes[at + i] = (uint8_t) "some words that repeat "[(i * i / 7) % 23];
	}
	assert_int_equal(io_pwrite(fd, f->bytes, SOURCE_BYTES, 0, "source"), 0);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct receiver_options o = {.listen = "127.0.0.1",
				     .advertise = "127.0.0.1",
				     .token_uses = 100,
				     .token_days = 1,
				     .commit_ms = 50};

	log_setup(LOG_LEVEL_ERROR, NULL, NULL);
	snprintf(f->dir, sizeof(f->dir), "/tmp/test_copy_run.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->state, sizeof(f->state), "%s/state", f->dir);
	snprintf(f->files, sizeof(f->files), "%s/files", f->dir);
	snprintf(f->source, sizeof(f->source), "%s/source", f->dir);
	assert_int_equal(io_mkdir(f->state, 0700), 0);
	assert_int_equal(io_mkdir(f->files, 0700), 0);
	o.state_dir = f->state;
	o.files_dir = f->files;
	make_source(f);
	if (receiver_start(&o, &f->receiver) < 0)
		print_error("%s\n", err_reason());
	assert_non_null(f->receiver);
	assert_int_equal(wire_activation_parse(receiver_activation(f->receiver), &f->activation),
			 0);
	f->arena = arena_new();
	f->map = map_new(f->arena, "plan");
	map_add_source(f->map, f->source, "sda", SOURCE_BYTES);
	f->options = (struct copy_options){.map = f->map,
					   .targets = f->targets,
					   .compression = 5,
					   .control = &f->control,
					   .status = on_status,
					   .status_ctx = f,
					   .interval_ms = 20,
					   .memory_bytes = 16 * MIB};
	memset(f->options.run_id, 7, sizeof(f->options.run_id));
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	receiver_stop(f->receiver);
	copy_result_fini(&f->result);
	arena_free(f->arena);
	remove_tree(f->dir);
	free(f->bytes);
	free(f);
	return 0;
}

/* Finish the map, and tell the receiver sizes, each `less` bytes smaller than the map's. */
static void announce(struct fixture *f, uint64_t less)
{
	CLEANUP_JSON json_t *plan = json_object();
	CLEANUP_FREE char *text = NULL;
	json_t *disks = json_array();
	struct wire_control *control;

	assert_int_equal(map_finish(f->map), 0);
	for (unsigned i = 0; i < f->map->disk_count; i++) {
		json_array_append_new(disks,
				      json_pack("{s:i,s:o}", "index", (int)i, "target_bytes",
						json_u64(f->map->disks[i].size_bytes - less)));
		wire_export_name(f->activation.token, i, f->exports[i]);
		f->targets[i] = (struct copy_target){.host = f->activation.host,
						     .port = f->activation.data_port,
						     .export_name = f->exports[i],
						     .pin = f->activation.pin};
	}
	json_object_set_new(plan, "disks", disks);
	text = json_text(plan);
	assert_int_equal(wire_control_open(&f->activation, PATIENCE_MS, &control), 0);
	if (wire_control_put(control, "/v1/artefact/plan.json", text, strlen(text),
			     "application/json", NULL, NULL) < 0)
		print_error("%s\n", err_reason());
	wire_control_close(control);
}

static int run(struct fixture *f)
{
	int rc;

	copy_result_fini(&f->result);
	rc = copy_run(&f->options, &f->result);
	if (rc < 0)
		print_message("%s: %s\n", err_code(), err_reason());
	return rc;
}

static void assert_target(struct fixture *f, unsigned disk, const uint8_t *want, size_t bytes)
{
	CLEANUP_FREE char *got = NULL;
	char path[128];
	size_t got_bytes;

	snprintf(path, sizeof(path), "%s/disk%u.raw", f->files, disk);
	assert_int_equal(io_read_file(path, 256 * MIB, &got, &got_bytes), 0);
	assert_int_equal(got_bytes, bytes);
	assert_memory_equal(got, want, bytes);
}

static void simple_disk(struct fixture *f)
{
	map_add_disk(f->map, "sda", SOURCE_BYTES);
	map_add_range(f->map, 0, 0, SOURCE_BYTES, 0, 0);
	announce(f, 0);
}

/*
 * The second half of each source is not to be read before the gate opens: what a test wants to see
 * in the middle of a copy happens there, however fast the copy is and however late its threads.
 */
static ssize_t read_gated(void *ctx, unsigned source, void *buf, size_t bytes,
			  uint64_t offset_bytes)
{
	struct fixture *f = ctx;

	(void)source;
	while (offset_bytes + bytes > GATE_BYTES && !atomic_load(&f->gate_open) &&
	       clock_ms() < f->gate_until_ms)
		usleep(1000);
	memcpy(buf, f->bytes + offset_bytes, bytes);
	return (ssize_t)bytes;
}

static void put_gate(struct fixture *f)
{
	atomic_store(&f->gate_open, false);
	f->gate_until_ms = clock_ms() + PATIENCE_MS;
	f->options.read = read_gated;
	f->options.read_ctx = f;
	f->options.read_limit_ms = 2 * PATIENCE_MS;
}

static void a_map_of_everything_arrives_as_it_says(void **state)
{
	struct fixture *f = *state;
	size_t size = 40 * MIB + 1536;
	uint8_t *want = calloc(1, size), *second = calloc(1, 3 * MIB);

	map_add_disk(f->map, "sda", size);
	map_add_disk(f->map, "sdb", 3 * MIB);
	map_add_range(f->map, 0, 0, 10 * MIB, 0, 0);
	map_add_range(f->map, 0, 17 * MIB + 4096, 5 * MIB, 0, 3 * MIB + 512);
	map_add_zero(f->map, 0, 2 * MIB + 100, MIB);
	map_add_literal(f->map, 0, size - 12, "the last one", 12);
	map_add_range(f->map, 1, 100, 200, 0, 100);
	memcpy(want, f->bytes, 10 * MIB);
	memcpy(want + 17 * MIB + 4096, f->bytes + 3 * MIB + 512, 5 * MIB);
	memset(want + 2 * MIB + 100, 0, MIB);
	memcpy(want + size - 12, "the last one", 12);
	memcpy(second + 100, f->bytes + 100, 200);
	announce(f, 0);
	assert_int_equal(run(f), 0);
	assert_target(f, 0, want, size);
	assert_target(f, 1, second, 3 * MIB);
	assert_int_equal(f->last_done, f->last_total);
	assert_int_equal(f->last_durable, f->last_total);
	free(want);
	free(second);
}

static void the_same_arrives_at_every_setting(void **state)
{
	struct fixture *f = *state;

	simple_disk(f);
	for (unsigned i = 0; i < 5; i++) {
		const struct copy_options settings[] = {
			{.compression = 0, .connections = 1, .readers = 1, .workers = 1},
			{.compression = 10,
			 .connections = 7,
			 .workers = 3,
			 .memory_bytes = 40 * MIB},
			{.compression = 7, .adaptive = true},
			{.compression = 3, .memory_bytes = 12 * MIB, .readers = 8},
			{.compression = 7, .no_extension = true},
		};
		struct copy_options o = f->options;

		o.compression = settings[i].compression;
		o.connections = settings[i].connections;
		o.readers = settings[i].readers;
		o.workers = settings[i].workers;
		o.adaptive = settings[i].adaptive;
		o.no_extension = settings[i].no_extension;
		if (settings[i].memory_bytes)
			o.memory_bytes = settings[i].memory_bytes;
		/* Other bytes each time, so that all of them travel. */
		memset(f->bytes + i * MIB, (int)i + 1, 2 * MIB);
		{
			CLEANUP_CLOSE int fd = open(f->source, O_WRONLY);

			assert_int_equal(io_pwrite(fd, f->bytes, SOURCE_BYTES, 0, "source"), 0);
		}
		memset(o.run_id, (int)i + 20, sizeof(o.run_id));
		copy_result_fini(&f->result);
		assert_int_equal(copy_run(&o, &f->result), 0);
		assert_target(f, 0, f->bytes, SOURCE_BYTES);
	}
}

struct bad_disk {
	struct fixture *fixture;
	uint64_t bad_byte;
};

static ssize_t read_bad(void *ctx, unsigned source, void *buf, size_t bytes, uint64_t offset_bytes)
{
	struct bad_disk *d = ctx;

	(void)source;
	if (range_ok(d->bad_byte - offset_bytes, 1, bytes) && d->bad_byte >= offset_bytes) {
		errno = EIO;
		return -1;
	}
	memcpy(buf, d->fixture->bytes + offset_bytes, bytes);
	return (ssize_t)bytes;
}

static void a_bad_sector_stops_the_run_and_the_next_goes_on(void **state)
{
	struct fixture *f = *state;
	struct bad_disk d = {.fixture = f, .bad_byte = 17 * MIB + 777};

	simple_disk(f);
	f->options.read = read_bad;
	f->options.read_ctx = &d;
	f->options.patience_ms = 600000;
	assert_int_equal(run(f), -EIO);
	assert_string_equal(err_code(), "SOURCE_READ_ERROR");
	assert_non_null(strstr(err_reason(), "disk sda cannot be read at sector 34817 "));
	d.bad_byte = UINT64_MAX;
	assert_int_equal(run(f), 0);
	assert_target(f, 0, f->bytes, SOURCE_BYTES);
}

static void cancel_half_way(struct fixture *f, const struct copy_status *s)
{
	if (s->disks[0].durable_bytes < SOURCE_BYTES / 3)
		return;
	atomic_store(&f->control.cancelled, true);
	atomic_store(&f->gate_open, true);
}

static void a_cancelled_copy_goes_on_when_started_again(void **state)
{
	struct fixture *f = *state;

	simple_disk(f);
	put_gate(f);
	f->options.compression = 0;
	f->order = cancel_half_way;
	assert_int_equal(run(f), -ECANCELED);
	assert_string_equal(err_code(), "COPY_CANCELLED");
	f->order = NULL;
	atomic_store(&f->control.cancelled, false);
	assert_int_equal(run(f), 0);
	assert_true(f->result.disks[0].skipped_chunks >= SOURCE_BYTES / 3 / MIB);
	assert_target(f, 0, f->bytes, SOURCE_BYTES);
	/* And once more: everything is there. */
	assert_int_equal(run(f), 0);
	assert_int_equal(f->result.disks[0].skipped_chunks, SOURCE_BYTES / MIB);
	assert_int_equal(f->result.disks[0].read_bytes, 0);
}

/*
 * Pause at the first sight of data, with the gate shut, then open it. When nothing has moved for 25
 * looks, what was on its way has arrived, and not all of it was: go on.
 */
static void pause_a_while(struct fixture *f, const struct copy_status *s)
{
	uint64_t done_bytes = s->disks[0].done_bytes;

	if (!atomic_load(&f->gate_open)) {
		atomic_store(&f->control.paused, done_bytes > 0);
		atomic_store(&f->gate_open, done_bytes > 0);
	}
	f->still = done_bytes > 0 && done_bytes == f->mark ? f->still + 1 : 0;
	f->mark = done_bytes;
	if (f->still >= 25 && atomic_load(&f->control.paused)) {
		assert_true(done_bytes < SOURCE_BYTES);
		atomic_store(&f->control.paused, false);
	}
}

static void a_paused_copy_stands_still_and_goes_on(void **state)
{
	struct fixture *f = *state;

	simple_disk(f);
	put_gate(f);
	f->options.compression = 0;
	f->order = pause_a_while;
	assert_int_equal(run(f), 0);
	assert_false(atomic_load(&f->control.paused));
	assert_target(f, 0, f->bytes, SOURCE_BYTES);
}

static void lift_the_limit(struct fixture *f, const struct copy_status *s)
{
	(void)s;
	if (f->calls == 10)
		atomic_store(&f->control.rate_mbit, 0);
}

static void a_new_limit_holds_while_it_runs(void **state)
{
	struct fixture *f = *state;

	simple_disk(f);
	f->options.compression = 0;
	/* 16 MiB of data would take more than two minutes. */
	atomic_store(&f->control.rate_mbit, 1);
	f->order = lift_the_limit;
	assert_int_equal(run(f), 0);
	assert_true(f->result.elapsed_ms < 100000);
	assert_target(f, 0, f->bytes, SOURCE_BYTES);
}

/* ---- several disks ---- */

static void three_disks(struct fixture *f)
{
	static const char *const names[] = {"sda", "sdb", "sdc"};

	map_add_source(f->map, f->source, "sdb", SOURCE_BYTES);
	for (unsigned i = 0; i < 3; i++) {
		map_add_disk(f->map, names[i], SOURCE_BYTES);
		map_add_range(f->map, i, 0, SOURCE_BYTES, i == 1, 0);
	}
	announce(f, 0);
	f->options.memory_bytes = 64 * MIB;
}

/* How many are under way at this moment, at most; behind the gate when all three are. */
static void count_moving(struct fixture *f, const struct copy_status *s)
{
	uint64_t moving = 0;

	for (size_t i = 0; i < s->disk_count; i++)
		moving += s->disks[i].phase == COPY_RUNNING && s->disks[i].done_bytes > 0 &&
			  s->disks[i].done_bytes < s->disks[i].total_bytes;
	f->mark = max_of(f->mark, moving);
	atomic_store(&f->gate_open, f->mark == 3);
}

static void several_disks_move_at_the_same_time_within_one_limit(void **state)
{
	struct fixture *f = *state;
	uint64_t wire_bytes = 0;

	three_disks(f);
	put_gate(f);
	f->options.compression = 0;
	f->order = count_moving;
	atomic_store(&f->control.rate_mbit, 160);
	assert_int_equal(run(f), 0);
	assert_int_equal(f->mark, 3);
	assert_int_equal(f->last_done, 3 * SOURCE_BYTES);
	assert_int_equal(f->last_durable, 3 * SOURCE_BYTES);
	for (unsigned i = 0; i < 3; i++) {
		assert_target(f, i, f->bytes, SOURCE_BYTES);
		wire_bytes += f->result.disks[i].wire_bytes;
	}
	/* Bits by 160 a microsecond. */
	assert_true(f->result.running_ms >= wire_bytes * 8 / 160 / 1000 * 95 / 100);
}

/* Only sdb is broken, and only its end. */
static ssize_t read_with_a_bad_disk(void *ctx, unsigned source, void *buf, size_t bytes,
				    uint64_t offset_bytes)
{
	struct fixture *f = ctx;

	if (source == 1 && offset_bytes + bytes > SOURCE_BYTES - 64 * KIB) {
		errno = EIO;
		return -1;
	}
	memcpy(buf, f->bytes + offset_bytes, bytes);
	return (ssize_t)bytes;
}

static void one_disk_that_fails_is_named_and_can_be_gone_on_with(void **state)
{
	struct fixture *f = *state;

	three_disks(f);
	f->options.read = read_with_a_bad_disk;
	f->options.read_ctx = f;
	assert_true(run(f) < 0);
	assert_string_equal(err_code(), "SOURCE_READ_ERROR");
	assert_non_null(strstr(err_reason(), "sdb"));
	assert_true(f->last_done < f->last_total);
	f->options.read = NULL;
	assert_int_equal(run(f), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_target(f, i, f->bytes, SOURCE_BYTES);
	assert_true(f->result.disks[1].skipped_chunks > 0);
}

/* ---- adaptive compression ---- */

static void wait_for_more_compression(struct fixture *f, const struct copy_status *s)
{
	f->mark = max_of(f->mark, (uint64_t)s->compression);
	if (f->mark >= 4)
		atomic_store(&f->control.rate_mbit, 0);
}

static void a_slow_line_makes_it_compress_more(void **state)
{
	struct fixture *f = *state;

	simple_disk(f);
	f->options.adaptive = true;
	f->options.compression = 1;
	f->order = wait_for_more_compression;
	atomic_store(&f->control.rate_mbit, 10);
	assert_int_equal(run(f), 0);
	assert_true(f->mark >= 4);
	assert_target(f, 0, f->bytes, SOURCE_BYTES);
}

static void wait_for_less_compression(struct fixture *f, const struct copy_status *s)
{
	f->mark = (uint64_t)s->compression;
	if (f->mark < 10)
		atomic_store(&f->control.cancelled, true);
}

/* One worker at step 10 is slower than any receiver; it goes on until that was found out. */
static void a_fast_line_makes_it_compress_less(void **state)
{
	struct fixture *f = *state;

	map_add_disk(f->map, "sda", 50 * SOURCE_BYTES);
	for (unsigned i = 0; i < 50; i++)
		map_add_range(f->map, 0, i * SOURCE_BYTES, SOURCE_BYTES, 0, 0);
	announce(f, 0);
	f->options.adaptive = true;
	f->options.compression = 10;
	f->options.workers = 1;
	f->options.memory_bytes = 48 * MIB;
	f->order = wait_for_less_compression;
	assert_int_equal(run(f), -ECANCELED);
	assert_true(f->mark < 10);
}

static void order_another_step(struct fixture *f, const struct copy_status *s)
{
	unsigned ordered = atomic_load(&f->control.step_and_one);

	if (ordered == 0 && f->last_done > SOURCE_BYTES / 8)
		atomic_store(&f->control.step_and_one, (unsigned)f->mark + 1);
	if (ordered && s->compression == f->mark)
		atomic_store(&f->gate_open, true);
}

/* Up and down, over the border between frames and streams, also with little memory. */
static void another_compression_holds_while_it_runs(void **state)
{
	static const struct {
		unsigned from, to, mib;
	} ways[] = {{0, 10, 64}, {10, 0, 64}, {7, 10, 100}, {7, 1, 100},
		    {5, 9, 32},	 {9, 5, 32},  {0, 6, 16},   {10, 8, 100}};
	struct fixture *f = *state;

	simple_disk(f);
	f->order = order_another_step;
	f->options.changeable = true;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		f->options.run_id[0]++;
		wire_random(f->bytes + 4 * MIB, 16 * MIB);
		for (size_t k = 8 * MIB; k < 20 * MIB; k++)
			f->bytes[k] = (uint8_t) "other words that repeat "[(k * (i + 1) / 7) % 24];
		assert_int_equal(io_replace_file(f->source, f->bytes, SOURCE_BYTES, 0600), 0);
		f->options.compression = ways[i].from;
		f->options.memory_bytes = ways[i].mib * MIB;
		f->mark = ways[i].to;
		atomic_store(&f->control.step_and_one, 0);
		put_gate(f);
		copy_result_fini(&f->result);
		if (copy_run(&f->options, &f->result) < 0)
			print_error("%s\n", err_reason());
		assert_true(atomic_load(&f->gate_open));
		assert_target(f, 0, f->bytes, SOURCE_BYTES);
	}
}

static void a_target_that_is_too_small_is_refused(void **state)
{
	struct fixture *f = *state;

	map_add_disk(f->map, "sda", SOURCE_BYTES);
	map_add_range(f->map, 0, 0, SOURCE_BYTES, 0, 0);
	announce(f, 512);
	f->options.patience_ms = 600000;
	assert_int_equal(run(f), -ENOSPC);
	assert_string_equal(err_code(), "TARGET_TOO_SMALL");
}

static void wrong_keys_are_final_whatever_the_patience(void **state)
{
	struct fixture *f = *state;
	uint8_t pin[WIRE_PIN_BYTES];

	simple_disk(f);
	f->options.patience_ms = 600000;
	memcpy(pin, f->activation.pin, sizeof(pin));
	pin[5] ^= 1;
	f->targets[0].pin = pin;
	assert_true(run(f) < 0);
	assert_string_equal(err_code(), "PIN_MISMATCH");
	f->targets[0].pin = f->activation.pin;
	f->exports[0][3] = f->exports[0][3] == '0' ? '1' : '0';
	assert_true(run(f) < 0);
	assert_true(strcmp(err_code(), "TOKEN_REFUSED") == 0 ||
		    strcmp(err_code(), "EXPORT_UNKNOWN") == 0);
}

static void cancel_when_it_tries_again(struct fixture *f, const struct copy_status *s)
{
	/* First it is said that a try failed, then again while it waits for the next. */
	if (s->reconnecting && f->mark++ > 0)
		atomic_store(&f->control.cancelled, true);
}

static void nobody_there_is_try_again(void **state)
{
	struct fixture *f = *state;
	uint64_t start_ms;

	simple_disk(f);
	receiver_stop(f->receiver);
	f->receiver = NULL;
	assert_true(run(f) < 0);
	assert_string_equal(err_code(), "RECEIVER_UNREACHABLE");
	f->options.patience_ms = 1500;
	start_ms = clock_ms();
	assert_true(run(f) < 0);
	assert_string_equal(err_code(), "RECEIVER_UNREACHABLE");
	assert_true(clock_ms() - start_ms >= 1500);
	f->options.patience_ms = 600000;
	f->order = cancel_when_it_tries_again;
	assert_int_equal(run(f), -ECANCELED);
	assert_true(f->result.reconnects >= 1);
}

/* ---- roots ---- */

static void merkle_roots_of_few_leaves(void **state)
{
	struct merkle t;
	uint8_t digest[16] = {1, 2, 3}, leaf[17] = {0, 1, 2, 3}, root[32], one[32], both[65] = {1};

	(void)state;
	merkle_init(&t);
	merkle_root(&t, root);
	hash_sha256("", 0, one);
	assert_memory_equal(root, one, 32);
	merkle_add(&t, digest, WIRE_DIGEST_BYTES);
	merkle_root(&t, root);
	hash_sha256(leaf, sizeof(leaf), one);
	assert_memory_equal(root, one, 32);
	merkle_add(&t, digest, WIRE_DIGEST_BYTES);
	merkle_root(&t, root);
	memcpy(both + 1, one, 32);
	memcpy(both + 33, one, 32);
	hash_sha256(both, sizeof(both), both + 1);
	assert_memory_equal(root, both + 1, 32);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_map_of_everything_arrives_as_it_says),
		TEST(the_same_arrives_at_every_setting),
		TEST(a_bad_sector_stops_the_run_and_the_next_goes_on),
		TEST(a_cancelled_copy_goes_on_when_started_again),
		TEST(a_paused_copy_stands_still_and_goes_on),
		TEST(a_new_limit_holds_while_it_runs),
		TEST(several_disks_move_at_the_same_time_within_one_limit),
		TEST(one_disk_that_fails_is_named_and_can_be_gone_on_with),
		TEST(a_slow_line_makes_it_compress_more),
		TEST(a_fast_line_makes_it_compress_less),
		TEST(another_compression_holds_while_it_runs),
		TEST(a_target_that_is_too_small_is_refused),
		TEST(wrong_keys_are_final_whatever_the_patience),
		TEST(nobody_there_is_try_again),
		cmocka_unit_test(merkle_roots_of_few_leaves),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
