/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The uploader as a process of its own: it may connect outwards, and has nothing to betray. */
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "receiver/upload.h"

#define DESCRIPTORS_MAX 4096

/* Nothing that was open before it is its affair. */
static void close_others(int socket, int host_fd)
{
	long max = sysconf(_SC_OPEN_MAX);

	if (max < 0 || max > DESCRIPTORS_MAX)
		max = DESCRIPTORS_MAX;
	for (int fd = STDERR_FILENO + 1; fd < max; fd++)
		if (fd != socket && fd != host_fd)
			close(fd);
}

static _Noreturn void run_uploader(const struct confine_user *user, int host_fd, int socket)
{
	/* The terminal's signals are the server's affair: it has to say what is kept. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	prctl(PR_SET_NAME, "recv-uploader");
	close_others(socket, host_fd);
	if (confine_user(user) < 0 || confine_uploader(host_fd) < 0) {
		log_error("images: %s", err_reason());
		_exit(1);
	}
	(void)upload_work(socket);
	_exit(0);
}

int upload_fork(const struct confine_user *user, int host_fd, struct uploader *out)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		close(host_fd);
		return fail(errno, "socket pair to the uploader");
	}
	out->pid = fork();
	if (out->pid == 0) {
		run_uploader(user, host_fd, pair[1]);
	}
	close(host_fd);
	close(pair[1]);
	if (out->pid < 0) {
		close(pair[0]);
		return fail(errno, "start the uploader's process");
	}
	out->socket = pair[0];
	return 0;
}

void upload_join(struct uploader *u)
{
	if (u->socket >= 0)
		close(u->socket);
	u->socket = -1;
	if (u->pid <= 0)
		return;
	while (waitpid(u->pid, NULL, 0) < 0 && errno == EINTR)
		;
}
