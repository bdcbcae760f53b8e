/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Verification against a receiver in this process: what is right, what is flipped on its disk and
 * mended, what stays wrong; then files and leaves that are proved without it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "receiver_fixture.h"

#include "base/hash.h"
#include "base/io.h"
#include "base/log.h"
#include "base/num.h"
#include "verify/verify.h"

#define DISK_BYTES (16 * MIB + 512)

struct bed {
	struct fixture fixture;
	struct arena *arena;
	struct map *map;
	struct copy_target target;
	char export_name[WIRE_EXPORT_MAX], source[96], copy[128];
	struct copy_options options;
	struct copy_result copied;
	struct verify_options v;
	struct verify_result result;
	struct disk_region region;
	struct disk_region_piece piece;
	struct disk_layout layout;
	uint8_t *bytes;
};

/* A file system at 1 MiB when there is one, else random bytes with zeros among them. */
static int set_up(void **state)
{
	struct bed *b = calloc(1, sizeof(*b));
	const uint64_t sizes[] = {DISK_BYTES, 0};

	fixture_new(&b->fixture);
	assert_int_equal(fixture_plan(&b->fixture, sizes), 0);
	snprintf(b->source, sizeof(b->source), "%s/source", b->fixture.dir);
	snprintf(b->copy, sizeof(b->copy), "%s/disk0.raw", b->fixture.files);
	b->bytes = calloc(1, DISK_BYTES);
	wire_random(b->bytes, 9 * MIB);
	memset(b->bytes + 3 * MIB, 0, 2 * MIB);
	wire_random(b->bytes + 16 * MIB, 512);
	assert_int_equal(io_replace_file(b->source, b->bytes, DISK_BYTES, 0600), 0);
	b->arena = arena_new();
	b->map = map_new(b->arena, "plan");
	map_add_source(b->map, b->source, "sda", DISK_BYTES);
	map_add_disk(b->map, "sda", DISK_BYTES);
	map_add_range(b->map, 0, 0, DISK_BYTES, 0, 0);
	assert_int_equal(map_finish(b->map), 0);
	wire_export_name(b->fixture.activation.token, 0, b->export_name);
	b->target = (struct copy_target){.host = b->fixture.activation.host,
					 .port = b->fixture.activation.data_port,
					 .export_name = b->export_name,
					 .pin = b->fixture.activation.pin};
	b->options = (struct copy_options){
		.map = b->map, .targets = &b->target, .memory_bytes = 16 * MIB};
	memset(b->options.run_id, 7, sizeof(b->options.run_id));
	b->region = (struct disk_region){
		.name = "sda1", .path = b->source, .pieces = &b->piece, .piece_count = 1};
	b->layout = (struct disk_layout){.list = &b->region, .count = 1};
	b->v = (struct verify_options){.copy = &b->options, .copied = &b->copied};
	*state = b;
	return 0;
}

static int set_up_sha256(void **state)
{
	int rc = set_up(state);
	struct bed *b = *state;

	b->options.digest = b->fixture.digest = WIRE_DIGEST_SHA256;
	return rc;
}

static int tear_down(void **state)
{
	struct bed *b = *state;

	if (b->result.arena)
		verify_result_fini(&b->result);
	copy_result_fini(&b->copied);
	fixture_free(&b->fixture);
	arena_free(b->arena);
	free(b->bytes);
	free(b);
	return 0;
}

static void copy(struct bed *b)
{
	copy_result_fini(&b->copied);
	if (copy_run(&b->options, &b->copied) < 0)
		give_up("%s: %s", err_code(), err_reason());
}

static int verify(struct bed *b)
{
	int rc;

	if (b->result.arena)
		verify_result_fini(&b->result);
	rc = verify_run(&b->v, &b->result);
	if (rc < 0)
		print_message("%s: %s\n", err_code(), err_reason());
	return rc;
}

static void flip(const char *path, uint64_t byte)
{
	CLEANUP_CLOSE int fd = open(path, O_RDWR);
	uint8_t value;

	assert_int_equal(pread(fd, &value, 1, (off_t)byte), 1);
	value ^= 4;
	assert_int_equal(pwrite(fd, &value, 1, (off_t)byte), 1);
}

static void assert_equal(struct bed *b)
{
	const char *const argv[] = {"cmp", b->source, b->copy, NULL};

	assert_int_equal(run_check(argv, 60000), 0);
}

