/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading back: what stands on the medium is told from what the journal says. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

#include <sys/syscall.h>

#include "receiver_fixture.h"
#include "wire/wire_nbd.h"

#define DISK_BYTES (200 * MIB + 12288) /* the last chunk is short */
#define CHUNKS	   201

/* Until then no whole chunk is read. */
static _Atomic uint64_t hangs_until_ms;

ssize_t pread64(int fd, void *buf, size_t bytes, off64_t offset);
ssize_t pread64(int fd, void *buf, size_t bytes, off64_t offset)
{
	while (bytes == WIRE_CHUNK_BYTES && clock_ms() < atomic_load(&hangs_until_ms))
		usleep(1000);
	return syscall(SYS_pread64, fd, buf, bytes, offset);
}

static int set_up(void **state)
{
	static const uint64_t sizes[] = {DISK_BYTES, 4096 * GIB, 0};
	struct fixture *f = malloc(sizeof(*f));

	fixture_new(f);
	assert_int_equal(fixture_plan(f, sizes), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	fixture_free(*state);
	free(*state);
	return 0;
}

struct found {
	unsigned calls, differing;
	uint64_t next;
	struct {
		enum wire_chunk_state state;
		bool known, differs;
		uint8_t digest[WIRE_DIGEST_BYTES];
	} chunk[CHUNKS];
};

static int take_found(void *ctx, uint64_t first, uint32_t count, enum wire_chunk_state state,
		      bool known, bool differs, const uint8_t *digests)
{
	struct found *f = ctx;

	assert_int_equal(first, f->next);
	f->next += count;
	f->calls++;
	f->differing += differs ? count : 0;
	for (uint64_t i = first; i < min_of(first + count, (uint64_t)CHUNKS); i++) {
		f->chunk[i].state = state;
		f->chunk[i].known = known;
		f->chunk[i].differs = differs;
		if (digests)
			memcpy(f->chunk[i].digest, digests + (i - first) * WIRE_DIGEST_BYTES,
			       WIRE_DIGEST_BYTES);
	}
	return 0;
}

static struct found read_back(struct wire_nbd *n, uint64_t first, uint64_t count)
{
	struct found f = {.next = first};

	if (wire_nbd_readback(n, first, count, take_found, &f) < 0)
		give_up("%s %s", err_code(), err_reason());
	assert_int_equal(f.next, first + count);
	return f;
}

static void fill(struct wire_nbd *n)
{
	for (uint64_t i = 0; i < CHUNKS; i++)
		if (i % 3 != 2 || i == CHUNKS - 1)
			send_chunk(n, i, (unsigned)i, i % 2);
}

/* Change bytes of the disk file as a failing disk would: nobody tells the receiver. */
static void spoil(struct fixture *f, uint64_t at)
{
	CLEANUP_CLOSE int fd = -1;
	uint8_t byte;
	char path[128];

	snprintf(path, sizeof(path), "%s/disk0.raw", f->files);
	fd = open(path, O_RDWR);
	assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
}

static int count_unknown(void *ctx, uint64_t first, uint32_t count, enum wire_chunk_state state,
			 bool this_run, bool durable, const uint8_t *digests)
{
	unsigned *unknown = ctx;

	(void)first;
	(void)this_run;
	(void)durable;
	(void)digests;
	*unknown += state == WIRE_UNKNOWN ? count : 0;
	return 0;
}

static unsigned unknown_chunks(struct wire_nbd *n, uint64_t first, uint64_t count)
{
	unsigned unknown = 0;

	assert_int_equal(wire_nbd_digests(n, first, count, count_unknown, &unknown), 0);
	return unknown;
}

static void what_was_written_is_found_again(void **state)
{
	CLEANUP_FREE uint8_t *data = malloc(WIRE_CHUNK_BYTES);
	struct wire_nbd *n = fixture_must_open(*state, 0, 1);
	uint8_t digest[WIRE_DIGEST_MAX];
	struct found f;

	fill(n);
	f = read_back(n, 0, CHUNKS);
	assert_int_equal(f.differing, 0);
	for (unsigned i = 0; i < CHUNKS; i++) {
		bool data_here = i % 3 != 2 || i == CHUNKS - 1;
		size_t bytes = i == CHUNKS - 1 ? 12288 : WIRE_CHUNK_BYTES;

		assert_int_equal(f.chunk[i].state, data_here ? WIRE_DATA : WIRE_ZERO);
		assert_true(f.chunk[i].known);
		if (!data_here)
			continue;
		make_chunk(data, bytes, i);
		wire_digest(data, bytes, digest);
		assert_memory_equal(f.chunk[i].digest, digest, WIRE_DIGEST_BYTES);
	}
	/* A part alone. */
	f = read_back(n, 100, 3);
	assert_int_equal(f.differing, 0);
	wire_nbd_close(n);
}

static void a_flipped_bit_is_found_and_its_chunk_forgotten(void **state)
{
	struct fixture *fx = *state;
	struct wire_nbd *n = fixture_must_open(fx, 0, 1);
	struct found f;

	fill(n);
	assert_int_equal(read_back(n, 0, CHUNKS).differing, 0);
	spoil(fx, 40 * MIB + 123456);
	/* A chunk of zeros, a hole of the file until now. */
	spoil(fx, 50 * MIB + 5);
	f = read_back(n, 0, CHUNKS);
	assert_int_equal(f.differing, 2);
	assert_true(f.chunk[40].differs && f.chunk[50].differs);
	assert_false(f.chunk[40].known || f.chunk[50].known);
	assert_int_equal(f.chunk[50].state, WIRE_DATA);
	assert_int_equal(unknown_chunks(n, 0, CHUNKS), 2);
	wire_nbd_close(n);
	fixture_stop(fx);
	fixture_start(fx);
	n = fixture_must_open(fx, 0, 1);
	assert_int_equal(unknown_chunks(n, 0, CHUNKS), 2);
	assert_int_equal(unknown_chunks(n, 40, 1), 1);
	/* What the next copy sends mends it. */
	send_chunk(n, 40, 40, true);
	f = read_back(n, 40, 1);
	assert_true(!f.chunk[40].differs && f.chunk[40].known);
	/* Said once: an unknown chunk differs from nothing. */
	f = read_back(n, 50, 1);
	assert_true(!f.chunk[50].differs && !f.chunk[50].known);
	wire_nbd_close(n);
}

static void data_that_became_a_hole_or_is_gone_differs(void **state)
{
	struct fixture *fx = *state;
	struct wire_nbd *n = fixture_must_open(fx, 0, 1);
	CLEANUP_CLOSE int fd = -1;
	struct found f;
	char path[128];

	fill(n);
	assert_int_equal(read_back(n, 0, CHUNKS).differing, 0);
	snprintf(path, sizeof(path), "%s/disk0.raw", fx->files);
	fd = open(path, O_RDWR);
	assert_int_equal(
		fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 60 * MIB, 2 * MIB), 0);
	assert_int_equal(ftruncate(fd, 199 * MIB), 0);
	f = read_back(n, 0, CHUNKS);
	assert_true(f.chunk[60].differs && f.chunk[61].differs && !f.chunk[62].differs);
	assert_int_equal(f.chunk[60].state, WIRE_ZERO);
	/* What cannot be read any more. 200 is the last. */
	assert_true(f.chunk[199].differs && f.chunk[200].differs);
	assert_int_equal(f.chunk[199].state, WIRE_UNKNOWN);
	assert_int_equal(unknown_chunks(n, 60, 3), 2);
	wire_nbd_close(n);
}

