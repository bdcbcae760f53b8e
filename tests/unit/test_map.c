/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Building, cutting, joining and checking maps, and their text form. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"
#include "map/map.h"

static struct map *new_map(struct arena *a)
{
	struct map *m = map_new(a, "00ff");

	map_add_source(m, "/dev/mapper/view-sda", "sda", 100 * MIB);
	map_add_source(m, "/tmp/a file % of\nodd name", "odd name", 10 * MIB);
	map_add_disk(m, "sda", 100 * MIB);
	return m;
}

static void assert_entry(const struct map_entry *e, enum map_kind kind, uint64_t offset_bytes,
			 uint64_t length_bytes)
{
	assert_int_equal(e->kind, kind);
	assert_int_equal(e->offset_bytes, offset_bytes);
	assert_int_equal(e->length_bytes, length_bytes);
}

static void ranges_are_sorted_and_joined(void **state)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	struct map *m = new_map(a);

	(void)state;
	map_add_range(m, 0, 8192, 4096, 0, 8192);
	map_add_range(m, 0, 4096, 4096, 0, 4096);
	map_add_range(m, 0, 0, 0, 0, 0);
	map_add_range(m, 0, 12288, 4096, 0, 65536);
	map_add_range(m, 0, 16384, 4096, 1, 69632);
	map_add_zero(m, 0, 24576, 4096);
	map_add_zero(m, 0, 20480, 4096);
	assert_int_equal(map_finish(m), 0);
	assert_int_equal(m->disks[0].count, 4);
	assert_entry(&m->disks[0].entries[0], MAP_SOURCE, 4096, 8192);
	assert_entry(&m->disks[0].entries[1], MAP_SOURCE, 12288, 4096);
	assert_entry(&m->disks[0].entries[2], MAP_SOURCE, 16384, 4096);
	assert_entry(&m->disks[0].entries[3], MAP_ZERO, 20480, 8192);
	assert_int_equal(m->disks[0].source_bytes, 16384);
}

static void literals_and_zeros_cut_ranges(void **state)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	struct map *m = new_map(a);
	const struct map_entry *e;

	(void)state;
	map_add_literal(m, 0, 0, "start", 5);
	map_add_literal(m, 0, 1000, "middle", 6);
	map_add_zero(m, 0, 2000, 3000);
	map_add_range(m, 0, 0, 2500, 0, 10000);
	map_add_range(m, 0, 2500, 500, 1, 0);
	map_add_range(m, 0, 4500, 1500, 1, 5000);
	map_add_literal(m, 0, 5999, "xy", 2);
	assert_int_equal(map_finish(m), 0);
	assert_int_equal(m->disks[0].count, 7);
	e = m->disks[0].entries;
	assert_entry(&e[0], MAP_LITERAL, 0, 5);
	assert_entry(&e[1], MAP_SOURCE, 5, 995);
	assert_int_equal(e[1].source_offset_bytes, 10005);
	assert_entry(&e[2], MAP_LITERAL, 1000, 6);
	assert_entry(&e[3], MAP_SOURCE, 1006, 994);
	assert_int_equal(e[3].source_offset_bytes, 11006);
	assert_entry(&e[4], MAP_ZERO, 2000, 3000);
	assert_entry(&e[5], MAP_SOURCE, 5000, 999);
	assert_int_equal(e[5].source_offset_bytes, 5500);
	assert_entry(&e[6], MAP_LITERAL, 5999, 2);
	assert_int_equal(m->disks[0].source_bytes, 5 + 995 + 6 + 994 + 999 + 2);
}

/* The same, by brute force: every byte of many random maps has the owner that the rule names. */
static void random_maps_equal_a_byte_by_byte_model(void **state)
{
	enum { SIZE = 96, ROUNDS = 3000 };
	unsigned seed = 1;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		CLEANUP_ARENA struct arena *a = arena_new();
		struct map *m = map_new(a, "");
		int low[SIZE], high[SIZE], got[SIZE];
		uint64_t end = 0;

		memset(low, -1, sizeof(low));
		memset(high, -1, sizeof(high));
		memset(got, -1, sizeof(got));
		map_add_source(m, "s", "s", 1000);
		map_add_disk(m, "d", SIZE);
		for (int i = 0; i < 12; i++) {
			unsigned at = rand_r(&seed) % SIZE, n = 1 + rand_r(&seed) % 16, from;
			bool is_high = rand_r(&seed) % 2, clash = at + n > SIZE;
			int *model = is_high ? high : low;

			from = rand_r(&seed) % 500;
			for (unsigned k = at; k < at + n && !clash; k++)
				clash = model[k] >= 0;
			if (clash)
				continue;
			for (unsigned k = at; k < at + n; k++)
				model[k] = is_high ? 1000 : (int)(from + k - at);
			if (is_high)
				map_add_zero(m, 0, at, n);
			else
				map_add_range(m, 0, at, n, 0, from);
		}
		assert_int_equal(map_finish(m), 0);
		for (size_t i = 0; i < m->disks[0].count; i++) {
			const struct map_entry *e = &m->disks[0].entries[i];

			assert_true(e->offset_bytes >= end);
			end = e->offset_bytes + e->length_bytes;
			for (uint64_t k = 0; k < e->length_bytes; k++)
				got[e->offset_bytes + k] =
					e->kind == MAP_ZERO ? 1000
							    : (int)(e->source_offset_bytes + k);
		}
		for (int k = 0; k < SIZE; k++)
			assert_int_equal(got[k], high[k] >= 0 ? high[k] : low[k]);
	}
}

