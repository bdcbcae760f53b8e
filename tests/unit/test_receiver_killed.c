/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A receiver that is killed with SIGKILL at random moments while clients write to it. After each
 * death its journal must speak the truth: each chunk that it calls known has that digest on the
 * disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "receiver_fixture.h"

#define CHUNKS	24
#define ROUNDS	25
#define WRITERS 3

static pid_t start_process(struct fixture *f)
{
	int pipe_fds[2];
	pid_t pid;
	char text[WIRE_ACTIVATION_TEXT] = "";

	assert_int_equal(pipe(pipe_fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct receiver *r = NULL;
		const char *code;

		if (receiver_start(&f->options, &r) < 0) {
			fprintf(stderr, "receiver: %s %s\n", err_code(), err_reason());
			_exit(1);
		}
		code = receiver_activation(r);
		if (write(pipe_fds[1], code, strlen(code) + 1) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	close(pipe_fds[1]);
	for (size_t n = 0; n < sizeof(text); n++)
		if (read(pipe_fds[0], text + n, 1) != 1 || text[n] == '\0')
			break;
	close(pipe_fds[0]);
	assert_int_equal(wire_activation_parse(text, &f->activation), 0);
	return pid;
}

struct writer_thread {
	struct fixture *f;
	unsigned seed;
	_Atomic uint64_t *written; /* by all */
};

/*
 * The marks of two chunks are asked for, and one of them is patched, unless another writer was
 * faster (-EBADMSG). Negative: the receiver is gone.
 */
static int patch_one(struct wire_nbd *n, uint64_t offset_bytes, uint8_t *data, unsigned *random)
{
	uint8_t marks[WIRE_MARKS_BYTES];
	struct wire_chunk c = {.data = data, .data_bytes = WIRE_CHUNK_BYTES, .patch = true};
	unsigned block = (unsigned)rand_r(random) % WIRE_CHUNK_BLOCKS;
	struct wire_done done;
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < 2; i++) {
		struct wire_request ask = {.command = NBD_CMD_BLOCK_DIGESTS,
					   .flags = NBD_CMD_FLAG_TO_PATCH,
					   .offset_bytes = i ? offset_bytes
							     : (offset_bytes ^ WIRE_CHUNK_BYTES),
					   .length_bytes = 1,
					   .into = marks};

		rc = wire_nbd_call(n, &ask, &done);
	}
	if (rc == 0) {
		struct wire_request get = {.command = NBD_CMD_READ,
					   .offset_bytes = offset_bytes,
					   .length_bytes = WIRE_CHUNK_BYTES,
					   .into = data};

		rc = wire_nbd_call(n, &get, &done);
	}
	if (rc == 0) {
		struct wire_request put = {
			.command = NBD_CMD_CHUNK_WRITE, .offset_bytes = offset_bytes, .chunk = &c};

		memset(data + block * WIRE_BLOCK_BYTES, rand_r(random), WIRE_BLOCK_BYTES);
		c.bitmap[block / 8] = (uint8_t)(1u << block % 8);
		wire_digest(data, WIRE_CHUNK_BYTES, c.digest);
		rc = wire_nbd_call(n, &put, &done);
	}
	return rc == -EBADMSG ? 0 : rc;
}

/* Chunks, patches, zeros and plain bytes at random places until the receiver is gone. */
static void *write_until_it_dies(void *arg)
{
	struct writer_thread *w = arg;
	struct wire_nbd *n = fixture_open(w->f, 0, (uint8_t)(1 + w->seed / 100 % 3));
	CLEANUP_FREE uint8_t *data = malloc(WIRE_CHUNK_BYTES);
	struct wire_done done;
	unsigned random = w->seed;

	while (n) {
		struct wire_chunk c = {.data = data, .data_bytes = WIRE_CHUNK_BYTES};
		struct wire_request r = {.chunk = &c, .data = data};
		unsigned dice = (unsigned)rand_r(&random) % 10;

		r.offset_bytes = (uint64_t)((unsigned)rand_r(&random) % CHUNKS) << WIRE_CHUNK_SHIFT;
		r.command = dice < 7   ? NBD_CMD_CHUNK_WRITE
			    : dice < 9 ? NBD_CMD_WRITE_ZEROES
				       : NBD_CMD_WRITE;
		r.length_bytes = dice < 9 ? WIRE_CHUNK_BYTES : 5000;
		if (dice < 3) {
			if (patch_one(n, r.offset_bytes, data, &random) < 0)
				break;
			atomic_fetch_add(w->written, 1);
			continue;
		}
		for (size_t i = 0; i < WIRE_CHUNK_BYTES; i += 512)
			memset(data + i, rand_r(&random), 512);
		wire_chunk_scan(data, WIRE_CHUNK_BYTES, c.bitmap);
		wire_digest(data, WIRE_CHUNK_BYTES, c.digest);
		if (wire_nbd_call(n, &r, &done) < 0)
			break;
		atomic_fetch_add(w->written, 1);
	}
	wire_nbd_close(n);
	return NULL;
}

/* However short this life is, something of it was called durable. */
static void commit(struct fixture *f)
{
	struct wire_nbd *n = fixture_must_open(f, 0, 0);
	struct wire_durable d;

	if (wire_nbd_durable(n, true, &d) < 0)
		give_up("%s", err_reason());
	wire_nbd_close(n);
}

struct truth {
	int fd;
	unsigned known;
};

static int check_run(void *ctx, uint64_t first, uint32_t count, enum wire_chunk_state state,
		     bool this_run, bool durable, const uint8_t *digests)
{
	struct truth *t = ctx;
	CLEANUP_FREE uint8_t *data = malloc(WIRE_CHUNK_BYTES);

	(void)this_run;
	(void)durable;
	for (uint32_t i = 0; i < count && state != WIRE_UNKNOWN; i++) {
		uint8_t digest[WIRE_DIGEST_MAX], bitmap[WIRE_BITMAP_BYTES];

		assert_int_equal(pread(t->fd, data, WIRE_CHUNK_BYTES,
				       (off_t)((first + i) << WIRE_CHUNK_SHIFT)),
				 WIRE_CHUNK_BYTES);
		wire_digest(data, WIRE_CHUNK_BYTES, digest);
		if (state == WIRE_DATA)
			assert_memory_equal(digest, digests + i * WIRE_DIGEST_BYTES,
					    WIRE_DIGEST_BYTES);
		else
			assert_int_equal(wire_chunk_scan(data, WIRE_CHUNK_BYTES, bitmap), 0);
		t->known += state == WIRE_DATA;
	}
	return 0;
}

static void check_truth(struct fixture *f, struct truth *t)
{
	struct wire_nbd *n = fixture_must_open(f, 0, 0);
	char path[128];

	snprintf(path, sizeof(path), "%s/disk0.raw", f->files);
	t->fd = open(path, O_RDONLY);
	if (wire_nbd_digests(n, 0, CHUNKS, check_run, t) < 0)
		give_up("%s", err_reason());
	close(t->fd);
	wire_nbd_close(n);
}

static void a_killed_receiver_knows_only_what_is_on_the_disk(void **state)
{
	struct fixture f;
	struct truth truth = {0};
	unsigned random = 1;
	uint64_t enough;
	_Atomic uint64_t written = 0;
	pid_t pid;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	fixture_new(&f);
	assert_int_equal(fixture_plan(&f, (uint64_t[]){CHUNKS * MIB, 0}), 0);
	fixture_stop(&f);
	f.options.token_uses = 1000;
	f.options.commit_ms = 10;
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct writer_thread writers[WRITERS];
		pthread_t threads[WRITERS];

		pid = start_process(&f);
		check_truth(&f, &truth);
		for (unsigned i = 0; i < WRITERS; i++) {
			writers[i] = (struct writer_thread){
				.f = &f, .seed = round * 100 + i, .written = &written};
			pthread_create(&threads[i], NULL, write_until_it_dies, &writers[i]);
		}
		/* So many requests later, and a moment that the clock decides. */
		enough = written + 1 + (unsigned)rand_r(&random) % 60;
		while (written < enough)
			usleep(500);
		if (round % 4 == 3)
			commit(&f);
		usleep((unsigned)rand_r(&random) % 3000);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		for (unsigned i = 0; i < WRITERS; i++)
			pthread_join(threads[i], NULL);
	}
	pid = start_process(&f);
	check_truth(&f, &truth);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	print_message("%llu requests in %d lives, %u times a chunk was known after a death\n",
		      (unsigned long long)written, ROUNDS, truth.known);
	assert_true(truth.known > 0);
	fixture_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_killed_receiver_knows_only_what_is_on_the_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
