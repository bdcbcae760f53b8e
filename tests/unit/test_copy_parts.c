/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parts of the copy engine, each by itself: what is to be done next, reading by a map, packing,
 * queues and the memory budget.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "unit.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "copy/private.h"

/* ---- a source whose byte at offset n is known, with bad sectors ---- */

struct fake {
	uint64_t bad_from, bad_to;
	unsigned reads;
};

static uint8_t byte_at(uint64_t offset_bytes)
{
	return (uint8_t)(1 + (offset_bytes * 2654435761u >> 13) % 255);
}

static ssize_t fake_read(void *ctx, unsigned source, void *buf, size_t bytes, uint64_t offset_bytes)
{
	struct fake *f = ctx;

	(void)source;
	f->reads++;
	if (offset_bytes < f->bad_to && offset_bytes + bytes > f->bad_from) {
		errno = EIO;
		return -1;
	}
	for (size_t i = 0; i < bytes; i++)
		((uint8_t *)buf)[i] = byte_at(offset_bytes + i);
	return (ssize_t)bytes;
}

struct bed {
	struct arena *arena;
	struct map *map;
	struct fake fake;
	struct source source;
	struct sources sources;
	struct disk_state state;
	struct cursor_run cursor;
	struct item item;
};

/* A disk of `mib` MiB and a half sector less, to have a short last chunk. */
static struct bed *new_bed(unsigned mib)
{
	struct bed *b = calloc(1, sizeof(*b));

	b->arena = arena_new();
	b->map = map_new(b->arena, "");
	map_add_source(b->map, "/dev/null", "sda", 1000 * MIB);
	map_add_disk(b->map, "sda", mib * MIB - 256);
	b->source = (struct source){.spec = b->map->sources, .fd = -1, .sector_bytes = 512};
	b->sources = (struct sources){
		.list = &b->source, .count = 1, .read = fake_read, .read_ctx = &b->fake};
	guards_init(&b->sources.guards, 60000);
	b->item.data = aligned_alloc(4096, WIRE_CHUNK_BYTES);
	return b;
}

static void start(struct bed *b)
{
	assert_int_equal(map_finish(b->map), 0);
	b->state.map = b->map->disks;
	b->state.target_bytes = b->map->disks[0].size_bytes;
	b->state.chunks = div_up(b->state.target_bytes, WIRE_CHUNK_BYTES);
	b->state.flags = calloc(b->state.chunks, 1);
	b->state.digest_bytes = WIRE_DIGEST_BYTES;
	b->state.digests = calloc(b->state.chunks, WIRE_DIGEST_BYTES);
	b->cursor = (struct cursor_run){.disk = &b->state, .sources = &b->sources};
	pthread_mutex_init(&b->cursor.lock, NULL);
}

static void free_bed(struct bed *b)
{
	guards_fini(&b->sources.guards);
	free(b->state.flags);
	free(b->state.digests);
	free(b->item.data);
	arena_free(b->arena);
	free(b);
}

static void expect_next(struct bed *b, enum item_kind kind, uint64_t chunk, uint64_t count)
{
	assert_true(cursor_next(&b->cursor, &b->item));
	assert_int_equal(b->item.kind, kind);
	assert_int_equal(b->item.chunk, chunk);
	assert_int_equal(b->item.count, count);
}

/* ---- the cursor ---- */

static void what_nothing_covers_is_told_as_zero_in_large_ranges(void **state)
{
	struct bed *b = new_bed(3000);

	(void)state;
	map_add_range(b->map, 0, 2 * MIB + 5, 10, 0, 0);
	map_add_zero(b->map, 0, 7 * MIB, MIB);
	start(b);
	expect_next(b, ITEM_ZERO, 0, 2);
	expect_next(b, ITEM_CHUNK, 2, 1);
	assert_int_equal(b->item.map_bytes, 10);
	expect_next(b, ITEM_ZERO, 3, 1024);
	expect_next(b, ITEM_ZERO, 1027, 1024);
	expect_next(b, ITEM_ZERO, 2051, 949);
	assert_false(cursor_next(&b->cursor, &b->item));
	assert_int_equal(b->fake.reads, 0);
	free_bed(b);
}

