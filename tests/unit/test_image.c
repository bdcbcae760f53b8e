/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Images: the same disk gives the same bytes, also from any part on; what was written is read back;
 * damaged and foreign ones are refused. */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/num.h"
#include "image/image.h"
#include "wire/wire.h"

#define PARTS	   256
#define PART_BYTES (1u << 20)
#define DISK_BYTES (23 * MIB + 5 * 512)

struct kept {
	uint8_t *data, *state;
	size_t bytes, state_bytes;
	uint64_t offset_bytes;
	bool zero;
};

struct store {
	struct kept parts[PARTS];
	unsigned last, order[PARTS], count, stop_behind;
	uint8_t buffer[PART_BYTES];
};

static uint8_t *store_room(void *ctx)
{
	return ((struct store *)ctx)->buffer;
}

static int store_part(void *ctx, const struct image_part *p)
{
	struct store *s = ctx;
	struct kept *k = &s->parts[p->number];

	assert_in_range(p->number, 1, PARTS - 1);
	assert_in_range(p->bytes, 1, PART_BYTES);
	assert_null(k->data);
	*k = (struct kept){.bytes = p->bytes, .offset_bytes = p->offset_bytes, .zero = !p->data};
	k->data = calloc(1, p->bytes);
	if (p->data)
		memcpy(k->data, p->data, p->bytes);
	if (p->state) {
		k->state_bytes = p->state_bytes;
		k->state = malloc(p->state_bytes);
		memcpy(k->state, p->state, p->state_bytes);
	}
	s->last = max_of(s->last, p->number);
	s->order[s->count++] = p->number;
	return s->count == s->stop_behind ? fail(ECANCELED, "enough") : 0;
}

static void store_fini(struct store *s)
{
	for (unsigned i = 0; i < PARTS; i++) {
		free(s->parts[i].data);
		free(s->parts[i].state);
	}
	free(s);
}

static uint32_t random_of(uint32_t *seed)
{
	return *seed = *seed * 1664525 + 1013904223;
}

/* Holes, zeros, text and noise, in stretches that respect no boundary. */
static int make_disk(uint64_t bytes, uint32_t seed)
{
	int fd = memfd_create("disk", 0);
	uint8_t *data;

	assert_true(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0);
	data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(data, MAP_FAILED);
	for (uint64_t at = 0; at < bytes;) {
		uint64_t n = min_of((uint64_t)random_of(&seed) % 300000 + 1, bytes - at);
		unsigned kind = random_of(&seed) >> 30;

		for (uint64_t i = 0; kind > 1 && i < n; i++)
			data[at + i] = kind == 2 ? (uint8_t)(random_of(&seed) >> 24)
						 : "some text that is repeated "[i % 27];
		at += kind == 0 ? 5 * n : n;
	}
	munmap(data, bytes);
	return fd;
}

static struct image_source source_of(int fd, uint64_t bytes)
{
	return (struct image_source){
		.fd = fd, .name = "disk", .disk_bytes = bytes, .digest = wire_digest};
}

static struct store *write_image(const struct image_source *source, struct image_options o,
				 const struct kept *from, struct image_result *result)
{
	struct store *s = calloc(1, sizeof(*s));
	const struct image_sink sink = {.ctx = s, .buffer = store_room, .part = store_part};

	o.part_bytes = PART_BYTES;
	assert_int_equal(image_write(source, &o, from ? from->state : NULL,
				     from ? from->state_bytes : 0, &sink, result),
			 0);
	return s;
}

/* The parts put together, as an open image. */
static struct image *open_parts(const struct store *s)
{
	int fd = memfd_create("image", 0);
	struct image *i = NULL;

	for (unsigned n = 1; n <= s->last; n++) {
		const struct kept *k = &s->parts[n];

		assert_non_null(k->data);
		assert_int_equal(pwrite(fd, k->data, k->bytes, (off_t)k->offset_bytes), k->bytes);
	}
	assert_int_equal(image_open_fd(fd, "image", &i), 0);
	return i;
}

