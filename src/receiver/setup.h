/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What comes before serving; see receiver.c for the order. Private to receiver. */
#ifndef RECEIVER_SETUP_H
#define RECEIVER_SETUP_H

#include "receiver/server.h"

/*
 * Be alone with the state directory while r->lock_fd is open, and load identity and token; the
 * vault is there. Codes STATE_IN_USE, TOKEN_FILE_BAD.
 */
int setup_state(const struct receiver_options *o, const struct owner *owner, struct receiver *r);

/* address: NULL for all; port 0: any. Codes PORT_IN_USE, LISTEN_FAILED. */
int setup_listen(const char *address, uint16_t port, int *fd_out, uint16_t *port_out);

/* The activation code; credentials and ports are there. */
int setup_activation(const struct receiver_options *o, struct receiver *r);

#endif
