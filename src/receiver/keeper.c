/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The keeper: opens what is in the vault for a server that cannot. What it takes from the server is
 * four bytes, each of which it checks; there is nothing in them to parse. It ends when the server
 * does.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "receiver/confine.h"
#include "receiver/vault_private.h"

enum keeper_op { KEEPER_OPEN = 1, KEEPER_COMMIT = 2 };

struct request {
	uint8_t op, kind, index, how;
};

union fd_room {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

static int carry_out(struct vault *v, const struct request *q)
{
	if (q->kind >= VAULT_KINDS || q->how >= VAULT_HOWS)
		return -EINVAL;
	switch (q->op) {
	case KEEPER_OPEN:
		return vault_open_here(v, q->kind, q->index, q->how);
	case KEEPER_COMMIT:
		return vault_commit_here(v, q->kind, q->index);
	default:
		return -EINVAL;
	}
}

/* rc, and the descriptor that goes with it (-1: none). */
static int send_answer(int socket_fd, int rc, int fd)
{
	union fd_room room = {0};
	struct iovec part = {.iov_base = &rc, .iov_len = sizeof(rc)};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
	struct cmsghdr *c;

	if (fd >= 0) {
		m.msg_control = room.bytes;
		m.msg_controllen = sizeof(room.bytes);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	return sendmsg(socket_fd, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static _Noreturn void run_keeper(struct vault *v, int socket_fd)
{
	/* The terminal's signals are the server's affair: it still needs us while it ends. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	prctl(PR_SET_NAME, "recv-keeper");
	confine_keeper();
	for (;;) {
		struct request q;
		ssize_t n = recv(socket_fd, &q, sizeof(q), 0);
		int rc;

		if (n < 0 && errno == EINTR)
			continue;
		if (n != sizeof(q))
			_exit(0);
		rc = carry_out(v, &q);
		if (q.op == KEEPER_OPEN && rc >= 0) {
			n = send_answer(socket_fd, 0, rc);
			close(rc);
		} else {
			n = send_answer(socket_fd, rc, -1);
		}
		if (n < 0)
			_exit(0);
	}
}

int keeper_start(struct vault *v)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return fail(errno, "socket pair");
	v->keeper = fork();
	if (v->keeper == 0) {
		close(pair[0]);
		run_keeper(v, pair[1]);
	}
	close(pair[1]);
	if (v->keeper < 0) {
		close(pair[0]);
		return fail(errno, "the keeper's process");
	}
	v->keeper_fd = pair[0];
	return 0;
}

void keeper_stop(struct vault *v)
{
	if (v->keeper_fd < 0)
		return;
	close(v->keeper_fd);
	while (waitpid(v->keeper, NULL, 0) < 0 && errno == EINTR)
		;
}

/* The answer: 0 or -errno, and a descriptor where one came (-1: none). */
static int receive_answer(int socket_fd, int *fd)
{
	union fd_room room;
	int rc = 0;
	struct iovec part = {.iov_base = &rc, .iov_len = sizeof(rc)};
	struct msghdr m = {.msg_iov = &part,
			   .msg_iovlen = 1,
			   .msg_control = room.bytes,
			   .msg_controllen = sizeof(room.bytes)};
	struct cmsghdr *c;
	ssize_t n;

	*fd = -1;
	do
		n = recvmsg(socket_fd, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n != sizeof(rc))
		return -EPIPE;
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(*fd)))
		memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	return rc;
}

static int ask(struct vault *v, const struct request *q, int *fd)
{
	LOCK_SCOPE(&v->lock);

	*fd = -1;
	if (send(v->keeper_fd, q, sizeof(*q), MSG_NOSIGNAL) != sizeof(*q))
		return -EPIPE;
	return receive_answer(v->keeper_fd, fd);
}

int keeper_open(struct vault *v, enum vault_kind kind, unsigned index, enum vault_how how)
{
	const struct request q = {KEEPER_OPEN, (uint8_t)kind, (uint8_t)index, (uint8_t)how};
	int fd, rc = ask(v, &q, &fd);

	if (rc < 0)
		return rc;
	return fd < 0 ? -EPIPE : fd;
}

int keeper_commit(struct vault *v, enum vault_kind kind, unsigned index)
{
	const struct request q = {KEEPER_COMMIT, (uint8_t)kind, (uint8_t)index, 0};
	int fd;

	return ask(v, &q, &fd);
}