static void assert_same(struct image *i, int disk, uint64_t disk_bytes, uint64_t image_bytes)
{
	uint8_t *got = malloc(image_bytes), *want = calloc(1, image_bytes);

	assert_int_equal(image_size(i), round_up(image_bytes, 512));
	assert_int_equal(pread(disk, want, disk_bytes, 0), disk_bytes);
	assert_int_equal(image_read(i, got, image_bytes, 0), 0);
	assert_memory_equal(got, want, image_bytes);
	for (uint64_t at = 0, n; at < image_bytes; at += n) {
		bool zero = false;

		assert_int_equal(image_extent(i, at, image_bytes - at, &n, &zero), 0);
		assert_in_range(n, 1, image_bytes - at);
		for (uint64_t k = 0; zero && k < n; k++)
			assert_int_equal(want[at + k], 0);
	}
	free(got);
	free(want);
}

static void the_root_of(int disk, uint64_t bytes, uint8_t root[MERKLE_ROOT_BYTES])
{
	uint8_t *chunk = malloc(MIB), digest[WIRE_DIGEST_MAX];
	struct merkle m;

	merkle_init(&m);
	for (uint64_t at = 0; at < bytes; at += MIB) {
		size_t n = min_of(MIB, bytes - at);

		assert_int_equal(pread(disk, chunk, n, (off_t)at), n);
		wire_digest(chunk, n, digest);
		merkle_add(&m, digest, WIRE_DIGEST_BYTES);
	}
	merkle_root(&m, root);
	free(chunk);
}

static const struct image_options kinds[] = {
	{.format = IMAGE_QCOW2, .compression = IMAGE_DEFLATE, .threads = 2},
	{.format = IMAGE_QCOW2, .compression = IMAGE_ZSTD, .threads = 3},
	{.format = IMAGE_QCOW2, .compression = IMAGE_PLAIN, .threads = 1},
	{.format = IMAGE_RAW, .threads = 2},
};

static void what_was_written_is_read_back(void **state)
{
	static const uint64_t sizes[] = {1,   511,     512,	65536,	       65537,	  MIB - 512,
					 MIB, MIB + 1, 2 * MIB, 2 * MIB + 512, DISK_BYTES};

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(kinds) * ARRAY_SIZE(sizes); k++) {
		uint64_t bytes = sizes[k / ARRAY_SIZE(kinds)], root_bytes;
		int disk = make_disk(bytes, (uint32_t)k);
		struct image_source source = source_of(disk, bytes);
		uint8_t want[MERKLE_ROOT_BYTES], root[MERKLE_ROOT_BYTES];
		struct image_result r;
		struct store *s = write_image(&source, kinds[k % ARRAY_SIZE(kinds)], NULL, &r);
		enum image_digest digest_kind;
		struct image *i;

		the_root_of(disk, bytes, want);
		assert_memory_equal(r.root, want, sizeof(want));
		assert_int_equal(r.parts, s->last);
		if (kinds[k % ARRAY_SIZE(kinds)].format == IMAGE_QCOW2) {
			i = open_parts(s);
			assert_same(i, disk, bytes, bytes);
			assert_true(image_root(i, root, &digest_kind, &root_bytes));
			assert_memory_equal(root, want, sizeof(want));
			assert_int_equal(digest_kind, IMAGE_XXH3_128);
			assert_int_equal(root_bytes, bytes);
			image_close(i);
			assert_int_equal(s->order[s->count - 1], 1);
		}
		store_fini(s);
		close(disk);
	}
}

static void an_image_larger_than_its_disk_ends_in_zeros(void **state)
{
	int disk = make_disk(3 * MIB + 512, 9);
	struct image_source source = source_of(disk, 3 * MIB + 512);
	struct image_result r;

	(void)state;
	source.image_bytes = 9 * MIB;
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		struct store *s = write_image(&source, kinds[k], NULL, &r);
		struct image *i = open_parts(s);

		assert_same(i, disk, source.disk_bytes, source.image_bytes);
		assert_int_equal(r.image_bytes, 9 * MIB);
		image_close(i);
		store_fini(s);
	}
	close(disk);
}

