/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What comes before serving; see receiver.c for the order. Private to receiver. */
#ifndef RECEIVER_SETUP_H
#define RECEIVER_SETUP_H

#include "receiver/server.h"

/*
 * rc, a failure; when it has no code yet it gets this one, or TARGET_FULL where there was no room.
 * path, if not NULL, is what cannot be used therefore.
 */
int setup_coded(int rc, const char *code, const char *path);

/*
 * Make both directories where they are not there, let the owner have them, and see that he may
 * write to them. Codes STATE_UNUSABLE, TARGET_UNUSABLE, TARGET_FULL.
 */
int setup_directories(const struct receiver_options *o, struct owner *owner);

/*
 * Be alone with the state directory and that of the files while r->lock_fd and r->files_lock_fd are
 * open, and load identity and token; the vault is there. Codes STATE_IN_USE, TARGET_IN_USE,
 * TOKEN_FILE_BAD, STATE_UNUSABLE, TARGET_FULL.
 */
int setup_state(const struct receiver_options *o, const struct owner *owner, struct receiver *r);

/* address: NULL for all; port 0: any. Codes PORT_IN_USE, LISTEN_FAILED. */
int setup_listen(const char *address, uint16_t port, int *fd_out, uint16_t *port_out);

/* The activation code; credentials and ports are there. */
int setup_activation(const struct receiver_options *o, struct receiver *r);

#endif
