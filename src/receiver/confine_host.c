/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * open() in the uploader. Libraries want to read some files of this machine: where its name server
 * is, whom it trusts, how much memory is free. The filter answers the call with SIGSYS; its handler
 * asks the keeper for the file and puts the descriptor in the place of the call's result. What the
 * keeper does not name as such a file is refused. Whoever had the process in his hand could leave
 * the handler out, and would then open nothing at all.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "base/err.h"
#include "receiver/confine_private.h"
#include "receiver/vault_private.h"

/* A handler of signals has nothing but globals. Set once, before there are threads. */
static int host_fd = -1;
static pthread_mutex_t host_lock = PTHREAD_MUTEX_INITIALIZER;

static int open_host(const char *path, int flags)
{
	int number = vault_host(path), fd;

	if (number < 0 || (flags & O_ACCMODE) != O_RDONLY)
		return -EACCES;
	pthread_mutex_lock(&host_lock);
	fd = keeper_open_host(host_fd, (unsigned)number);
	pthread_mutex_unlock(&host_lock);
	return fd;
}

/* The signal comes of a call of the very thread, so everything may be done that the call might. */
static void on_call(int signal, siginfo_t *info, void *context)
{
	greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
	int kept = errno;

	(void)signal;
	if (info->si_syscall == SYS_open)
		r[REG_RAX] = open_host((const char *)r[REG_RDI], (int)r[REG_RSI]);
	else if (info->si_syscall == SYS_openat)
		r[REG_RAX] = open_host((const char *)r[REG_RSI], (int)r[REG_RDX]);
	else
		r[REG_RAX] = -EPERM;
	errno = kept;
}

int confine_uploader(int fd)
{
	struct sigaction action = {.sa_sigaction = on_call, .sa_flags = SA_SIGINFO};
	int rc;

	host_fd = fd;
	rc = sigaction(SIGSYS, &action, NULL) < 0 ? -errno : filter_install(FILTER_UPLOADER);
	return rc < 0 ? fail_code(rc, "CONFINE_FAILED",
				  "this kernel cannot keep the uploader from opening files: %s",
				  strerror(-rc))
		      : 0;
}