static void from_any_part_on_the_same_bytes_follow(void **state)
{
	int disk = make_disk(DISK_BYTES, 77);
	struct image_source source = source_of(disk, DISK_BYTES);
	struct image_result first, again;

	(void)state;
	source.image_bytes = 2 * DISK_BYTES;
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		struct store *whole = write_image(&source, kinds[k], NULL, &first);
		unsigned resumed = 0;

		for (unsigned n = 1; n <= whole->last; n++) {
			struct store *s;

			if (!whole->parts[n].state)
				continue;
			s = write_image(&source, kinds[k], &whole->parts[n], &again);
			assert_memory_equal(first.root, again.root, sizeof(first.root));
			assert_int_equal(first.file_bytes, again.file_bytes);
			assert_int_equal(first.data_bytes, again.data_bytes);
			assert_int_equal(first.parts, again.parts);
			for (unsigned m = n + 1; m <= whole->last; m++) {
				assert_int_equal(s->parts[m].bytes, whole->parts[m].bytes);
				assert_memory_equal(s->parts[m].data, whole->parts[m].data,
						    s->parts[m].bytes);
			}
			assert_null(s->parts[n].data);
			store_fini(s);
			resumed++;
		}
		assert_in_range(resumed, 3, PARTS);
		store_fini(whole);
	}
	close(disk);
}

static int take_state(const struct image_source *source, struct image_options o, const void *bytes,
		      size_t count)
{
	struct store *s = calloc(1, sizeof(*s));
	const struct image_sink sink = {.ctx = s, .buffer = store_room, .part = store_part};
	struct image_result r;
	int rc;

	o.part_bytes = PART_BYTES;
	rc = image_write(source, &o, bytes, count, &sink, &r);
	store_fini(s);
	return rc;
}

static void a_state_of_something_else_is_refused(void **state)
{
	int disk = make_disk(DISK_BYTES, 77);
	struct image_source source = source_of(disk, DISK_BYTES), larger = source;
	struct image_result r;
	struct store *whole = write_image(&source, kinds[0], NULL, &r);
	const struct kept *k = &whole->parts[3];
	struct image_options other = kinds[0];

	(void)state;
	assert_non_null(k->state);
	larger.image_bytes = 3 * DISK_BYTES;
	other.level = 7;
	assert_int_equal(take_state(&larger, kinds[0], k->state, k->state_bytes), -ESTALE);
	assert_string_equal(err_code(), "IMAGE_STATE_STALE");
	assert_int_equal(take_state(&source, kinds[1], k->state, k->state_bytes), -ESTALE);
	assert_int_equal(take_state(&source, other, k->state, k->state_bytes), -ESTALE);
	for (size_t cut = 0; cut < k->state_bytes; cut += 97)
		assert_int_equal(take_state(&source, kinds[0], k->state, cut), -ESTALE);
	for (size_t at = 0; at < k->state_bytes; at += 1009) {
		k->state[at] ^= 1;
		assert_int_equal(take_state(&source, kinds[0], k->state, k->state_bytes), -ESTALE);
		k->state[at] ^= 1;
	}
	store_fini(whole);
	close(disk);
}

static enum image_knowledge know(void *ctx, uint64_t chunk, uint8_t digest[IMAGE_DIGEST_ROOM])
{
	const uint64_t *wrong = ctx;

	if (chunk != *wrong)
		return IMAGE_UNKNOWN;
	memset(digest, 0x55, IMAGE_DIGEST_ROOM);
	return IMAGE_DATA;
}

static enum image_knowledge know_zero(void *ctx, uint64_t chunk, uint8_t digest[IMAGE_DIGEST_ROOM])
{
	(void)ctx;
	(void)digest;
	return chunk == 2 ? IMAGE_ZERO : IMAGE_UNKNOWN;
}