static void four_empty_terabytes_are_read_back_at_once(void **state)
{
	struct wire_nbd *n = fixture_must_open(*state, 1, 1);
	struct found f = {0};
	uint64_t sent, received, before;

	send_chunk(n, 3000000, 7, true);
	wire_nbd_counters(n, &sent, &before);
	assert_int_equal(wire_nbd_readback(n, 0, 4 << 20, take_found, &f), 0);
	assert_int_equal(f.next, 4 << 20);
	assert_int_equal(f.differing, 0);
	wire_nbd_counters(n, &sent, &received);
	assert_true(received - before < 10000);
	wire_nbd_close(n);
}

/* Requests behind a READBACK are answered while it goes on. */
static void others_are_answered_meanwhile(void **state)
{
	static uint8_t into[4096];
	struct wire_nbd *n = fixture_must_open(*state, 0, 1);
	struct found f = {0};
	const struct wire_request readback = {
		.command = NBD_CMD_READBACK, .length_bytes = CHUNKS, .user = &f};
	const struct wire_request read = {
		.command = NBD_CMD_READ, .length_bytes = sizeof(into), .into = into, .user = into};
	struct wire_done done;

	fill(n);
	n->readback_fn = take_found;
	n->readback_ctx = &f;
	n->report_end = CHUNKS;
	/* Long enough for the other answer, which alone ends it, unless that waits for this one. */
	atomic_store(&hangs_until_ms, clock_ms() + FIXTURE_PATIENCE_MS / 2);
	assert_int_equal(wire_nbd_submit(n, &readback), 0);
	assert_int_equal(wire_nbd_submit(n, &read), 0);
	assert_int_equal(wire_nbd_reap(n, -1, &done), 1);
	atomic_store(&hangs_until_ms, 0);
	assert_ptr_equal(done.user, into);
	assert_int_equal(done.rc, 0);
	assert_int_equal(wire_nbd_reap(n, -1, &done), 1);
	assert_ptr_equal(done.user, &f);
	assert_int_equal(done.rc, 0);
	assert_int_equal(f.next, CHUNKS);
	wire_nbd_close(n);
}

