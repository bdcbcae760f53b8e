/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disks that cannot be read everywhere, that read at the third try, that hang, and that go away,
 * played by the read hook and copied to a receiver in this process.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "receiver_fixture.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/num.h"
#include "copy/copy.h"

#define DISK_BYTES  (24 * MIB)
#define PLACES	    4
#define NEVER	    1000000
#define HANG_BYTE   (9 * MIB + 5)
#define NOT_HANGING UINT64_MAX

struct bad_place {
	uint64_t from, to;
	atomic_int times; /* reads that still fail */
};

struct bed {
	struct fixture fixture;
	struct arena *arena;
	struct map *map;
	struct copy_target target;
	char export_name[WIRE_EXPORT_MAX];
	struct copy_options options;
	struct copy_result result;
	uint8_t *bytes;

	struct bad_place bad[PLACES];
	_Atomic uint64_t gone_from; /* reads from here on make the disk vanish */
	atomic_bool gone;
	_Atomic uint64_t hang_at; /* a read over this byte waits for `release`, once */
	atomic_bool release;
	atomic_int hanging;
	bool never_freed; /* as reads that were left behind look at it */

	unsigned judged;
	int verdict;
	struct copy_hole holes[8];
	size_t hole_count;
};

static bool covers(uint64_t offset, size_t bytes, uint64_t from, uint64_t to)
{
	return offset < to && offset + bytes > from;
}

static ssize_t read_disk(void *ctx, unsigned source, void *buf, size_t bytes, uint64_t offset)
{
	struct bed *b = ctx;
	uint64_t hang_at = atomic_load(&b->hang_at);

	if (source > 0) {
		memcpy(buf, b->bytes + offset, bytes);
		return (ssize_t)bytes;
	}
	if (hang_at != NOT_HANGING && covers(offset, bytes, hang_at, hang_at + 1) &&
	    atomic_compare_exchange_strong(&b->hang_at, &hang_at, NOT_HANGING)) {
		atomic_fetch_add(&b->hanging, 1);
		while (!atomic_load(&b->release))
			usleep(1000);
		atomic_fetch_sub(&b->hanging, 1);
	}
	if (offset + bytes > atomic_load(&b->gone_from))
		atomic_store(&b->gone, true);
	errno = atomic_load(&b->gone) ? ENXIO : ENODATA; /* the kernel's medium error */
	if (atomic_load(&b->gone))
		return -1;
	for (unsigned i = 0; i < PLACES; i++) {
		struct bad_place *p = &b->bad[i];

		if (covers(offset, bytes, p->from, p->to) && atomic_load(&p->times) > 0) {
			if (offset >= round_down(p->from, 512) && bytes <= 512)
				atomic_fetch_sub(&p->times, 1);
			return -1;
		}
	}
	memcpy(buf, b->bytes + offset, bytes);
	return (ssize_t)bytes;
}

static int judge(void *ctx, unsigned disk, const struct copy_hole *holes, size_t count)
{
	struct bed *b = ctx;

	assert_int_equal(disk, 0);
	b->judged++;
	b->hole_count = count;
	assert_true(count <= ARRAY_SIZE(b->holes));
	memcpy(b->holes, holes, count * sizeof(*holes));
	return b->verdict;
}

static int set_up(void **state)
{
	struct bed *b = calloc(1, sizeof(*b));
	const uint64_t sizes[] = {DISK_BYTES, DISK_BYTES, 0};

	fixture_new(&b->fixture);
	assert_int_equal(fixture_plan(&b->fixture, sizes), 0);
	b->arena = arena_new();
	b->map = map_new(b->arena, "plan");
	map_add_source(b->map, "/dev/null", "sda", DISK_BYTES);
	map_add_disk(b->map, "sda", DISK_BYTES);
	map_add_range(b->map, 0, 0, DISK_BYTES, 0, 0);
	assert_int_equal(map_finish(b->map), 0);
	wire_export_name(b->fixture.activation.token, 0, b->export_name);
	b->target = (struct copy_target){.host = b->fixture.activation.host,
					 .port = b->fixture.activation.data_port,
					 .export_name = b->export_name,
					 .pin = b->fixture.activation.pin};
	b->options = (struct copy_options){.map = b->map,
					   .targets = &b->target,
					   .interval_ms = 20,
					   .memory_bytes = 16 * MIB,
					   .read = read_disk,
					   .read_ctx = b,
					   .judge_ctx = b,
					   /* Longer than a busy machine keeps a reader waiting. */
					   .read_limit_ms = 60000,
					   .rescue_ms = 1};
	memset(b->options.run_id, 7, sizeof(b->options.run_id));
	b->bytes = malloc(DISK_BYTES);
	wire_random(b->bytes, DISK_BYTES);
	atomic_store(&b->gone_from, UINT64_MAX);
	atomic_store(&b->hang_at, NOT_HANGING);
	*state = b;
	return 0;
}