static void a_chunk_with_another_digest_than_known_ends_it(void **state)
{
	int disk = make_disk(DISK_BYTES, 3);
	uint64_t wrong = 17;
	struct image_source source = source_of(disk, DISK_BYTES);
	uint8_t byte = 1;

	(void)state;
	source.known = know;
	source.known_ctx = &wrong;
	assert_int_equal(take_state(&source, kinds[0], NULL, 0), -EBADMSG);
	assert_string_equal(err_code(), "IMAGE_MEDIUM_DIFFERS");
	/* Zero by the journal: not even read. */
	assert_int_equal(pwrite(disk, &byte, 1, 2 * MIB + 5), 1);
	source.known = know_zero;
	{
		struct image_result r;
		struct store *s = write_image(&source, kinds[0], NULL, &r);
		struct image *i = open_parts(s);

		assert_int_equal(image_read(i, &byte, 1, 2 * MIB + 5), 0);
		assert_int_equal(byte, 0);
		image_close(i);
		store_fini(s);
	}
	close(disk);
}

/* verify.leaves of a disk of two parts: index 0 is another one. */
static uint8_t *leaves_of(int disk, uint64_t bytes, size_t *size)
{
	uint64_t chunks = div_up(bytes, MIB);
	size_t room = 16 + 2 * 24 + (chunks + 1) * 24 + 32;
	uint8_t *out = calloc(1, room), *chunk = malloc(MIB), digest[WIRE_DIGEST_MAX];
	struct writer w = writer_of(out, room);

	writer_bytes(&w, "CLFTLEAF", 8);
	writer_be(&w, 1, 2);
	writer_be(&w, 20, 1);
	writer_be(&w, 1, 1);
	writer_be(&w, 2, 4);
	for (unsigned i = 0; i < 2; i++) {
		writer_be(&w, i, 4);
		writer_be(&w, 0, 4);
		writer_be(&w, i ? bytes : MIB, 8);
		writer_be(&w, i ? chunks : 1, 8);
		for (uint64_t n = 0; n < (i ? chunks : 1); n++) {
			size_t have = min_of(MIB, bytes - n * MIB);
			bool zero = !i;

			if (i) {
				assert_int_equal(pread(disk, chunk, have, (off_t)(n * MIB)), have);
				zero = io_is_zero(chunk, have);
				wire_digest(chunk, have, digest);
			}
			writer_be(&w, 1, 4);
			writer_be(&w, zero ? 1 : 2, 1);
			writer_be(&w, 0, 3);
			if (!zero)
				writer_bytes(&w, digest, 16);
		}
	}
	free(chunk);
	hash_sha256(out, writer_used(&w), w.at);
	*size = writer_used(&w) + 32;
	return out;
}

static void rot(int disk, uint64_t at)
{
	uint8_t byte;

	assert_int_equal(pread(disk, &byte, 1, (off_t)at), 1);
	byte ^= 4;
	assert_int_equal(pwrite(disk, &byte, 1, (off_t)at), 1);
}