static void what_is_done_is_skipped_and_what_is_known_is_kept(void **state)
{
	struct bed *b = new_bed(8);

	(void)state;
	map_add_range(b->map, 0, 0, 4 * MIB, 0, 0);
	start(b);
	b->state.flags[0] = CHUNK_KNOWN | CHUNK_DATA | CHUNK_DONE;
	b->state.flags[1] = CHUNK_KNOWN | CHUNK_DATA;
	b->state.flags[2] = CHUNK_DONE | CHUNK_KNOWN | CHUNK_OURS;
	b->state.flags[5] = CHUNK_KNOWN;
	b->state.flags[6] = CHUNK_KNOWN | CHUNK_DATA;
	expect_next(b, ITEM_CHUNK, 1, 1);
	expect_next(b, ITEM_CHUNK, 3, 1);
	expect_next(b, ITEM_ZERO, 4, 1);
	expect_next(b, ITEM_KEEP, 5, 1);
	expect_next(b, ITEM_ZERO, 6, 2);
	assert_false(cursor_next(&b->cursor, &b->item));
	assert_int_equal(b->cursor.skipped_chunks, 1);
	assert_int_equal(b->cursor.skipped_bytes, MIB);
	assert_int_equal(b->cursor.ours_bytes, MIB);
	free_bed(b);
}

static void the_last_chunk_may_be_short(void **state)
{
	struct bed *b = new_bed(2);

	(void)state;
	map_add_range(b->map, 0, 0, 2 * MIB - 256, 0, 0);
	start(b);
	expect_next(b, ITEM_CHUNK, 0, 1);
	assert_int_equal(b->item.bytes, MIB);
	expect_next(b, ITEM_CHUNK, 1, 1);
	assert_int_equal(b->item.bytes, MIB - 256);
	assert_int_equal(b->item.map_bytes, MIB - 256);
	free_bed(b);
}

static void holes_of_a_file_are_not_read(void **state)
{
	struct bed *b = new_bed(8);
	char path[] = "/tmp/test_copy.XXXXXX";

	(void)state;
	b->source.fd = mkstemp(path);
	unlink(path);
	b->source.regular = true;
	b->sources.read = NULL;
	b->map->sources[0].size_bytes = 8 * MIB;
	assert_int_equal(ftruncate(b->source.fd, 8 * (off_t)MIB), 0);
	assert_int_equal(pwrite(b->source.fd, "x", 1, 3 * (off_t)MIB + 70000), 1);
	map_add_range(b->map, 0, 0, 8 * MIB - 256, 0, 0);
	start(b);
	expect_next(b, ITEM_ZERO, 0, 3);
	assert_int_equal(b->item.map_bytes, 3 * MIB);
	expect_next(b, ITEM_CHUNK, 3, 1);
	expect_next(b, ITEM_ZERO, 4, 4);
	/* A file that is shorter than the map says is no hole: reading it has to fail. */
	assert_int_equal(ftruncate(b->source.fd, 6 * (off_t)MIB), 0);
	b->source.hole_from = b->source.hole_to = 0;
	b->cursor.chunk = 5;
	expect_next(b, ITEM_CHUNK, 5, 1);
	close(b->source.fd);
	free_bed(b);
}

/* ---- reading ---- */