/* Else it would count as lost. */
static struct bed *volatile kept;

static int tear_down(void **state)
{
	struct bed *b = *state;

	atomic_store(&b->release, true);
	while (atomic_load(&b->hanging))
		usleep(1000);
	copy_result_fini(&b->result);
	fixture_free(&b->fixture);
	arena_free(b->arena);
	if (b->never_freed) {
		kept = b;
		return 0;
	}
	free(b->bytes);
	free(b);
	return 0;
}

static void make_bad(struct bed *b, unsigned i, uint64_t from, uint64_t to, int times)
{
	b->bad[i].from = from;
	b->bad[i].to = to;
	atomic_store(&b->bad[i].times, times);
}

static int run(struct bed *b)
{
	int rc;

	copy_result_fini(&b->result);
	rc = copy_run(&b->options, &b->result);
	if (rc < 0)
		print_message("%s: %s\n", err_code(), err_reason());
	return rc;
}

static void assert_disk(struct bed *b, unsigned disk)
{
	CLEANUP_FREE char *got = NULL;
	char path[128];
	size_t got_bytes;

	snprintf(path, sizeof(path), "%s/disk%u.raw", b->fixture.files, disk);
	assert_int_equal(io_read_file(path, 64 * MIB, &got, &got_bytes), 0);
	assert_int_equal(got_bytes, DISK_BYTES);
	assert_memory_equal(got, b->bytes, DISK_BYTES);
}

static void assert_target(struct bed *b)
{
	assert_disk(b, 0);
}

static void a_bad_sector_is_fatal_after_all_that_is_good_is_safe(void **state)
{
	struct bed *b = *state;

	make_bad(b, 0, 2 * MIB + 777, 2 * MIB + 778, NEVER);
	make_bad(b, 1, 17 * MIB + 777, 17 * MIB + 3000, NEVER);
	assert_int_equal(run(b), -EIO);
	assert_string_equal(err_code(), "SOURCE_READ_ERROR");
	assert_non_null(strstr(err_reason(), "disk sda cannot be read at sector 4097 "));
	assert_non_null(strstr(err_reason(), "3072 bytes in 2 places"));
	assert_int_equal(b->result.disks[0].sent_chunks, 22);
	make_bad(b, 0, 0, 0, 0);
	make_bad(b, 1, 0, 0, 0);
	assert_int_equal(run(b), 0);
	assert_int_equal(b->result.disks[0].sent_chunks, 2);
	assert_int_equal(b->result.disks[0].skipped_chunks, 22);
	assert_target(b);
}

static void a_disk_that_fails_does_not_keep_the_others_from_arriving(void **state)
{
	struct bed *b = *state;
	struct copy_target targets[2] = {b->target, b->target};
	char export_name[WIRE_EXPORT_MAX];

	b->map = map_new(b->arena, "plan");
	for (unsigned i = 0; i < 2; i++) {
		map_add_source(b->map, "/dev/null", i ? "sdb" : "sda", DISK_BYTES);
		map_add_disk(b->map, i ? "sdb" : "sda", DISK_BYTES);
		map_add_range(b->map, i, 0, DISK_BYTES, i, 0);
	}
	assert_int_equal(map_finish(b->map), 0);
	wire_export_name(b->fixture.activation.token, 1, export_name);
	targets[1].export_name = export_name;
	b->options.map = b->map;
	b->options.targets = targets;
	make_bad(b, 0, 2 * MIB, 2 * MIB + 1, NEVER);
	assert_int_equal(run(b), -EIO);
	assert_string_equal(err_code(), "SOURCE_READ_ERROR");
	assert_int_equal(b->result.disks[0].sent_chunks, 23);
	assert_disk(b, 1);
	/* One that is gone before anything of it was read. */
	atomic_store(&b->gone, true);
	assert_int_equal(run(b), -EIO);
	assert_string_equal(err_code(), "SOURCE_LOST");
	assert_int_equal(b->result.disks[1].skipped_chunks, 24);
}