static void root_by_hand(enum wire_digest_kind kind, const uint8_t *bytes, uint64_t size,
			 uint64_t from, uint64_t chunks, uint8_t *root)
{
	uint8_t both[65] = {1}, leaf[33] = {0}, digest[WIRE_DIGEST_MAX];
	uint64_t half = 1;

	if (chunks == 1) {
		wire_digest_of(kind)(bytes + from * MIB, min_of(MIB, size - from * MIB), digest);
		memcpy(leaf + 1, digest, sizeof(digest));
		hash_sha256(leaf, kind == WIRE_DIGEST_SHA256 ? 33 : 17, root);
		return;
	}
	while (half * 2 < chunks)
		half *= 2;
	root_by_hand(kind, bytes, size, from, half, both + 1);
	root_by_hand(kind, bytes, size, from + half, chunks - half, both + 33);
	hash_sha256(both, sizeof(both), root);
}

static void what_arrived_verifies_and_has_the_root_of_its_bytes(void **state)
{
	struct bed *b = *state;
	uint8_t root[32];

	copy(b);
	assert_int_equal(verify(b), 0);
	assert_int_equal(b->result.disks[0].chunks, 17);
	assert_int_equal(b->result.disks[0].data_chunks, 8);
	assert_int_equal(b->result.disks[0].compared_chunks, 17);
	root_by_hand(b->result.digest, b->bytes, DISK_BYTES, 0, 17, root);
	assert_memory_equal(b->result.disks[0].root, root, 32);
}

/* A migrator that was started again has not read what its earlier life has sent. */
static void what_an_earlier_life_read_is_counted_as_such(void **state)
{
	struct bed *b = *state;

	copy(b);
	copy(b);
	assert_int_equal(verify(b), 0);
	assert_int_equal(b->result.disks[0].compared_chunks, 0);
	b->options.run_id[0]++; /* a new run reads everything */
	copy(b);
	assert_int_equal(verify(b), 0);
	assert_int_equal(b->result.disks[0].compared_chunks, 17);
}

static void a_flipped_bit_is_found_and_mended(void **state)
{
	struct bed *b = *state;

	copy(b);
	flip(b->copy, 7 * MIB + 12345);
	flip(b->copy, 12 * MIB); /* where zeros were */
	assert_int_equal(verify(b), 0);
	assert_int_equal(b->result.disks[0].bad_count, 2);
	assert_int_equal(b->result.disks[0].mended_chunks, 2);
	assert_int_equal(b->result.disks[0].bad[0].chunk, 7);
	assert_int_equal(b->result.disks[0].bad[0].fault, VERIFY_DIFFERS);
	assert_int_equal(b->result.disks[0].bad[0].differs.count, 1);
	assert_int_equal(b->result.disks[0].bad[0].differs.list[0].offset_bytes, 7 * MIB + 12288);
	assert_int_equal(b->result.disks[0].bad[0].differs.total_bytes, 4096);
	assert_equal(b);
	assert_int_equal(verify(b), 0);
	assert_int_equal(b->result.disks[0].bad_count, 0);
}

static void the_file_that_a_flipped_bit_hits_is_named(void **state)
{
	struct bed *b = *state;
	char dir[128], path[160];
	const char *const mkfs[] = {"mke2fs", "-q", "-F", "-t", "ext4", "-d", dir, b->source, NULL};
	const char *const mkdir[] = {"mkdir", "-p", dir, NULL};
	uint8_t *at;
	size_t n;

	snprintf(dir, sizeof(dir), "%s/tree/etc", b->fixture.dir);
	assert_int_equal(run_check(mkdir, 60000), 0);
	snprintf(path, sizeof(path), "%s/secret", dir);
	memset(b->bytes, 'x', 2 * MIB);
	memcpy(b->bytes + 1500000, "the very place", 14);
	assert_int_equal(io_replace_file(path, b->bytes, 2 * MIB, 0600), 0);
	snprintf(dir, sizeof(dir), "%s/tree", b->fixture.dir);
	if (run_check(mkfs, 60000) < 0)
		give_up("%s", err_reason());
	free(b->bytes);
	assert_int_equal(io_read_file(b->source, 64 * MIB, (char **)&b->bytes, &n), 0);
	at = memmem(b->bytes, n, "the very place", 14);
	assert_non_null(at);
	b->region.content = DISK_CONTENT_EXT;
	b->region.length_bytes = b->piece.length_bytes = n;
	b->v.layout = &b->layout;
	copy(b);
	flip(b->copy, (uint64_t)(at - b->bytes));
	assert_int_equal(verify(b), 0);
	assert_int_equal(b->result.disks[0].bad_count, 1);
	assert_non_null(b->result.disks[0].bad[0].places);
	assert_non_null(strstr(b->result.disks[0].bad[0].places[0], "sda1: file /etc/secret"));
	assert_null(b->result.disks[0].bad[0].places[1]);
	assert_equal(b);
}