static void a_chunk_is_put_together_from_all_its_entries(void **state)
{
	struct bed *b = new_bed(4);
	uint8_t *want = calloc(1, MIB);
	uint64_t read_bytes = 0;

	(void)state;
	memset(b->item.data, 0xaa, MIB);
	map_add_range(b->map, 0, MIB - 5000, 10000, 0, 77);		 /* over the start */
	map_add_range(b->map, 0, MIB + 9000, 1000, 0, 77 + 5000 + 9000); /* small gap: read over */
	map_add_range(b->map, 0, MIB + 20000, 500, 0, 123456);		 /* elsewhere */
	map_add_literal(b->map, 0, MIB + 3000, "literal", 7);
	map_add_zero(b->map, 0, MIB + 3500, 100);
	map_add_range(b->map, 0, 2 * MIB - 100, 200, 0, 500000); /* over the end */
	for (size_t i = 0; i < 5000; i++)
		want[i] = byte_at(77 + 5000 + i);
	for (size_t i = 9000; i < 10000; i++)
		want[i] = byte_at(77 + 5000 + i);
	for (size_t i = 0; i < 500; i++)
		want[20000 + i] = byte_at(123456 + i);
	for (size_t i = 0; i < 100; i++)
		want[MIB - 100 + i] = byte_at(500000 + i);
	memcpy(want + 3000, "literal", 7);
	memset(want + 3500, 0, 100);
	start(b);
	expect_next(b, ITEM_CHUNK, 0, 1);
	expect_next(b, ITEM_CHUNK, 1, 1);
	assert_int_equal(source_read_item(&b->sources, b->state.map, &b->item, &read_bytes), 0);
	assert_memory_equal(b->item.data, want, MIB);
	free(want);
	free_bed(b);
}

static void a_bad_sector_in_a_gap_does_no_harm(void **state)
{
	struct bed *b = new_bed(4);
	uint64_t read_bytes = 0;

	(void)state;
	map_add_range(b->map, 0, 0, 4096, 0, 0);
	map_add_range(b->map, 0, 8192, 4096, 0, 8192);
	start(b);
	b->fake.bad_from = 5000;
	b->fake.bad_to = 6000;
	expect_next(b, ITEM_CHUNK, 0, 1);
	assert_int_equal(source_read_item(&b->sources, b->state.map, &b->item, &read_bytes), 0);
	assert_int_equal(b->item.data[8191], 0);
	assert_int_equal(b->item.data[8192], byte_at(8192));
	free_bed(b);
}

/* ---- packing ---- */

static void pack_one(struct packer *p, struct item *item, unsigned compression)
{
	pack_scan(item, WIRE_DIGEST_XXH3_128);
	pack_compress(p, item, compression);
}

static struct packer new_packer(void)
{
	struct packer p;

	assert_int_equal(pack_init(&p, pack_context_bytes(COPY_COMPRESSION_MAX)), 0);
	return p;
}

static void fill_text(uint8_t *data, size_t bytes)
{
	unsigned seed = 7;

	for (size_t i = 0; i < bytes; i++)
		data[i] = rand_r(&seed) % 4 ? (uint8_t)("lorem ipsum dolor sit amet "[i % 27])
					    : (uint8_t)('a' + rand_r(&seed) % 26);
}

static void a_packed_chunk_unpacks_to_its_set_blocks(void **state)
{
	struct bed *b = new_bed(4);
	struct packer p = new_packer();
	uint8_t *plain = malloc(MIB), *out = malloc(MIB), digest[WIRE_DIGEST_MAX];

	(void)state;
	for (unsigned compression = 0; compression <= COPY_COMPRESSION_MAX; compression++) {
		fill_text(b->item.data, MIB);
		memset(b->item.data + 40960, 0, 81920);
		memcpy(plain, b->item.data, MIB);
		wire_digest(plain, MIB, digest);
		b->item.kind = ITEM_CHUNK;
		b->item.bytes = MIB;
		b->item.map_bytes = MIB;
		pack_one(&p, &b->item, compression);
		assert_int_equal(b->item.kind, ITEM_CHUNK);
		assert_int_equal(b->item.plain_bytes, MIB - 81920);
		assert_int_equal(b->item.zero_bytes, 81920);
		assert_memory_equal(b->item.wire.digest, digest, sizeof(digest));
		assert_int_equal(b->item.wire.codec,
				 compression ? WIRE_CODEC_ZSTD : WIRE_CODEC_PLAIN);
		if (!compression) {
			assert_memory_equal(b->item.wire.data, plain, MIB);
			continue;
		}
		assert_int_equal(
			ZSTD_getFrameContentSize(b->item.wire.data, b->item.wire.data_bytes),
			MIB - 81920);
		assert_int_equal(
			ZSTD_decompress(out, MIB, b->item.wire.data, b->item.wire.data_bytes),
			MIB - 81920);
		assert_memory_equal(out, plain, 40960);
		assert_memory_equal(out + 40960, plain + 40960 + 81920, MIB - 40960 - 81920);
	}
	free(plain);
	free(out);
	pack_fini(&p);
	free_bed(b);
}