struct writer_thread {
	struct fixture *f;
	pthread_t thread;
	_Atomic bool stop;
	atomic_uint rounds;
};

static void *write_on(void *arg)
{
	struct writer_thread *w = arg;
	struct wire_nbd *n = fixture_must_open(w->f, 0, 1);

	for (unsigned i = 0; !atomic_load(&w->stop); atomic_store(&w->rounds, ++i))
		send_chunk(n, i % 4, 1000 + i, i % 2);
	wire_nbd_close(n);
	return NULL;
}

/* What is being overwritten is neither found to differ nor told with a wrong digest. */
static void writers_beside_it_are_no_differences(void **state)
{
	struct writer_thread w = {.f = *state};
	struct wire_nbd *n = fixture_must_open(*state, 0, 1);

	assert_int_equal(pthread_create(&w.thread, NULL, write_on, &w), 0);
	/* Until both have been at it for a while. */
	for (int i = 0; i < 50 || atomic_load(&w.rounds) < 50; i++)
		assert_int_equal(read_back(n, 0, 4).differing, 0);
	atomic_store(&w.stop, true);
	pthread_join(w.thread, NULL);
	wire_nbd_close(n);
}

static void a_client_that_leaves_in_the_middle_leaves_nothing_behind(void **state)
{
	struct wire_nbd *n = fixture_must_open(*state, 0, 1);
	struct wire_request r = {.command = NBD_CMD_READBACK, .length_bytes = CHUNKS};
	struct wire_done done;

	fill(n);
	assert_int_equal(wire_nbd_submit(n, &r), 0);
	assert_true(wire_nbd_reap(n, 0, &done) >= 0);
	wire_nbd_abort(n);
	wire_nbd_close(n);
	/* Its chunks are held by nobody: they can be written. */
	n = fixture_must_open(*state, 0, 1);
	fill(n);
	wire_nbd_close(n);
}

#define test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(what_was_written_is_found_again),
		test(a_flipped_bit_is_found_and_its_chunk_forgotten),
		test(data_that_became_a_hole_or_is_gone_differs),
		test(four_empty_terabytes_are_read_back_at_once),
		test(others_are_answered_meanwhile),
		test(writers_beside_it_are_no_differences),
		test(a_client_that_leaves_in_the_middle_leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