static void what_was_never_read_like_that_stays_wrong(void **state)
{
	struct bed *b = *state;

	copy(b);
	b->copied.disks[0].digests[7 * wire_digest_bytes(b->options.digest) + 3] ^= 1;
	assert_int_equal(verify(b), -EBADMSG);
	assert_string_equal(err_code(), "VERIFY_MISMATCH");
	assert_non_null(strstr(err_reason(), "at byte 7340032 (wrong)"));
	assert_int_equal(b->result.disks[0].bad_count, 1);
	assert_int_equal(b->result.disks[0].mended_chunks, 0);
	assert_equal(b); /* mended all the same: the receiver has what the source has */
}

static void a_chunk_that_is_lacking_is_sent(void **state)
{
	struct bed *b = *state;
	static const uint8_t junk[512] = "junk";
	struct wire_request write = {.command = NBD_CMD_WRITE,
				     .offset_bytes = 5 * MIB,
				     .length_bytes = 512,
				     .data = junk};
	struct wire_nbd *n;
	struct wire_done done;

	copy(b);
	n = fixture_must_open(&b->fixture, 0, 7);
	assert_int_equal(wire_nbd_call(n, &write, &done), 0);
	wire_nbd_close(n);
	assert_int_equal(verify(b), 0);
	assert_int_equal(b->result.disks[0].bad_count, 1);
	assert_int_equal(b->result.disks[0].bad[0].fault, VERIFY_LACKING);
	assert_equal(b);
}

/* At the first word of the receiver it goes away, and comes back. */
static void restart(void *ctx, unsigned disk, uint64_t done_chunks, uint64_t chunks)
{
	struct bed *b = ctx;
	struct fixture *f = &b->fixture;

	(void)disk;
	(void)done_chunks;
	(void)chunks;
	if (f->options.data_port)
		return;
	f->options.data_port = f->activation.data_port;
	f->options.control_port = f->activation.control_port;
	fixture_stop(f);
	fixture_start(f);
}

static void a_receiver_that_goes_away_is_asked_again(void **state)
{
	struct bed *b = *state;

	copy(b);
	flip(b->copy, 12 * MIB);
	b->v.progress = restart;
	b->v.ctx = b;
	b->options.patience_ms = 120000;
	assert_int_equal(verify(b), 0);
	assert_int_not_equal(b->fixture.options.data_port, 0);
	assert_int_equal(b->result.disks[0].compared_chunks, 17);
	assert_equal(b);
}

/* ---- without the receiver ---- */

struct memory {
	const uint8_t *bytes;
	uint64_t size;
};

static int memory_read(void *ctx, void *buf, size_t bytes, uint64_t offset)
{
	const struct memory *m = ctx;

	assert_true(range_ok(offset, bytes, m->size));
	memcpy(buf, m->bytes + offset, bytes);
	return 0;
}

static uint64_t wrong_chunk;

static void on_wrong(void *ctx, uint64_t chunk)
{
	(void)ctx;
	wrong_chunk = chunk;
}

static int prove(struct memory *m, const struct verify_proof *proof, const struct leaves *leaves,
		 struct verify_image_result *r)
{
	struct verify_image image = {.read = memory_read, .ctx = m, .size_bytes = m->size};
	struct verify_image_options o = {
		.image = &image, .proof = proof, .leaves = leaves, .rest = true, .wrong = on_wrong};

	return verify_image(&o, r);
}