/* Chunks of a stream, through the other end's decoder. */
static void a_stream_unpacks_in_order_and_remembers(void **state)
{
	struct bed *b = new_bed(4);
	size_t bytes = pack_stream_bytes(COPY_COMPRESSION_MAX, 22), alone = 0, again = 0;
	struct packer p;
	uint8_t *plain = malloc(MIB), *out = malloc(MIB);
	ZSTD_DCtx *d = ZSTD_createDCtx();

	(void)state;
	assert_int_equal(pack_init(&p, max_of(bytes, pack_context_bytes(COPY_COMPRESSION_MAX))), 0);
	pack_use_stream(&p, 3, 22);
	for (unsigned i = 0; i < 24; i++) {
		/* Steps change on the way, and something that does not shrink comes between. */
		unsigned step = i < 12 ? 7 : i < 16 ? 4 : 10;
		bool packed = i % 5 == 4;
		ZSTD_inBuffer in;
		ZSTD_outBuffer to = {out, MIB, 0};

		if (packed)
			wire_random(b->item.data, MIB);
		else
			fill_text(b->item.data, MIB);
		memcpy(plain, b->item.data, MIB);
		b->item.kind = ITEM_CHUNK;
		b->item.bytes = MIB;
		pack_one(&p, &b->item, step);
		if (packed || step == 4) {
			assert_int_equal(b->item.wire.codec,
					 packed ? WIRE_CODEC_PLAIN : WIRE_CODEC_ZSTD);
			assert_int_equal(b->item.lane, -1);
			continue;
		}
		assert_int_equal(b->item.wire.codec, WIRE_CODEC_STREAM);
		assert_int_equal(b->item.lane, 3);
		assert_int_equal(b->item.wire.begins, i == 0 || i == 16);
		if (b->item.wire.begins)
			ZSTD_DCtx_reset(d, ZSTD_reset_session_only);
		in = (ZSTD_inBuffer){b->item.wire.data, b->item.wire.data_bytes, 0};
		while (in.pos < in.size)
			assert_false(ZSTD_isError(ZSTD_decompressStream(d, &to, &in)));
		assert_int_equal(to.pos, MIB);
		assert_memory_equal(out, plain, MIB);
		alone += i == 0 ? b->item.wire.data_bytes : 0;
		again += i == 1 ? b->item.wire.data_bytes : 0;
	}
	assert_true(again < alone / 100);
	ZSTD_freeDCtx(d);
	free(plain);
	free(out);
	pack_fini(&p);
	free_bed(b);
}

