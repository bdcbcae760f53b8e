/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Giving up what a process does not need: user, capabilities, system calls. There is no way back.
 * Private to receiver. Only while the process has one thread.
 */
#ifndef RECEIVER_CONFINE_H
#define RECEIVER_CONFINE_H

#include <stdbool.h>
#include <sys/types.h>

struct confine_user {
	bool change; /* false: this process is not root, and stays who it is */
	uid_t uid;
	gid_t gid;
};

/*
 * Who a server becomes. name: of a user, or a number; NULL: nobody. Only root can become somebody,
 * and it cannot become root again. Code USER_UNKNOWN.
 */
int confine_find_user(const char *name, struct confine_user *out);

/* As this user, without capabilities, with what it has. Code CONFINE_FAILED. */
int confine_user(const struct confine_user *user);

/* Nothing may be opened, connected, executed, traced or signalled any more. Code CONFINE_FAILED. */
int confine_server(void);

/*
 * The keeper opens files, as this user, and does nothing else. override: it keeps the one
 * capability to open files of others. Code CONFINE_FAILED.
 */
int confine_keeper(const struct confine_user *user, bool override);

/*
 * The uploader connects, and opens nothing by itself: open() asks the keeper through host_fd, which
 * gives what vault_host() names and nothing else. Code CONFINE_FAILED. After confine_user().
 */
int confine_uploader(int host_fd);

#endif