static void a_file_is_proved_and_a_difference_located_by_its_leaves(void **state)
{
	struct bed *b = *state;
	CLEANUP_JSON json_t *json = NULL;
	CLEANUP_FREE uint8_t *leaves_data = NULL, *larger = calloc(1, DISK_BYTES + 5 * MIB);
	struct verify_image_result r;
	struct verify_proof proof;
	struct leaves leaves;
	struct memory m = {.bytes = larger, .size = DISK_BYTES};
	size_t bytes;

	copy(b);
	assert_int_equal(verify(b), 0);
	json = verify_json(&b->result, b->map);
	assert_int_equal(verify_proof_read(json, -1, &proof), 0);
	assert_int_equal(verify_proof_read(json, 1, &proof), -EINVAL);
	assert_int_equal(verify_proof_read(json, 0, &proof), 0);
	assert_int_equal(verify_leaves_make(&b->result, b->map, &leaves_data, &bytes), 0);
	assert_int_equal(leaves_find(leaves_data, bytes, 0, &leaves), 0);
	assert_int_equal(leaves_find(leaves_data, bytes, 1, &leaves), -EINVAL);
	assert_int_equal(leaves_find(leaves_data, bytes, 0, &leaves), 0);

	memcpy(larger, b->bytes, DISK_BYTES);
	assert_int_equal(prove(&m, &proof, NULL, &r), 0);
	assert_true(r.equal);
	assert_int_equal(prove(&m, &proof, &leaves, &r), 0);
	assert_true(r.equal);
	assert_int_equal(r.wrong_chunks, 0);
	m.size = DISK_BYTES + 5 * MIB;
	assert_int_equal(prove(&m, &proof, &leaves, &r), 0);
	assert_true(r.equal);
	assert_int_equal(r.rest_bytes, 5 * MIB);
	assert_int_equal(r.rest_data_bytes, 0);
	larger[DISK_BYTES + 5 * MIB - 1] = 1;
	assert_int_equal(prove(&m, &proof, &leaves, &r), 0);
	assert_true(r.rest_data_bytes > 0);
	larger[6 * MIB + 17] ^= 128;
	assert_int_equal(prove(&m, &proof, &leaves, &r), 0);
	assert_false(r.equal);
	assert_int_equal(r.wrong_chunks, 1);
	assert_int_equal(wrong_chunk, 6);
	m.size = DISK_BYTES - 512;
	assert_int_equal(prove(&m, &proof, NULL, &r), -EBADMSG);
	assert_string_equal(err_code(), "VERIFY_TOO_SMALL");
	/* Leaves of another run locate nothing. */
	proof.root[5] ^= 1;
	m.size = DISK_BYTES;
	assert_int_equal(prove(&m, &proof, &leaves, &r), -EINVAL);
	assert_string_equal(err_code(), "LEAVES_INVALID");
}

static void damaged_leaves_are_refused(void **state)
{
	struct bed *b = *state;
	CLEANUP_FREE uint8_t *data = NULL;
	struct leaves leaves;
	size_t bytes;

	copy(b);
	assert_int_equal(verify(b), 0);
	assert_int_equal(verify_leaves_make(&b->result, b->map, &data, &bytes), 0);
	for (size_t i = 0; i < bytes; i += 7) {
		data[i] ^= 1;
		assert_int_equal(leaves_find(data, bytes, 0, &leaves), -EINVAL);
		assert_string_equal(err_code(), "LEAVES_INVALID");
		assert_int_equal(leaves_find(data, i, 0, &leaves), -EINVAL);
		data[i] ^= 1;
	}
}

/* The other of two digests: all of it is done again with it. */
static void another_digest_starts_over_and_says_so(void **state)
{
	struct bed *b = *state;

	copy(b);
	b->options.digest = WIRE_DIGEST_SHA256;
	copy(b);
	assert_int_equal(b->copied.disks[0].sent_chunks, 8);
	assert_int_equal(b->copied.disks[0].patched_chunks, 0);
	assert_int_equal(verify(b), 0);
	assert_int_equal(b->result.digest, WIRE_DIGEST_SHA256);
	copy(b);
	assert_int_equal(b->copied.disks[0].skipped_chunks, 17);
	b->options.digest = WIRE_DIGEST_XXH3_128;
	copy(b);
	assert_int_equal(b->copied.disks[0].sent_chunks, 8);
	assert_int_equal(verify(b), 0);
	assert_equal(b);
}

static void a_server_without_the_digest_is_refused(void **state)
{
	struct bed *b = *state;

	b->options.no_extension = true;
	assert_int_equal(copy_run(&b->options, &b->copied), -ENOTSUP);
	assert_string_equal(err_code(), "DIGEST_UNSUPPORTED");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
#define SHA256(fn)                                                   \
	{                                                            \
#fn "_by_sha256", fn, set_up_sha256, tear_down, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_arrived_verifies_and_has_the_root_of_its_bytes),
		TEST(what_an_earlier_life_read_is_counted_as_such),
		TEST(a_flipped_bit_is_found_and_mended),
		TEST(the_file_that_a_flipped_bit_hits_is_named),
		TEST(what_was_never_read_like_that_stays_wrong),
		TEST(a_chunk_that_is_lacking_is_sent),
		TEST(a_receiver_that_goes_away_is_asked_again),
		TEST(a_file_is_proved_and_a_difference_located_by_its_leaves),
		TEST(damaged_leaves_are_refused),
		TEST(another_digest_starts_over_and_says_so),
		SHA256(what_arrived_verifies_and_has_the_root_of_its_bytes),
		SHA256(what_an_earlier_life_read_is_counted_as_such),
		SHA256(a_flipped_bit_is_found_and_mended),
		SHA256(what_was_never_read_like_that_stays_wrong),
		SHA256(a_chunk_that_is_lacking_is_sent),
		SHA256(a_receiver_that_goes_away_is_asked_again),
		SHA256(a_file_is_proved_and_a_difference_located_by_its_leaves),
		SHA256(damaged_leaves_are_refused),
		SHA256(a_server_without_the_digest_is_refused),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