/* The next round may have fewer connections, and none left for this worker's stream. */
static void chunks_after_a_stream_say_their_size_again(void **state)
{
	struct bed *b = new_bed(4);
	size_t bytes = pack_stream_bytes(7, 22);
	struct packer p;

	(void)state;
	assert_int_equal(pack_init(&p, max_of(bytes, pack_context_bytes(7))), 0);
	for (unsigned i = 0; i < 4; i++) {
		pack_use_stream(&p, i % 2 ? -1 : 3, i % 2 ? 0 : 22);
		fill_text(b->item.data, MIB);
		b->item.kind = ITEM_CHUNK;
		b->item.bytes = MIB;
		pack_one(&p, &b->item, 7);
		assert_int_equal(b->item.wire.codec, i % 2 ? WIRE_CODEC_ZSTD : WIRE_CODEC_STREAM);
		if (i % 2)
			assert_int_equal(ZSTD_getFrameContentSize(b->item.wire.data,
								  b->item.wire.data_bytes),
					 MIB);
	}
	pack_fini(&p);
	free_bed(b);
}

/* The receiver has the chunk with other blocks 3 and 200; its marks tell which. */
static void make_patch(struct item *item, const uint8_t *plain, size_t mark_bytes)
{
	memcpy(item->data, plain, MIB);
	for (unsigned i = 0; i < 2; i++)
		memset(item->data + (i ? 200 : 3) * WIRE_BLOCK_BYTES + 5, 'x', 9);
	wire_chunk_marks(item->data, MIB, mark_bytes, item->marks);
	memcpy(item->data, plain, MIB);
	item->kind = ITEM_CHUNK;
	item->bytes = MIB;
	pack_scan(item, WIRE_DIGEST_XXH3_128);
	pack_patch(item, mark_bytes);
}

static void a_patch_is_packed_with_what_is_around_it(void **state)
{
	struct bed *b = new_bed(4);
	struct packer p = new_packer();
	uint8_t *plain = malloc(MIB), *around = malloc(MIB), out[2 * WIRE_BLOCK_BYTES];
	ZSTD_DCtx *d = ZSTD_createDCtx();
	size_t bytes;

	(void)state;
	assert_int_equal(pack_near_init(&p, pack_near_bytes(COPY_COMPRESSION_MAX)), 0);
	/* No block repeats in itself; each is there again four blocks on. */
	wire_random(plain, MIB);
	for (size_t at = 0; at < MIB; at++)
		plain[at] = at < 16384 ? plain[at] & 63 : plain[at - 16384];
	for (unsigned i = 0; i < 6; i++) {
		bool near = i >= 3;
		const uint8_t *packed;

		p.near_ok = i != 1 && i != 2;
		make_patch(&b->item, plain, i % 2 ? WIRE_MARK_BYTES : WIRE_MARK_TO_PATCH_BYTES);
		assert_true(b->item.wire.patch);
		assert_int_equal(b->item.plain_bytes, sizeof(out));
		assert_int_equal(b->item.wire.bitmap[0], 1 << 3);
		assert_int_equal(b->item.wire.bitmap[25], 1);
		pack_compress(&p, &b->item, i == 0 ? 6 : 7);
		assert_int_equal(b->item.wire.codec, near ? WIRE_CODEC_NEAR : WIRE_CODEC_ZSTD);
		assert_true(near ? b->item.wire.data_bytes < 200 : b->item.wire.data_bytes > 6000);
		if (!near)
			continue;
		packed = b->item.wire.data;
		bytes = wire_chunk_near(plain, MIB, b->item.wire.bitmap, around);
		assert_int_equal(bytes, (3 + 4 + 8) * WIRE_BLOCK_BYTES);
		ZSTD_DCtx_refPrefix(d, around, bytes);
		assert_int_equal(
			ZSTD_decompressDCtx(d, out, sizeof(out), packed, b->item.wire.data_bytes),
			sizeof(out));
		assert_memory_equal(out, plain + 3 * WIRE_BLOCK_BYTES, WIRE_BLOCK_BYTES);
		assert_memory_equal(out + WIRE_BLOCK_BYTES, plain + 200 * WIRE_BLOCK_BYTES,
				    WIRE_BLOCK_BYTES);
	}
	ZSTD_freeDCtx(d);
	free(plain);
	free(around);
	pack_fini(&p);
	free_bed(b);
}

