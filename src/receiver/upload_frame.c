/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Frames between server and uploader; see upload_frame.h. */
#include "receiver/upload_frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/err.h"

#define HEAD_BYTES 8

static int send_all(int socket, const void *data, size_t bytes)
{
	const uint8_t *at = data;

	while (bytes > 0) {
		ssize_t n = send(socket, at, bytes, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(errno, "send to the other process");
		at += n;
		bytes -= (size_t)n;
	}
	return 0;
}

static int send_head(int socket, uint8_t head[HEAD_BYTES], int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec io = {.iov_base = head, .iov_len = HEAD_BYTES};
	struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1};
	struct cmsghdr *c;
	ssize_t n;

	if (fd < 0)
		return send_all(socket, head, HEAD_BYTES);
	m.msg_control = control.bytes;
	m.msg_controllen = sizeof(control.bytes);
	c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	do {
		n = sendmsg(socket, &m, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return fail(errno, "send to the other process");
	return send_all(socket, head + n, HEAD_BYTES - (size_t)n);
}

int upload_frame_send(int socket, enum upload_frame_kind kind, const void *head, size_t head_bytes,
		      const void *data, size_t bytes, int fd)
{
	uint8_t raw[HEAD_BYTES] = {0};
	struct writer w = writer_of(raw, sizeof(raw));
	int rc;

	if (head_bytes + bytes > UPLOAD_FRAME_MAX)
		return fail(EMSGSIZE, "a frame between server and uploader");
	writer_be(&w, (uint64_t)kind << 24, 4);
	writer_be(&w, head_bytes + bytes, 4);
	rc = send_head(socket, raw, fd);
	if (rc == 0)
		rc = send_all(socket, head, head_bytes);
	if (rc == 0)
		rc = send_all(socket, data, bytes);
	return rc;
}

/* So many bytes, with a descriptor that came along in *fd; 0 at the end before the first of them.
 */
static int receive_all(int socket, void *data, size_t bytes, int *fd)
{
	size_t at = 0;

	while (at < bytes) {
		union {
			struct cmsghdr align;
			char bytes[CMSG_SPACE(sizeof(int))];
		} control;
		struct iovec io = {.iov_base = (uint8_t *)data + at, .iov_len = bytes - at};
		struct msghdr m = {.msg_iov = &io,
				   .msg_iovlen = 1,
				   .msg_control = control.bytes,
				   .msg_controllen = sizeof(control.bytes)};
		ssize_t n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC);
		struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(errno, "receive from the other process");
		if (n == 0)
			return at == 0 ? 0 : fail(EPIPE, "a frame of the other process ends early");
		if (c && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int))) {
			if (*fd >= 0)
				close(*fd);
			memcpy(fd, CMSG_DATA(c), sizeof(*fd));
		}
		at += (size_t)n;
	}
	return 1;
}

int upload_frame_receive(int socket, struct upload_frame *out)
{
	uint8_t raw[HEAD_BYTES];
	struct cursor c = cursor_of(raw, sizeof(raw));
	int rc;

	*out = (struct upload_frame){.fd = -1};
	rc = receive_all(socket, raw, sizeof(raw), &out->fd);
	if (rc == 1) {
		out->kind = cursor_be32(&c) >> 24;
		out->bytes = cursor_be32(&c);
		if (out->bytes > UPLOAD_FRAME_MAX)
			rc = fail(EMSGSIZE, "a frame between server and uploader");
	}
	if (rc == 1) {
		out->data = malloc(out->bytes + 1);
		rc = out->data ? 1 : fail(ENOMEM, "memory for a frame");
	}
	if (rc == 1 && out->bytes > 0) {
		rc = receive_all(socket, out->data, out->bytes, &out->fd);
		if (rc == 0)
			rc = fail(EPIPE, "a frame of the other process ends early");
	}
	if (rc == 1) {
		out->data[out->bytes] = '\0';
		return 1;
	}
	free(out->data);
	if (out->fd >= 0)
		close(out->fd);
	*out = (struct upload_frame){.fd = -1};
	return rc;
}