static void what_was_verified_is_what_is_packed(void **state)
{
	char path[] = "/tmp/coldlift-leaves-XXXXXX", digits[32];
	int disk = make_disk(DISK_BYTES, 3), file = mkstemp(path);
	struct image_source source = source_of(disk, DISK_BYTES), plain = source, other;
	struct image_proof *p = NULL;
	uint8_t root[MERKLE_ROOT_BYTES];
	size_t bytes;
	uint8_t *leaves = leaves_of(disk, DISK_BYTES, &bytes);

	(void)state;
	the_root_of(disk, DISK_BYTES, root);
	assert_int_equal(write(file, leaves, bytes), bytes);
	assert_int_equal(image_proof_open(root, path, 1, &source, &p), 0);
	assert_int_equal(take_state(&source, kinds[0], NULL, 0), 0);
	/* A byte flips where there is data, and where there was none. */
	rot(disk, 17 * MIB + 77);
	assert_int_equal(take_state(&source, kinds[0], NULL, 0), -EBADMSG);
	assert_string_equal(err_code(), "IMAGE_MEDIUM_DIFFERS");
	snprintf(digits, sizeof(digits), "byte %llu ", 17ull * MIB);
	assert_non_null(strstr(err_reason(), digits));
	assert_int_equal(take_state(&source, kinds[3], NULL, 0), -EBADMSG);
	image_proof_close(p);

	/* Without leaves the root alone tells. */
	source = plain;
	assert_int_equal(image_proof_open(root, NULL, 1, &source, &p), 0);
	assert_int_equal(take_state(&source, kinds[0], NULL, 0), -EBADMSG);
	assert_string_equal(err_code(), "IMAGE_MEDIUM_DIFFERS");
	rot(disk, 17 * MIB + 77);
	assert_int_equal(take_state(&source, kinds[0], NULL, 0), 0);
	image_proof_close(p);

	/* Leaves of another disk, another size, another run. */
	other = plain;
	assert_int_equal(image_proof_open(root, path, 0, &other, &p), -EINVAL);
	assert_string_equal(err_code(), "LEAVES_INVALID");
	assert_int_equal(image_proof_open(root, path, 2, &other, &p), -EINVAL);
	root[5] ^= 1;
	assert_int_equal(image_proof_open(root, path, 1, &other, &p), -EINVAL);
	assert_string_equal(err_code(), "LEAVES_INVALID");
	unlink(path);
	close(file);
	free(leaves);
	close(disk);
}

struct left {
	uint64_t calls, stop_at, first, last;
};

static int leave_there(void *ctx, uint64_t done_bytes)
{
	struct left *l = ctx;

	assert_true(done_bytes >= l->last && done_bytes <= DISK_BYTES);
	l->last = done_bytes;
	if (!l->calls)
		l->first = done_bytes;
	return ++l->calls == l->stop_at ? fail(ECANCELED, "left") : 0;
}

static void a_file_that_was_left_goes_on_and_is_the_same(void **state)
{
	char dir[] = "/tmp/coldlift-image-XXXXXX", path[64], once[64], name[80];
	int disk = make_disk(DISK_BYTES, 11);
	struct image_source source = source_of(disk, DISK_BYTES), plain = source;
	struct image_proof *p = NULL;
	uint8_t root[MERKLE_ROOT_BYTES];
	uint32_t noise[1024], seed = 5;

	(void)state;
	assert_non_null(mkdtemp(dir));
	/* Noise, so that there are parts to leave behind in every format. */
	for (uint64_t at = 2 * MIB; at < 16 * MIB; at += sizeof(noise)) {
		for (size_t i = 0; i < ARRAY_SIZE(noise); i++)
			noise[i] = random_of(&seed);
		assert_int_equal(pwrite(disk, noise, sizeof(noise), (off_t)at), sizeof(noise));
	}
	the_root_of(disk, DISK_BYTES, root);
	assert_int_equal(image_proof_open(root, NULL, 0, &source, &p), 0);
	snprintf(path, sizeof(path), "%s/disk", dir);
	snprintf(once, sizeof(once), "%s/once", dir);
	snprintf(name, sizeof(name), "%s.new", path);
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		struct left l = {.stop_at = 15};
		struct image_options o = kinds[k];
		struct image_result r, again;
		char *a = NULL, *b = NULL;
		size_t a_bytes, b_bytes;

		o.watch = leave_there;
		o.watch_ctx = &l;
		assert_int_equal(image_write_file(&source, &o, path, &r), -ECANCELED);
		assert_int_equal(access(path, F_OK), -1);
		assert_int_equal(access(name, F_OK), 0);
		l = (struct left){0};
		assert_int_equal(image_write_file(&source, &o, path, &r), 0);
		assert_true(l.last == DISK_BYTES);
		assert_true(l.first > MIB);
		assert_int_equal(image_write_file(&plain, &kinds[k], once, &again), 0);
		assert_int_equal(io_read_file(path, 64 * MIB, &a, &a_bytes), 0);
		assert_int_equal(io_read_file(once, 64 * MIB, &b, &b_bytes), 0);
		assert_int_equal(a_bytes, b_bytes);
		assert_memory_equal(a, b, a_bytes);
		free(a);
		free(b);
		assert_int_equal(access(name, F_OK), -1);
		/* One that is given up leaves nothing. */
		l = (struct left){.stop_at = 3};
		assert_int_equal(image_write_file(&source, &o, path, &r), -ECANCELED);
		assert_int_equal(image_file_forget(path), 0);
		assert_int_equal(image_file_forget(path), 0);
		assert_int_equal(access(name, F_OK), -1);
		unlink(path);
		unlink(once);
	}
	image_proof_close(p);
	assert_int_equal(rmdir(dir), 0);
	close(disk);
}

