/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between vault.c, which opens, and keeper.c, which lets another process do it. */
#ifndef RECEIVER_VAULT_PRIVATE_H
#define RECEIVER_VAULT_PRIVATE_H

#include <pthread.h>
#include <sys/types.h>

#include "receiver/vault.h"

struct vault {
	struct vault_options o;
	int state_fd, artefacts_fd, files_fd; /* directories; files_fd -1: devices */
	pthread_mutex_t lock;		      /* one request at a time */
	int keeper_fd;			      /* -1: none */
	pid_t keeper;
};

/* The work itself, in this process: a descriptor, 0, or -errno without a reason. */
int vault_open_here(struct vault *v, enum vault_kind kind, unsigned index, enum vault_how how);
int vault_commit_here(struct vault *v, enum vault_kind kind, unsigned index);

/* Have the keeper do it. */
int keeper_start(struct vault *v);
void keeper_stop(struct vault *v);
int keeper_open(struct vault *v, enum vault_kind kind, unsigned index, enum vault_how how);
int keeper_commit(struct vault *v, enum vault_kind kind, unsigned index);

#endif
