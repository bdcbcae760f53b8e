/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TLS streams between two threads, with somebody on the line who hands bytes on in odd pieces,
 * changes one, or hangs up.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/io.h"
#include "unit.h"
#include "wire/wire.h"

#define TOTAL_BYTES ((size_t)3 << 20)
#define NEVER	    UINT64_MAX

static const size_t sizes[] = {1, 28, 16384, 130, 16383, 3, 16385, 70000, 5, 1 << 20, 32768, 7};

struct line {
	int from, to;
	size_t piece_bytes;
	uint64_t flip_at, cut_at; /* of the bytes that the reader is sent */
};

struct writer_end {
	int fd;
	const struct wire_identity *id;
	bool flush_each;
	int rc;
};

static struct wire_identity *id;
static uint8_t sent[TOTAL_BYTES], got[TOTAL_BYTES];

static void *hand_on(void *arg)
{
	struct line *l = arg;
	uint8_t buf[65536];
	uint64_t done = 0;
	ssize_t n;

	while ((n = read(l->from, buf, l->piece_bytes)) > 0) {
		if (l->flip_at >= done && l->flip_at < done + (uint64_t)n)
			buf[l->flip_at - done] ^= 4;
		done += (uint64_t)n;
		if (done > l->cut_at || io_write(l->to, buf, (size_t)n, "line") < 0)
			break;
	}
	shutdown(l->to, SHUT_WR);
	shutdown(l->from, SHUT_RD);
	return NULL;
}

/* A server that has much to say. */
static void *write_all(void *arg)
{
	struct writer_end *w = arg;
	struct wire_stream *s = NULL;
	size_t done = 0;

	w->rc = wire_stream_new(w->fd, "reader", &s);
	if (w->rc == 0)
		w->rc = wire_stream_tls_server(s, w->id);
	for (size_t i = 0; w->rc == 0 && done < TOTAL_BYTES; i++) {
		size_t n = sizes[i % (sizeof(sizes) / sizeof(*sizes))];

		n = n < TOTAL_BYTES - done ? n : TOTAL_BYTES - done;
		w->rc = wire_stream_write(s, sent + done, n);
		if (w->rc == 0 && w->flush_each)
			w->rc = wire_stream_flush(s);
		done += n;
	}
	/* The last bytes may have had no flush: the goodbye takes them along. */
	if (w->rc == 0)
		wire_stream_close(s);
	wire_stream_free(s);
	return NULL;
}

/* Reads in sizes of its own until it fails; returns that, and how much was read. */
static int read_all(struct wire_stream *s, size_t offset, size_t *bytes)
{
	int rc = 0;

	*bytes = 0;
	for (size_t i = offset; rc == 0; i++) {
		size_t n = sizes[i % (sizeof(sizes) / sizeof(*sizes))];
		size_t left = TOTAL_BYTES - *bytes;

		rc = wire_stream_read(s, got + *bytes, n < left || left == 0 ? n : left);
		if (rc == 0)
			*bytes += n < left ? n : left;
	}
	return rc;
}

/* Runs a line of that kind; what the reader met in the end, and how much it has. */
static int run(struct line line, bool flush_each, size_t offset, size_t *bytes)
{
	struct writer_end w = {.id = id, .flush_each = flush_each};
	struct line back = {.piece_bytes = 65536, .flip_at = NEVER, .cut_at = NEVER};
	pthread_t threads[3];
	struct wire_stream *s;
	int a[2], b[2], rc;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, a), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, b), 0);
	w.fd = a[0];
	line.from = back.to = a[1];
	line.to = back.from = b[0];
	memset(got, 0, sizeof(got));
	assert_int_equal(wire_stream_new(b[1], "writer", &s), 0);
	assert_int_equal(pthread_create(&threads[0], NULL, write_all, &w), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, hand_on, &line), 0);
	assert_int_equal(pthread_create(&threads[2], NULL, hand_on, &back), 0);
	rc = wire_stream_tls_client(s, wire_identity_pin(id), NULL);
	assert_int_equal(rc, 0);
	rc = read_all(s, offset, bytes);
	wire_stream_free(s);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	close(a[1]);
	close(b[0]);
	return rc;
}

static void bytes_arrive_whatever_the_sizes(void **state)
{
	static const size_t pieces[] = {65536, 1000, 16413};

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		struct line line = {
			.piece_bytes = pieces[i % 3], .flip_at = NEVER, .cut_at = NEVER};
		size_t bytes;

		assert_int_equal(run(line, i >= 3, i * 5, &bytes), -EPIPE);
		assert_int_equal(bytes, TOTAL_BYTES);
		assert_memory_equal(got, sent, TOTAL_BYTES);
	}
}

static void what_is_changed_on_its_way_is_not_taken(void **state)
{
	(void)state;
	for (uint64_t at = 2000000; at < 2016384; at += 1009) {
		struct line line = {.piece_bytes = 4096, .flip_at = at, .cut_at = NEVER};
		size_t bytes;

		assert_int_equal(run(line, false, 3, &bytes), -ECONNRESET);
		assert_string_equal(err_code(), "NETWORK_CORRUPTS");
		assert_in_range(bytes, 1 << 19, 2000000);
		assert_memory_equal(got, sent, bytes);
	}
}

static void a_line_that_is_cut_is_no_end(void **state)
{
	struct line line = {.piece_bytes = 4096, .flip_at = NEVER, .cut_at = 2000000};
	size_t bytes;

	(void)state;
	assert_int_equal(run(line, false, 9, &bytes), -ECONNRESET);
	assert_string_equal(err_code(), "RECEIVER_UNREACHABLE");
	assert_memory_equal(got, sent, bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_arrive_whatever_the_sizes),
		cmocka_unit_test(what_is_changed_on_its_way_is_not_taken),
		cmocka_unit_test(a_line_that_is_cut_is_no_end),
	};
	char dir[] = "/tmp/coldlift-stream-XXXXXX", path[64];
	int failed;

	for (size_t i = 0; i < TOTAL_BYTES; i++)
		sent[i] = (uint8_t)(i * 31 + (i >> 8) * 7 + (i >> 16));
	signal(SIGPIPE, SIG_IGN); /* whoever hands on to an end that is gone */
	if (!mkdtemp(dir) || wire_identity_load(dir, NULL, 0, &id) < 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	wire_identity_free(id);
	snprintf(path, sizeof(path), "%s/key.pem", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/cert.pem", dir);
	unlink(path);
	rmdir(dir);
	return failed;
}