static void a_sink_that_fails_ends_it_with_its_reason(void **state)
{
	int disk = make_disk(DISK_BYTES, 3);
	struct image_source source = source_of(disk, DISK_BYTES);

	(void)state;
	for (unsigned n = 1; n < 6; n++) {
		struct store *s = calloc(1, sizeof(*s));
		const struct image_sink sink = {.ctx = s, .buffer = store_room, .part = store_part};
		struct image_options o = kinds[n % 4];
		struct image_result r;

		o.part_bytes = PART_BYTES;
		s->stop_behind = n;
		assert_int_equal(image_write(&source, &o, NULL, 0, &sink, &r), -ECANCELED);
		assert_memory_equal(err_reason(), "enough", 6);
		store_fini(s);
	}
	close(disk);
}

/* ---- foreign bytes ---- */

static int open_bytes(const void *data, size_t bytes, struct image **out)
{
	int fd = memfd_create("bytes", 0);

	assert_int_equal(write(fd, data, bytes), bytes);
	return image_open_fd(fd, "bytes", out);
}

/* A qcow2 of one part of a disk, whole. */
static uint8_t *small_image(size_t *bytes)
{
	int disk = make_disk(300000, 5);
	struct image_source source = source_of(disk, 300000);
	struct image_result r;
	struct store *s = write_image(&source, kinds[0], NULL, &r);
	uint8_t *out = calloc(1, r.file_bytes);

	for (unsigned n = 1; n <= s->last; n++)
		memcpy(out + s->parts[n].offset_bytes, s->parts[n].data, s->parts[n].bytes);
	*bytes = r.file_bytes;
	store_fini(s);
	close(disk);
	return out;
}

static void put_be(uint8_t *image, size_t at, uint64_t value, size_t bytes)
{
	struct writer w = writer_of(image + at, bytes);

	writer_be(&w, value, bytes);
}

static void headers_that_are_not_known_are_refused(void **state)
{
	static const struct {
		size_t at, bytes;
		uint64_t value;
		const char *code;
	} cases[] = {
		{4, 4, 1, "IMAGE_UNSUPPORTED"}, /* version */
		{4, 4, 4, "IMAGE_UNSUPPORTED"},
		{8, 8, 512, "IMAGE_UNSUPPORTED"}, /* backing file */
		{20, 4, 8, "IMAGE_INVALID"},	  /* cluster bits */
		{20, 4, 22, "IMAGE_INVALID"},
		{20, 4, 0xffffffff, "IMAGE_INVALID"},
		{24, 8, UINT64_MAX, "IMAGE_UNSUPPORTED"},    /* size */
		{24, 8, (uint64_t)1 << 40, "IMAGE_INVALID"}, /* more than its L1 table */
		{32, 4, 1, "IMAGE_UNSUPPORTED"},	     /* encryption */
		{36, 4, 0, "IMAGE_INVALID"},		     /* L1 entries */
		{40, 8, UINT64_MAX, "IMAGE_INVALID"},	     /* L1 offset */
		{72, 8, 2, "IMAGE_INVALID"},		     /* corrupt */
		{72, 8, 4, "IMAGE_UNSUPPORTED"},	     /* external data */
		{72, 8, 8, "IMAGE_UNSUPPORTED"},	     /* compression type without one */
		{72, 8, 16, "IMAGE_UNSUPPORTED"},	     /* extended L2 */
		{72, 8, (uint64_t)1 << 63, "IMAGE_UNSUPPORTED"},
		{100, 4, 96, "IMAGE_INVALID"}, /* header length */
		{100, 4, 0xfffffff8, "IMAGE_INVALID"},
		{104, 1, 1, "IMAGE_UNSUPPORTED"}, /* compression type */
		{104, 1, 2, "IMAGE_UNSUPPORTED"},
	};
	size_t bytes;
	uint8_t *good = small_image(&bytes), *bad = malloc(bytes);
	struct image *i;

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(cases); k++) {
		memcpy(bad, good, bytes);
		put_be(bad, cases[k].at, cases[k].value, cases[k].bytes);
		if (open_bytes(bad, bytes, &i) == 0)
			fail_msg("case %zu was taken", k);
		assert_string_equal(err_code(), cases[k].code);
	}
	free(good);
	free(bad);
}

