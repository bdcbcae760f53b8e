/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Streams. Two buffers hold what is on the wire; when the stream is TLS, the engine stands between
 * them and the caller, and is turned whenever one side has something for it:
 *
 *   caller -> [engine: application in | records out] -> out -> socket
 *   caller <- [engine: application out | records in] <- in  <- socket
 *
 * Under AES-GCM the caller's bytes go around the engine once hands are shaken (wire_record.h): it
 * only gets what is no application data.
 *
 * Nothing here waits except stream_wait_events() and wire_stream_wait().
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/num.h"
#include "wire/wire_stream.h"

#define CLOSE_WAIT_MS 500

int wire_stream_new(int fd, const char *peer, struct wire_stream **out)
{
	struct wire_stream *s = calloc(1, sizeof(*s));

	if (s) {
		s->fd = fd;
		snprintf(s->peer, sizeof(s->peer), "%s", peer);
		s->in.data = malloc(STREAM_BUF_BYTES);
		s->out.data = malloc(STREAM_BUF_BYTES);
	}
	if (!s || !s->in.data || !s->out.data ||
	    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0) {
		int rc = fail(errno ? errno : ENOMEM, "stream to %s", peer);

		if (s)
			wire_stream_free(s);
		else
			close(fd);
		return rc;
	}
	*out = s;
	return 0;
}

void wire_stream_free(struct wire_stream *s)
{
	if (!s)
		return;
	if (s->tls) {
		explicit_bzero(s->tls, sizeof(*s->tls));
		free(s->tls);
	}
	free(s->in.data);
	free(s->out.data);
	close(s->fd);
	free(s);
}

void wire_stream_timeout(struct wire_stream *s, uint64_t no_progress_ms)
{
	s->no_progress_ms = no_progress_ms;
}

void wire_stream_deadline(struct wire_stream *s, uint64_t at_ms)
{
	s->deadline_ms = at_ms;
}

bool wire_stream_is_tls(const struct wire_stream *s)
{
	return s->tls != NULL;
}

const char *wire_stream_peer(const struct wire_stream *s)
{
	return s->peer;
}

void wire_stream_abort(struct wire_stream *s)
{
	shutdown(s->fd, SHUT_RDWR);
}

void wire_stream_counters(const struct wire_stream *s, uint64_t *sent_bytes,
			  uint64_t *received_bytes)
{
	*sent_bytes = atomic_load_explicit(&s->sent_bytes, memory_order_relaxed);
	*received_bytes = atomic_load_explicit(&s->received_bytes, memory_order_relaxed);
}

static int broken(struct wire_stream *s, int errnum)
{
	return fail_code(errnum, "RECEIVER_UNREACHABLE", "the connection to %s broke: %s", s->peer,
			 strerror(errnum));
}

