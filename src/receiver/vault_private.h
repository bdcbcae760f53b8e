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
	int host_fd;			      /* the uploader's end; -1: none, or taken */
	pid_t keeper;
	int *devices; /* of the keeper: VAULT_HOWS of each, open, or -errno; NULL: not opened yet */
};

/* The work itself, in this process: a descriptor, 0, or -errno without a reason. */
int vault_open_here(struct vault *v, enum vault_kind kind, unsigned index, enum vault_how how);
int vault_commit_here(struct vault *v, enum vault_kind kind, unsigned index);

/* Have the keeper do it. */
int keeper_start(struct vault *v);
void keeper_stop(struct vault *v);
int keeper_open(struct vault *v, enum vault_kind kind, unsigned index, enum vault_how how);
int keeper_commit(struct vault *v, enum vault_kind kind, unsigned index);

/* From the uploader's process: a descriptor, or -errno without a reason. */
int keeper_open_host(int host_fd, unsigned number);

/* In the keeper, while it still may: open all devices. */
int vault_open_devices(struct vault *v);

#endif