static void allowed_holes_are_zeros_of_just_the_bad_sectors(void **state)
{
	struct bed *b = *state;

	b->options.judge = judge;
	make_bad(b, 0, 3 * MIB + 512, 3 * MIB + 513, NEVER);
	make_bad(b, 1, 5 * MIB - 100, 5 * MIB + 100, NEVER); /* over the edge of two chunks */
	make_bad(b, 2, DISK_BYTES - 1, DISK_BYTES, NEVER);
	assert_int_equal(run(b), 0);
	assert_int_equal(b->judged, 1);
	assert_int_equal(b->hole_count, 3);
	assert_int_equal(b->result.disks[0].hole_count, 3);
	assert_int_equal(b->holes[0].offset_bytes, 3 * MIB + 512);
	assert_int_equal(b->holes[0].length_bytes, 512);
	assert_int_equal(b->holes[0].error, ENODATA);
	assert_int_equal(b->holes[1].offset_bytes, 5 * MIB - 512);
	assert_int_equal(b->holes[1].length_bytes, 1024);
	assert_int_equal(b->holes[1].source_offset_bytes, 5 * MIB - 512);
	assert_int_equal(b->holes[2].offset_bytes, DISK_BYTES - 512);
	memset(b->bytes + 3 * MIB + 512, 0, 512);
	memset(b->bytes + 5 * MIB - 512, 0, 1024);
	memset(b->bytes + DISK_BYTES - 512, 0, 512);
	assert_target(b);
}

static void refused_holes_end_the_run_with_the_judges_word(void **state)
{
	struct bed *b = *state;

	b->options.judge = judge;
	b->verdict = -EPERM;
	make_bad(b, 0, 3 * MIB, 3 * MIB + 1, NEVER);
	assert_int_equal(run(b), -EPERM);
	assert_int_equal(b->judged, 1);
	assert_int_equal(b->result.disks[0].sent_chunks, 23);
}

static void a_sector_that_reads_at_the_third_time_is_no_hole(void **state)
{
	struct bed *b = *state;

	b->options.rescue_ms = 60000;
	make_bad(b, 0, 3 * MIB + 512, 3 * MIB + 513, 2);
	assert_int_equal(run(b), 0);
	assert_int_equal(b->result.disks[0].hole_count, 0);
	assert_target(b);
}

static void a_read_that_hangs_is_left_behind(void **state)
{
	struct bed *b = *state;

	/* On a busy machine others take so long, too, and may come back at any time. */
	b->never_freed = true;
	b->options.read_limit_ms = 500;
	b->options.rescue_ms = 60000;
	atomic_store(&b->hang_at, HANG_BYTE);
	assert_int_equal(run(b), 0);
	assert_int_equal(atomic_load(&b->hanging), 1);
	assert_int_equal(b->result.disks[0].hole_count, 0);
	assert_target(b);
}

static void a_disk_that_goes_away_is_said_to_be_lost(void **state)
{
	struct bed *b = *state;

	b->options.judge = judge;
	b->options.rescue_ms = 500;
	atomic_store(&b->gone_from, 11 * MIB);
	assert_int_equal(run(b), -EIO);
	assert_string_equal(err_code(), "SOURCE_LOST");
	assert_int_equal(b->judged, 0);
	atomic_store(&b->gone_from, UINT64_MAX);
	atomic_store(&b->gone, false);
	assert_int_equal(run(b), 0);
	assert_target(b);
}

static void *come_back(void *ctx)
{
	struct bed *b = ctx;

	while (!atomic_load(&b->gone))
		usleep(1000);
	usleep(100000);
	atomic_store(&b->gone_from, UINT64_MAX);
	atomic_store(&b->gone, false);
	return NULL;
}

static void a_disk_that_comes_back_is_gone_on_with(void **state)
{
	struct bed *b = *state;
	pthread_t thread;

	b->options.rescue_ms = 60000;
	atomic_store(&b->gone_from, 11 * MIB);
	assert_int_equal(pthread_create(&thread, NULL, come_back, b), 0);
	assert_int_equal(run(b), 0);
	pthread_join(thread, NULL);
	assert_int_equal(b->result.disks[0].hole_count, 0);
	assert_target(b);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_bad_sector_is_fatal_after_all_that_is_good_is_safe),
		TEST(a_disk_that_fails_does_not_keep_the_others_from_arriving),
		TEST(allowed_holes_are_zeros_of_just_the_bad_sectors),
		TEST(refused_holes_end_the_run_with_the_judges_word),
		TEST(a_sector_that_reads_at_the_third_time_is_no_hole),
		TEST(a_read_that_hangs_is_left_behind),
		TEST(a_disk_that_goes_away_is_said_to_be_lost),
		TEST(a_disk_that_comes_back_is_gone_on_with),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