static void what_does_not_shrink_is_sent_plain(void **state)
{
	struct bed *b = new_bed(4);
	struct packer p = new_packer();

	(void)state;
	wire_random(b->item.data, MIB);
	b->item.kind = ITEM_CHUNK;
	b->item.bytes = MIB;
	pack_one(&p, &b->item, 10);
	assert_int_equal(b->item.wire.codec, WIRE_CODEC_PLAIN);
	assert_int_equal(b->item.wire.data_bytes, MIB);
	assert_ptr_equal(b->item.wire.data, b->item.data);
	pack_fini(&p);
	free_bed(b);
}

static void a_chunk_of_zeros_becomes_a_zero_range(void **state)
{
	struct bed *b = new_bed(4);
	struct packer p = new_packer();

	(void)state;
	memset(b->item.data, 0, MIB);
	b->item.kind = ITEM_CHUNK;
	b->item.bytes = MIB - 256;
	b->item.map_bytes = 4096;
	pack_one(&p, &b->item, 7);
	assert_int_equal(b->item.kind, ITEM_ZERO);
	assert_int_equal(b->item.zero_bytes, 4096);
	pack_fini(&p);
	free_bed(b);
}

static void each_step_of_compression_sends_no_more_than_the_one_before(void **state)
{
	struct bed *b = new_bed(4);
	struct packer p = new_packer();
	CLEANUP_FREE char *text = NULL;
	size_t bytes = 0, before = SIZE_MAX;

	(void)state;
	/* Real machine code: this very program. */
	assert_int_equal(io_read_file("/proc/self/exe", 64 * MIB, &text, &bytes), 0);
	for (unsigned compression = 0; compression <= COPY_COMPRESSION_MAX; compression++) {
		size_t sent = 0;

		for (size_t at = 0; at < bytes; at += MIB) {
			b->item.bytes = (uint32_t)min_of(bytes - at, MIB);
			b->item.kind = ITEM_CHUNK;
			memcpy(b->item.data, text + at, b->item.bytes);
			pack_one(&p, &b->item, compression);
			if (b->item.kind == ITEM_ZERO)
				continue;
			sent += b->item.wire.codec == WIRE_CODEC_ZSTD ? b->item.wire.data_bytes
								      : b->item.plain_bytes;
		}
		assert_true(sent < before);
		before = sent;
	}
	pack_fini(&p);
	free_bed(b);
}

/* ---- queues and budget ---- */

static void ranges_that_continue_each_other_are_joined(void **state)
{
	struct queue q;
	struct item a = {.kind = ITEM_ZERO, .chunk = 5, .count = 2, .map_bytes = 7};
	struct item b = {.kind = ITEM_ZERO, .chunk = 7, .count = 3, .map_bytes = 5};
	struct item c = {.kind = ITEM_KEEP, .chunk = 10, .count = 1};
	struct item d = {.kind = ITEM_CHUNK, .chunk = 11, .count = 1};
	struct item e = {.kind = ITEM_CHUNK, .chunk = 12, .count = 1};
	struct item f = {.kind = ITEM_ZERO, .chunk = 13, .count = 1024};
	struct item g = {.kind = ITEM_ZERO, .chunk = 13 + 1024, .count = 1};

	(void)state;
	queue_init(&q);
	assert_null(queue_push_joined(&q, &a));
	assert_ptr_equal(queue_push_joined(&q, &b), &b);
	assert_null(queue_push_joined(&q, &c));
	assert_null(queue_push_joined(&q, &d));
	assert_null(queue_push_joined(&q, &e));
	assert_null(queue_push_joined(&q, &f));
	assert_null(queue_push_joined(&q, &g));
	assert_int_equal(queue_count(&q), 6);
	assert_ptr_equal(queue_pop(&q, 0), &a);
	assert_int_equal(a.count, 5);
	assert_int_equal(a.map_bytes, 12);
	queue_close(&q);
	for (int i = 0; i < 5; i++)
		assert_non_null(queue_pop(&q, -1));
	assert_null(queue_pop(&q, -1));
	assert_true(queue_ended(&q));
	queue_fini(&q);
}