int stream_fill(struct wire_stream *s)
{
	struct stream_buf *b = &s->in;
	ssize_t n;

	if (s->ended)
		return 0;
	/* The start of a record, or nothing, moves to the front for the sake of a long read. */
	if (b->at > STREAM_BUF_BYTES / 2 || b->at == b->end || b->end == STREAM_BUF_BYTES) {
		memmove(b->data, b->data + b->at, b->end - b->at);
		b->end -= b->at;
		b->at = 0;
	}
	if (b->end == STREAM_BUF_BYTES)
		return 0;
	n = recv(s->fd, b->data + b->end, STREAM_BUF_BYTES - b->end, 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : broken(s, errno);
	if (n == 0) {
		s->ended = true;
		return 1;
	}
	b->end += (size_t)n;
	atomic_fetch_add_explicit(&s->received_bytes, (uint64_t)n, memory_order_relaxed);
	return 1;
}

int stream_drain(struct wire_stream *s)
{
	struct stream_buf *b = &s->out;
	ssize_t n;

	if (b->at == b->end)
		return 0;
	n = send(s->fd, b->data + b->at, b->end - b->at, MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : broken(s, errno);
	b->at += (size_t)n;
	if (b->at == b->end)
		b->at = b->end = 0;
	atomic_fetch_add_explicit(&s->sent_bytes, (uint64_t)n, memory_order_relaxed);
	return 1;
}

bool stream_engine_turn(struct wire_stream *s)
{
	bool moved = false;
	unsigned char *p;
	size_t room, n;

	while (s->out.end < STREAM_BUF_BYTES && (p = br_ssl_engine_sendrec_buf(s->engine, &room))) {
		n = min_of(room, (size_t)(STREAM_BUF_BYTES - s->out.end));
		memcpy(s->out.data + s->out.end, p, n);
		s->out.end += n;
		br_ssl_engine_sendrec_ack(s->engine, n);
		moved = true;
	}
	while (s->in.at < s->in.end && (p = br_ssl_engine_recvrec_buf(s->engine, &room))) {
		n = min_of(room, s->in.end - s->in.at);
		memcpy(p, s->in.data + s->in.at, n);
		s->in.at += n;
		br_ssl_engine_recvrec_ack(s->engine, n);
		moved = true;
	}
	return moved;
}

int stream_engine_error(struct wire_stream *s)
{
	int error = br_ssl_engine_last_error(s->engine);

	if (error == BR_ERR_OK)
		return -EPIPE;
	/* Both ends have agreed and shown their keys: what goes wrong now was changed on its way.
	 */
	if (s->secret)
		return fail_code(ECONNRESET, "NETWORK_CORRUPTS",
				 "what goes to or comes from %s was changed on its way (TLS %s %d)",
				 s->peer, error >= BR_ERR_RECV_FATAL_ALERT ? "alert" : "error",
				 error % BR_ERR_RECV_FATAL_ALERT);
	if (error >= BR_ERR_RECV_FATAL_ALERT && error < BR_ERR_SEND_FATAL_ALERT)
		return fail_code(EPROTO, "TLS_FAILED", "%s broke off TLS (alert %d)", s->peer,
				 error - BR_ERR_RECV_FATAL_ALERT);
	return fail_code(EPROTO, "TLS_FAILED", "TLS with %s failed (BearSSL error %d)", s->peer,
			 error);
}

int stream_wait_events(struct wire_stream *s, short events)
{
	struct pollfd p = {.fd = s->fd, .events = events};
	uint64_t now = clock_ms();
	uint64_t until = s->no_progress_ms ? now + s->no_progress_ms : UINT64_MAX;

	if (s->deadline_ms)
		until = min_of(until, s->deadline_ms);
	for (;;) {
		int n, ms = -1;

		if (until != UINT64_MAX)
			ms = until > now ? (int)min_of(until - now, (uint64_t)1 << 30) : 0;
		n = poll(&p, 1, ms);
		if (n > 0)
			return 0;
		now = clock_ms();
		if (n == 0 && now >= until)
			return fail_code(ETIMEDOUT, "RECEIVER_UNREACHABLE", "%s does not answer",
					 s->peer);
		if (n < 0 && errno != EINTR)
			return broken(s, errno);
	}
}

static ssize_t plain_read(struct wire_stream *s, uint8_t *buf, size_t n)
{
	size_t have;
	int rc;

	if (s->in.at == s->in.end) {
		rc = stream_fill(s);
		if (rc < 0)
			return rc;
	}
	have = min_of(n, s->in.end - s->in.at);
	memcpy(buf, s->in.data + s->in.at, have);
	s->in.at += have;
	return have == 0 && s->ended ? -EPIPE : (ssize_t)have;
}

/* The engine has all of the last record that it was given any of. */
static bool engine_between_records(const struct wire_stream *s)
{
	size_t room;

	return br_ssl_engine_recvrec_buf(s->engine, &room) == s->tls->engine_in;
}

/* What an earlier record left over. */
static size_t take_opened(struct stream_tls *t, uint8_t *buf, size_t n)
{
	n = min_of(n, t->opened_end - t->opened_at);
	if (n)
		memcpy(buf, t->opened + t->opened_at, n);
	t->opened_at += n;
	return n;
}

/*
 * Open the next record, into the caller's memory if it is not longer than that. 1: *got bytes are
 * there (or the record was empty), 0: it is not all there yet, -1: let the engine see it, which
 * knows what is to be said of a damaged one.
 */
static int open_next(struct wire_stream *s, uint8_t *buf, size_t n, size_t *got)
{
	struct stream_tls *t = s->tls;
	const uint8_t *record = s->in.data + s->in.at;
	size_t record_bytes, plain_bytes;
	enum record_found found;

	*got = 0;
	if (!engine_between_records(s))
		return -1;
	found = record_look(record, s->in.end - s->in.at, &record_bytes, &plain_bytes);
	if (found != RECORD_WHOLE)
		return found == RECORD_PART ? 0 : -1;
	if (!record_open(&t->records.in, record, plain_bytes, plain_bytes <= n ? buf : t->opened))
		return -1;
	s->in.at += record_bytes;
	if (plain_bytes <= n) {
		*got = plain_bytes;
		return 1;
	}
	t->opened_at = 0;
	t->opened_end = plain_bytes;
	*got = take_opened(t, buf, n);
	return 1;
}

static ssize_t tls_read(struct wire_stream *s, uint8_t *buf, size_t n)
{
	size_t got = take_opened(s->tls, buf, n);

	while (got < n) {
		size_t room;
		const unsigned char *p = br_ssl_engine_recvapp_buf(s->engine, &room);
		int rc;

		if (p) {
			room = min_of(room, n - got);
			memcpy(buf + got, p, room);
			br_ssl_engine_recvapp_ack(s->engine, room);
			got += room;
			continue;
		}
		if (br_ssl_engine_current_state(s->engine) == BR_SSL_CLOSED)
			return got ? (ssize_t)got : stream_engine_error(s);
		rc = s->direct ? open_next(s, buf + got, n - got, &room) : -1;
		if (rc > 0) {
			got += room;
			continue;
		}
		if (rc < 0 && stream_engine_turn(s))
			continue;
		rc = stream_fill(s);
		if (rc < 0)
			return rc;
		if (rc == 0 || s->ended)
			return got == 0 && s->ended ? -EPIPE : (ssize_t)got;
	}
	return (ssize_t)got;
}

ssize_t wire_stream_read_some(struct wire_stream *s, void *buf, size_t n)
{
	return s->tls ? tls_read(s, buf, n) : plain_read(s, buf, n);
}

int wire_stream_read(struct wire_stream *s, void *buf, size_t n)
{
	uint8_t *at = buf;
	size_t left = n;

	while (left > 0) {
		ssize_t got = wire_stream_read_some(s, at, left);
		int rc;

		if (got == -EPIPE)
			return fail_code(left == n ? EPIPE : ECONNRESET, "RECEIVER_UNREACHABLE",
					 "%s closed the connection%s", s->peer,
					 left == n ? "" : " midway");
		if (got < 0)
			return (int)got;
		at += got;
		left -= (size_t)got;
		if (left == 0 || got > 0)
			continue;
		rc = wire_stream_push_some(s);
		if (rc >= 0)
			rc = stream_wait_events(s, rc ? POLLIN : POLLIN | POLLOUT);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int wire_stream_skip(struct wire_stream *s, uint64_t n)
{
	uint8_t waste[4096];

	while (n > 0) {
		size_t part = min_of(n, (uint64_t)sizeof(waste));
		int rc = wire_stream_read(s, waste, part);

		if (rc < 0)
			return rc;
		n -= part;
	}
	return 0;
}

static ssize_t plain_write(struct wire_stream *s, const uint8_t *buf, size_t n)
{
	size_t done = 0;

	while (done < n) {
		size_t room = STREAM_BUF_BYTES - s->out.end;
		int rc;

		if (room > 0) {
			room = min_of(room, n - done);
			memcpy(s->out.data + s->out.end, buf + done, room);
			s->out.end += room;
			done += room;
			continue;
		}
		rc = stream_drain(s);
		if (rc < 0)
			return rc;
		if (rc == 0)
			break;
	}
	return (ssize_t)done;
}

/* A record of the caller's bytes. False when there is no room for it. */
static bool seal(struct wire_stream *s, const uint8_t *plain, size_t bytes)
{
	size_t waiting;

	/* What the engine has to say comes first, as its records were counted first. */
	if (br_ssl_engine_sendrec_buf(s->engine, &waiting))
		stream_engine_turn(s);
	if (br_ssl_engine_sendrec_buf(s->engine, &waiting) ||
	    STREAM_BUF_BYTES - s->out.end < bytes + RECORD_EXTRA_BYTES)
		return false;
	s->out.end += record_seal(&s->tls->records.out, plain, bytes, s->out.data + s->out.end);
	return true;
}

static bool seal_staged(struct wire_stream *s)
{
	struct stream_tls *t = s->tls;

	if (t->staged_bytes > 0 && !seal(s, t->staged, t->staged_bytes))
		return false;
	t->staged_bytes = 0;
	return true;
}

/* As many of these as there is room for: whole records at once, what is less gathers until there is
 * a record of it, or until it is to be pushed. */
static size_t write_around(struct wire_stream *s, const uint8_t *buf, size_t n)
{
	struct stream_tls *t = s->tls;
	size_t done = 0;

	while (done < n) {
		size_t left = n - done, part = min_of(left, RECORD_PLAIN_MAX - t->staged_bytes);

		if (t->staged_bytes == RECORD_PLAIN_MAX ||
		    (t->staged_bytes > 0 && left >= RECORD_PLAIN_MAX)) {
			if (!seal_staged(s))
				break;
		} else if (part == RECORD_PLAIN_MAX) {
			if (!seal(s, buf + done, part))
				break;
			done += part;
		} else {
			memcpy(t->staged + t->staged_bytes, buf + done, part);
			t->staged_bytes += part;
			done += part;
		}
	}
	return done;
}

static ssize_t tls_write(struct wire_stream *s, const uint8_t *buf, size_t n)
{
	size_t done = 0;

	while (done < n) {
		size_t room;
		unsigned char *p = br_ssl_engine_sendapp_buf(s->engine, &room);
		int rc;

		if (p && s->direct) {
			room = write_around(s, buf + done, n - done);
			done += room;
			if (room > 0)
				continue;
		} else if (p) {
			room = min_of(room, n - done);
			memcpy(p, buf + done, room);
			br_ssl_engine_sendapp_ack(s->engine, room);
			done += room;
			continue;
		}
		if (br_ssl_engine_current_state(s->engine) == BR_SSL_CLOSED) {
			rc = stream_engine_error(s);
			return rc == -EPIPE ? broken(s, EPIPE) : rc;
		}
		if (stream_engine_turn(s))
			continue;
		rc = stream_drain(s);
		if (rc < 0)
			return rc;
		if (rc == 0)
			break;
	}
	return (ssize_t)done;
}

ssize_t wire_stream_write_some(struct wire_stream *s, const void *buf, size_t n)
{
	return s->tls ? tls_write(s, buf, n) : plain_write(s, buf, n);
}

int wire_stream_push_some(struct wire_stream *s)
{
	for (;;) {
		int rc;

		if (s->direct)
			seal_staged(s);
		else if (s->tls)
			br_ssl_engine_flush(s->engine, 0);
		if (s->tls)
			stream_engine_turn(s);
		rc = stream_drain(s);
		if (rc < 0)
			return rc;
		if (rc == 0)
			break;
	}
	return s->out.at == s->out.end && (!s->direct || s->tls->staged_bytes == 0);
}

int wire_stream_write(struct wire_stream *s, const void *buf, size_t n)
{
	const uint8_t *at = buf;

	while (n > 0) {
		ssize_t done = wire_stream_write_some(s, at, n);
		int rc;

		if (done < 0)
			return (int)done;
		at += done;
		n -= (size_t)done;
		if (n == 0)
			break;
		rc = stream_wait_events(s, POLLOUT);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int wire_stream_flush(struct wire_stream *s)
{
	for (;;) {
		int rc = wire_stream_push_some(s);

		if (rc != 0)
			return rc < 0 ? rc : 0;
		rc = stream_wait_events(s, POLLOUT);
		if (rc < 0)
			return rc;
	}
}

/* True when a read would give something, or an end, without asking the socket. */
static bool readable_now(struct wire_stream *s)
{
	size_t room, plain;

	if (!s->tls)
		return s->in.at < s->in.end || s->ended;
	if (s->tls->opened_at < s->tls->opened_end)
		return true;
	while (!br_ssl_engine_recvapp_buf(s->engine, &room)) {
		enum record_found found = RECORD_OTHER;

		if (s->ended || br_ssl_engine_current_state(s->engine) == BR_SSL_CLOSED)
			return true;
		if (s->direct && engine_between_records(s))
			found = record_look(s->in.data + s->in.at, s->in.end - s->in.at, &room,
					    &plain);
		if (found != RECORD_OTHER)
			return found == RECORD_WHOLE;
		if (!stream_engine_turn(s))
			return false;
	}
	return true;
}

int wire_stream_wait(struct wire_stream *s, bool or_writable, int extra_fd, int timeout_ms)
{
	struct pollfd p[2] = {{.fd = s->fd, .events = POLLIN}, {.fd = extra_fd, .events = POLLIN}};
	int n;

	if (readable_now(s))
		return 1;
	if (or_writable || s->out.at < s->out.end)
		p[0].events |= POLLOUT;
	n = poll(p, 2, timeout_ms);
	if (n < 0)
		return errno == EINTR ? 0 : broken(s, errno);
	return n > 0;
}

void wire_stream_close(struct wire_stream *s)
{
	struct pollfd p = {.fd = s->fd, .events = POLLOUT};

	while (wire_stream_push_some(s) == 0 && poll(&p, 1, CLOSE_WAIT_MS) > 0)
		;
	if (s->tls)
		br_ssl_engine_close(s->engine);
	for (;;) {
		if (s->tls)
			stream_engine_turn(s);
		if (stream_drain(s) < 0 || s->out.at == s->out.end)
			break;
		if (poll(&p, 1, CLOSE_WAIT_MS) <= 0)
			break;
	}
	shutdown(s->fd, SHUT_WR);
}
