/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tables of a qcow2 of more than two refcount blocks, 4.5 GiB: what every cluster of the file
 * is said to be used by is counted once more from the other tables. The data are not kept.
 */
#include "unit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/num.h"
#include "image/layout.h"
#include "image/qcow2.h"
#include "wire/wire.h"

#define CLUSTER	   ((uint64_t)PACK_CLUSTER_BYTES)
#define DISK_BYTES (4600 * MIB)
#define PART_BYTES (64u << 20)

static uint8_t plain[PACK_CLUSTER_BYTES];

struct kept {
	int fd; /* the file, with holes where there are data */
	uint8_t *buffer;
	uint64_t bytes;
};

static uint8_t *room(void *ctx)
{
	return ((struct kept *)ctx)->buffer;
}

static int keep(void *ctx, const struct image_part *p)
{
	struct kept *k = ctx;

	for (size_t at = 0; at < p->bytes; at += CLUSTER) {
		size_t n = min_of((size_t)CLUSTER, p->bytes - at);

		if (memcmp(p->data + at, plain, n) != 0)
			assert_int_equal(
				pwrite(k->fd, p->data + at, n, (off_t)(p->offset_bytes + at)), n);
	}
	k->bytes = max_of(k->bytes, p->offset_bytes + p->bytes);
	return 0;
}

static uint64_t number(const struct kept *k, uint64_t at, size_t bytes)
{
	uint8_t raw[8];
	struct cursor c = cursor_of(raw, bytes);

	assert_int_equal(pread(k->fd, raw, bytes, (off_t)at), bytes);
	return cursor_be(&c, bytes);
}

static void use(uint16_t *counts, uint64_t offset, uint64_t bytes)
{
	for (uint64_t i = offset / CLUSTER; i <= (offset + bytes - 1) / CLUSTER; i++)
		counts[i]++;
}

/* Entries of an L2 table, and the table itself. */
static void use_l2(const struct kept *k, uint16_t *counts, uint64_t l2)
{
	use(counts, l2, CLUSTER);
	for (uint64_t i = 0; i < CLUSTER / 8; i++) {
		uint64_t entry = number(k, l2 + 8 * i, 8);
		uint64_t offset = entry & (((uint64_t)1 << 54) - 1);

		if (entry & QCOW2_COMPRESSED)
			use(counts, round_down(offset, 512),
			    ((entry >> 54 & 0xff) + 1) * QCOW2_SECTOR_BYTES);
		else if (entry)
			use(counts, entry & QCOW2_OFFSET, CLUSTER);
	}
}

static void count_again(const struct kept *k, uint16_t *counts, uint64_t *refs, uint64_t *blocks)
{
	uint64_t l1_entries = number(k, 36, 4), l1 = number(k, 40, 8);
	uint64_t refs_clusters = number(k, 56, 4);

	*refs = number(k, 48, 8);
	*blocks = 0;
	use(counts, 0, CLUSTER);
	use(counts, l1, l1_entries * 8);
	use(counts, *refs, refs_clusters * CLUSTER);
	for (uint64_t i = 0; i < refs_clusters * CLUSTER / 8; i++) {
		uint64_t block = number(k, *refs + 8 * i, 8);

		if (!block)
			break;
		assert_int_equal(block % CLUSTER, 0);
		use(counts, block, CLUSTER);
		++*blocks;
	}
	for (uint64_t i = 0; i < l1_entries; i++) {
		uint64_t entry = number(k, l1 + 8 * i, 8);

		assert_true(entry & QCOW2_COPIED);
		use_l2(k, counts, entry & QCOW2_OFFSET);
	}
}

/* One in eleven is compressed, to lengths that leave every remainder. */
static void feed(struct layout *l)
{
	for (uint64_t chunk = 0; chunk < DISK_BYTES / MIB; chunk++) {
		struct packed p = {.chunk = chunk, .count = 1};

		for (unsigned i = 0; i < PACK_CHUNK_CLUSTERS; i++) {
			uint64_t n = chunk * PACK_CHUNK_CLUSTERS + i;
			bool small = n % 11 == 0;

			p.clusters[i] = (struct packed_cluster){
				.kind = small ? PACKED_SMALL : PACKED_PLAIN,
				.data = plain,
				.bytes = small ? 1 + n * 37 % 60000 : CLUSTER};
		}
		assert_int_equal(layout_take(l, &p), 0);
	}
}

static void every_cluster_of_a_large_file_is_counted(void **state)
{
	const struct image_source s = {.name = "disk",
				       .disk_bytes = DISK_BYTES,
				       .image_bytes = DISK_BYTES,
				       .digest = wire_digest};
	const struct image_options o = {.level = 1, .part_bytes = PART_BYTES};
	struct kept k = {.fd = memfd_create("image", 0), .buffer = malloc(PART_BYTES)};
	const struct image_sink sink = {.ctx = &k, .buffer = room, .part = keep};
	struct image_result r;
	struct layout *l = NULL;
	uint64_t clusters, refs, blocks;
	uint16_t *counts;

	(void)state;
	memset(plain, 0xa5, sizeof(plain));
	assert_int_equal(layout_new(&s, &o, &sink, &l), 0);
	feed(l);
	assert_int_equal(layout_finish(l, &r), 0);
	assert_int_equal(r.file_bytes, k.bytes);
	clusters = div_up(k.bytes, CLUSTER);
	counts = calloc(clusters + 1, sizeof(*counts));
	count_again(&k, counts, &refs, &blocks);
	assert_int_equal(blocks, 3);
	for (uint64_t i = 0; i < blocks * CLUSTER / 2; i++) {
		uint64_t block = number(&k, refs + 8 * (i / (CLUSTER / 2)), 8);
		uint64_t said = number(&k, block + 2 * (i % (CLUSTER / 2)), 2);

		if (said != (i < clusters ? counts[i] : 0))
			fail_msg("cluster %llu is used by %u, and said to be by %llu",
				 (unsigned long long)i, i < clusters ? counts[i] : 0,
				 (unsigned long long)said);
	}
	layout_free(l);
	free(counts);
	free(k.buffer);
	close(k.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cluster_of_a_large_file_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