static void an_empty_queue_gives_up_in_time(void **state)
{
	struct queue q;

	(void)state;
	queue_init(&q);
	assert_null(queue_pop(&q, 0));
	assert_null(queue_pop(&q, 10));
	assert_false(queue_ended(&q));
	queue_fini(&q);
}

static void adaptive_compression_moves_by_what_waits(void **state)
{
	static const struct budget b = {.items = 40, .compression_max = 10};

	(void)state;
	/* The senders have more than they get rid of. */
	assert_int_equal(adapted_step(&b, 0, 0, 21), 1);
	assert_int_equal(adapted_step(&b, 9, 40, 21), 10);
	assert_int_equal(adapted_step(&b, 10, 0, 40), 10);
	/* They starve while the workers do not. */
	assert_int_equal(adapted_step(&b, 10, 11, 1), 9);
	assert_int_equal(adapted_step(&b, 1, 11, 0), 0);
	assert_int_equal(adapted_step(&b, 0, 40, 0), 0);
	/* Neither, or both starve: the source is the limit. */
	assert_int_equal(adapted_step(&b, 5, 20, 20), 5);
	assert_int_equal(adapted_step(&b, 5, 11, 2), 5);
	assert_int_equal(adapted_step(&b, 5, 0, 0), 5);
}

static void the_budget_is_kept_at_every_setting(void **state)
{
	struct copy_options o = {0};
	struct budget b;

	(void)state;
	for (uint64_t mib = 12; mib <= 80; mib++) {
		for (o.compression = 0; o.compression <= 7; o.compression++) {
			for (o.workers = 1; o.workers < 64; o.workers *= 2) {
				o.memory_bytes = mib * MIB;
				assert_int_equal(budget_make(&o, &b), 0);
				assert_true(b.total_bytes <= o.memory_bytes);
				assert_true(b.items >= 6 && b.workers >= 1);
			}
		}
	}
	o = (struct copy_options){.compression = 7, .adaptive = true, .memory_bytes = 16 * MIB};
	assert_int_equal(budget_make(&o, &b), 0);
	assert_true(b.compression_max >= 7 && b.total_bytes <= 16 * MIB);
	o = (struct copy_options){.compression = 10, .memory_bytes = 8 * MIB};
	assert_int_equal(budget_make(&o, &b), -ENOMEM);
	assert_string_equal(err_code(), "COPY_NO_MEMORY");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_nothing_covers_is_told_as_zero_in_large_ranges),
		cmocka_unit_test(what_is_done_is_skipped_and_what_is_known_is_kept),
		cmocka_unit_test(the_last_chunk_may_be_short),
		cmocka_unit_test(holes_of_a_file_are_not_read),
		cmocka_unit_test(a_chunk_is_put_together_from_all_its_entries),
		cmocka_unit_test(a_bad_sector_in_a_gap_does_no_harm),
		cmocka_unit_test(a_packed_chunk_unpacks_to_its_set_blocks),
		cmocka_unit_test(a_stream_unpacks_in_order_and_remembers),
		cmocka_unit_test(chunks_after_a_stream_say_their_size_again),
		cmocka_unit_test(a_patch_is_packed_with_what_is_around_it),
		cmocka_unit_test(what_does_not_shrink_is_sent_plain),
		cmocka_unit_test(a_chunk_of_zeros_becomes_a_zero_range),
		cmocka_unit_test(each_step_of_compression_sends_no_more_than_the_one_before),
		cmocka_unit_test(ranges_that_continue_each_other_are_joined),
		cmocka_unit_test(an_empty_queue_gives_up_in_time),
		cmocka_unit_test(adaptive_compression_moves_by_what_waits),
		cmocka_unit_test(the_budget_is_kept_at_every_setting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