static void assert_refused(struct map *m, const char *word)
{
	assert_int_equal(map_finish(m), -EINVAL);
	assert_string_equal(err_code(), "MAP_INVALID");
	assert_non_null(strstr(err_reason(), word));
}

static void overlaps_are_refused(void **state)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	struct map *m = new_map(a);

	(void)state;
	map_add_range(m, 0, 0, 4096, 0, 0);
	map_add_range(m, 0, 4095, 4096, 0, 8192);
	assert_refused(m, "overlap");
	m = new_map(a);
	map_add_zero(m, 0, 0, 4096);
	map_add_literal(m, 0, 4095, "x", 1);
	assert_refused(m, "overlap");
}

static void what_lies_outside_is_refused(void **state)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	struct map *m = new_map(a);

	(void)state;
	map_add_range(m, 0, 100 * MIB - 1, 2, 0, 0);
	assert_refused(m, "target");
	m = new_map(a);
	map_add_range(m, 0, 0, UINT64_MAX, 0, 0);
	assert_refused(m, "target");
	m = new_map(a);
	map_add_range(m, 0, 0, 2, 1, 10 * MIB - 1);
	assert_refused(m, "odd name");
	m = new_map(a);
	map_add_range(m, 0, 0, 2, 2, 0);
	assert_refused(m, "no source 2");
}

#define PATH_TEMPLATE "/tmp/test_map.XXXXXX"

static struct map *sample(struct arena *a)
{
	struct map *m = new_map(a);
	uint8_t literal[9000];

	for (size_t i = 0; i < sizeof(literal); i++)
		literal[i] = (uint8_t)(i * 7);
	map_add_disk(m, "", 5 * MIB);
	map_add_range(m, 0, 0, 50 * MIB, 0, 1 * MIB);
	map_add_literal(m, 0, 12345, literal, sizeof(literal));
	map_add_zero(m, 1, 1, 77);
	map_add_range(m, 1, 1000, 77, 1, 3);
	assert_int_equal(map_finish(m), 0);
	return m;
}

static void assert_same(const struct map *x, const struct map *y)
{
	assert_string_equal(x->plan_digest, y->plan_digest);
	assert_int_equal(x->source_count, y->source_count);
	for (size_t i = 0; i < x->source_count; i++) {
		assert_string_equal(x->sources[i].path, y->sources[i].path);
		assert_string_equal(x->sources[i].name, y->sources[i].name);
		assert_int_equal(x->sources[i].size_bytes, y->sources[i].size_bytes);
	}
	assert_int_equal(x->disk_count, y->disk_count);
	for (size_t i = 0; i < x->disk_count; i++) {
		const struct map_disk *p = &x->disks[i], *q = &y->disks[i];

		assert_string_equal(p->name, q->name);
		assert_int_equal(p->size_bytes, q->size_bytes);
		assert_int_equal(p->source_bytes, q->source_bytes);
		assert_int_equal(p->count, q->count);
		for (size_t k = 0; k < p->count; k++) {
			assert_entry(&p->entries[k], q->entries[k].kind, q->entries[k].offset_bytes,
				     q->entries[k].length_bytes);
			assert_int_equal(p->entries[k].source, q->entries[k].source);
			assert_int_equal(p->entries[k].source_offset_bytes,
					 q->entries[k].source_offset_bytes);
			if (p->entries[k].kind == MAP_LITERAL)
				assert_memory_equal(p->entries[k].literal, q->entries[k].literal,
						    p->entries[k].length_bytes);
		}
	}
}

static void a_written_map_reads_back_equal(void **state)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	char path[] = PATH_TEMPLATE;
	struct map *m = sample(a), *back = NULL;

	(void)state;
	close(mkstemp(path));
	assert_int_equal(map_write(m, path), 0);
	assert_int_equal(map_read(a, path, &back), 0);
	assert_same(m, back);
	unlink(path);
}

static void a_map_cut_anywhere_or_changed_is_refused(void **state)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_FREE char *text = NULL;
	char path[] = PATH_TEMPLATE;
	struct map *m = map_new(a, "aa"), *back = NULL;
	size_t bytes;

	(void)state;
	map_add_source(m, "s", "s", 100);
	map_add_disk(m, "d", 100);
	map_add_range(m, 0, 0, 10, 0, 10);
	map_add_literal(m, 0, 20, "ab", 2);
	assert_int_equal(map_finish(m), 0);
	close(mkstemp(path));
	assert_int_equal(map_write(m, path), 0);
	assert_int_equal(io_read_file(path, MIB, &text, &bytes), 0);
	for (size_t i = 0; i < bytes; i++) {
		CLEANUP_ARENA struct arena *scratch = arena_new();

		assert_int_equal(io_replace_file(path, text, i, 0600), 0);
		assert_int_equal(map_read(scratch, path, &back), -EINVAL);
		text[i] ^= 1;
		assert_int_equal(io_replace_file(path, text, bytes, 0600), 0);
		assert_int_equal(map_read(scratch, path, &back), -EINVAL);
		text[i] ^= 1;
	}
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_are_sorted_and_joined),
		cmocka_unit_test(literals_and_zeros_cut_ranges),
		cmocka_unit_test(random_maps_equal_a_byte_by_byte_model),
		cmocka_unit_test(overlaps_are_refused),
		cmocka_unit_test(what_lies_outside_is_refused),
		cmocka_unit_test(a_written_map_reads_back_equal),
		cmocka_unit_test(a_map_cut_anywhere_or_changed_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
