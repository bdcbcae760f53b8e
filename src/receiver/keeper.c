/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The keeper: opens what is in the vault for a server that cannot. What it takes from the server is
 * four bytes, each of which it checks; there is nothing in them to parse. It ends when the server
 * does.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/num.h"
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

/* The uploader may read files of this machine, and the server everything else. */
static int carry_out(struct vault *v, const struct request *q, bool uploader)
{
	if (q->kind >= VAULT_KINDS || q->how >= VAULT_HOWS)
		return -EINVAL;
	if ((q->kind == VAULT_HOST) != uploader)
		return -EACCES;
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

/* One request. False: whoever asked is gone. */
static bool serve(struct vault *v, int socket_fd, bool uploader)
{
	struct request q;
	ssize_t n = recv(socket_fd, &q, sizeof(q), 0);
	int rc;

	if (n < 0 && errno == EINTR)
		return true;
	if (n != sizeof(q))
		return false;
	rc = carry_out(v, &q, uploader);
	if (q.op != KEEPER_OPEN || rc < 0)
		return send_answer(socket_fd, rc, -1) == 0;
	n = send_answer(socket_fd, 0, rc);
	close(rc);
	return n == 0;
}

static _Noreturn void run_keeper(struct vault *v, int server_fd, int uploader_fd)
{
	struct pollfd p[2] = {{.fd = server_fd, .events = POLLIN},
			      {.fd = uploader_fd, .events = POLLIN}};
	int rc;

	/* The terminal's signals are the server's affair: it still needs us while it ends. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	prctl(PR_SET_NAME, "recv-keeper");
	rc = vault_open_devices(v);
	if (rc == 0)
		rc = confine_keeper(&v->o.owner.user, v->o.owner.override);
	/* The server reads it first. */
	if (send(server_fd, &rc, sizeof(rc), MSG_NOSIGNAL) < 0 || rc < 0) {
		log_error("%s", err_reason());
		_exit(1);
	}
	for (;;) {
		if (poll(p, ARRAY_SIZE(p), -1) < 0 && errno != EINTR)
			_exit(1);
		if (p[0].revents && !serve(v, server_fd, false))
			_exit(0);
		/* It is not missed: the server ends, and we with it. */
		if (p[1].revents && !serve(v, uploader_fd, true))
			p[1].fd = -1;
	}
}

static int fork_keeper(struct vault *v, const int server[2], const int uploader[2])
{
	int rc = 0;

	v->keeper = fork();
	if (v->keeper == 0) {
		close(server[0]);
		close(uploader[0]);
		run_keeper(v, server[1], uploader[1]);
	}
	close(server[1]);
	close(uploader[1]);
	if (v->keeper < 0) {
		rc = fail(errno, "start the keeper's process");
		close(server[0]);
		close(uploader[0]);
		return rc;
	}
	v->keeper_fd = server[0];
	v->host_fd = uploader[0];
	if (recv(v->keeper_fd, &rc, sizeof(rc), 0) != sizeof(rc) || rc < 0)
		return fail_code(rc < 0 ? rc : -EPIPE, "CONFINE_FAILED",
				 "the receiver's keeper cannot give up its privileges: %s",
				 strerror(rc < 0 ? -rc : EPIPE));
	return 0;
}

int keeper_start(struct vault *v)
{
	int server[2], uploader[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, server) < 0)
		return fail(errno, "socket pair to the keeper");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, uploader) < 0) {
		int error = errno;

		close(server[0]);
		close(server[1]);
		return fail(error, "socket pair to the keeper");
	}
	return fork_keeper(v, server, uploader);
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

int keeper_open_host(int host_fd, unsigned number)
{
	const struct request q = {KEEPER_OPEN, VAULT_HOST, (uint8_t)number, VAULT_READ};
	int fd, rc;

	if (send(host_fd, &q, sizeof(q), MSG_NOSIGNAL) != sizeof(q))
		return -EACCES;
	rc = receive_answer(host_fd, &fd);
	return rc < 0 ? rc : fd < 0 ? -EACCES : fd;
}

int keeper_commit(struct vault *v, enum vault_kind kind, unsigned index)
{
	const struct request q = {KEEPER_COMMIT, (uint8_t)kind, (uint8_t)index, 0};
	int fd;

	return ask(v, &q, &fd);
}
