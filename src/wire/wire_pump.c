/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The pump between a stream and a socket. Each direction holds at most one buffer of bytes. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "wire/wire_stream.h"

#define PUMP_BYTES (32u << 10)

struct pump {
	struct wire_stream *s;
	int fd;
	struct stream_buf to_fd, to_stream;
	bool stream_ended, fd_ended;
};

/* Both steps: 1 moved, 0 nothing to move now, negative broken. */
static int step_to_fd(struct pump *p)
{
	struct stream_buf *b = &p->to_fd;
	ssize_t n;

	if (b->at == b->end) {
		if (p->stream_ended)
			return 0;
		b->at = b->end = 0;
		n = wire_stream_read_some(p->s, b->data, PUMP_BYTES);
		if (n == -EPIPE) {
			p->stream_ended = true;
			shutdown(p->fd, SHUT_WR);
			return 1;
		}
		if (n <= 0)
			return (int)n;
		b->end = (size_t)n;
	}
	n = send(p->fd, b->data + b->at, b->end - b->at, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	b->at += (size_t)n;
	return 1;
}

static int step_to_stream(struct pump *p)
{
	struct stream_buf *b = &p->to_stream;
	ssize_t n;

	if (b->at == b->end) {
		if (p->fd_ended)
			return 0;
		b->at = b->end = 0;
		n = recv(p->fd, b->data, PUMP_BYTES, MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		if (n == 0) {
			p->fd_ended = true;
			return 1;
		}
		b->end = (size_t)n;
	}
	n = wire_stream_write_some(p->s, b->data + b->at, b->end - b->at);
	if (n < 0)
		return (int)n;
	b->at += (size_t)n;
	return n > 0;
}

static int wait_for_either(struct pump *p)
{
	struct pollfd f[2] = {{.fd = p->s->fd}, {.fd = p->fd}};
	bool out_pending = p->s->out.at < p->s->out.end;

	if (!p->stream_ended && p->to_fd.at == p->to_fd.end)
		f[0].events |= POLLIN;
	if (out_pending || p->to_stream.at < p->to_stream.end)
		f[0].events |= POLLOUT;
	if (p->to_fd.at < p->to_fd.end)
		f[1].events |= POLLOUT;
	if (!p->fd_ended && p->to_stream.at == p->to_stream.end)
		f[1].events |= POLLIN;
	for (int i = 0; i < 2; i++)
		if (f[i].events == 0)
			f[i].fd = -1; /* else a hang-up would be reported for ever */
	if (poll(f, 2, p->s->no_progress_ms ? (int)p->s->no_progress_ms : -1) == 0)
		return -ETIMEDOUT;
	return 0;
}

static int pump_run(struct pump *p)
{
	for (;;) {
		int a, b, pushed;

		a = step_to_fd(p);
		if (a < 0)
			return a;
		b = step_to_stream(p);
		if (b < 0)
			return b;
		pushed = wire_stream_push_some(p->s);
		if (pushed < 0)
			return pushed;
		/* TLS has no half: when the peer has ended there is nothing to send it either. */
		if (p->stream_ended && p->to_fd.at == p->to_fd.end)
			return 0;
		if (p->fd_ended && pushed && p->to_stream.at == p->to_stream.end) {
			wire_stream_close(p->s);
			return 0;
		}
		if (a == 0 && b == 0) {
			int rc = wait_for_either(p);

			if (rc < 0)
				return rc;
		}
	}
}

int wire_pump(struct wire_stream *s, int fd)
{
	CLEANUP_FREE uint8_t *buf = malloc(2 * (size_t)PUMP_BYTES);
	struct pump p = {.s = s, .fd = fd};

	if (!buf)
		return fail(ENOMEM, "memory for a connection");
	p.to_fd.data = buf;
	p.to_stream.data = buf + PUMP_BYTES;
	return pump_run(&p);
}