static void a_cut_image_is_refused_or_fails_to_read(void **state)
{
	size_t bytes;
	uint8_t *good = small_image(&bytes), plain[4096];
	struct image *i;

	(void)state;
	for (size_t cut = 4; cut < bytes; cut += cut < 256 ? 1 : 1021) {
		bool failed = open_bytes(good, cut, &i) < 0;

		for (uint64_t at = 0; !failed && at < image_size(i); at += sizeof(plain))
			if (image_read(i, plain, min_of(sizeof(plain), image_size(i) - at), at) < 0)
				break;
		if (!failed)
			image_close(i);
		/* Without its L1 table, which is nearly at the end, it does not even open. */
		assert_true(failed || cut > bytes - 3 * 65536);
	}
	free(good);
}

static void version_2_and_zero_clusters_are_read(void **state)
{
	size_t bytes;
	uint8_t *image = small_image(&bytes), plain[65536], zero[65536] = {0};
	struct cursor c = cursor_of(image + 40, 8), l1;
	uint64_t l1_at = cursor_be64(&c), l2_at;
	struct image *i;

	(void)state;
	l1 = cursor_of(image + l1_at, 8);
	l2_at = cursor_be64(&l1) & 0x00fffffffffffe00u;
	/* Allocated and zero, which version 3 has. */
	put_be(image, l2_at, (uint64_t)131072 | 1, 8);
	assert_int_equal(open_bytes(image, bytes, &i), 0);
	memset(plain, 1, sizeof(plain));
	assert_int_equal(image_read(i, plain, sizeof(plain), 0), 0);
	assert_memory_equal(plain, zero, sizeof(zero));
	image_close(i);
	/* An offset inside of a cluster. */
	put_be(image, l2_at, 131072 + 512, 8);
	assert_int_equal(open_bytes(image, bytes, &i), 0);
	assert_int_equal(image_read(i, plain, 512, 0), -EINVAL);
	assert_string_equal(err_code(), "IMAGE_INVALID");
	image_close(i);
	put_be(image, 4, 2, 4);
	put_be(image, l2_at, 131072, 8);
	assert_int_equal(open_bytes(image, bytes, &i), 0);
	assert_int_equal(image_read(i, plain, sizeof(plain), 0), 0);
	assert_memory_equal(plain, image + 131072, sizeof(plain));
	assert_int_equal(image_read(i, plain, 1, image_size(i)), -EINVAL);
	image_close(i);
	free(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_is_read_back),
		cmocka_unit_test(an_image_larger_than_its_disk_ends_in_zeros),
		cmocka_unit_test(from_any_part_on_the_same_bytes_follow),
		cmocka_unit_test(a_state_of_something_else_is_refused),
		cmocka_unit_test(a_chunk_with_another_digest_than_known_ends_it),
		cmocka_unit_test(what_was_verified_is_what_is_packed),
		cmocka_unit_test(a_file_that_was_left_goes_on_and_is_the_same),
		cmocka_unit_test(a_sink_that_fails_ends_it_with_its_reason),
		cmocka_unit_test(headers_that_are_not_known_are_refused),
		cmocka_unit_test(a_cut_image_is_refused_or_fails_to_read),
		cmocka_unit_test(version_2_and_zero_clusters_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
