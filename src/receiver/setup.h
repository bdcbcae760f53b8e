/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What comes before serving; see receiver.c for the order. Private to receiver. */
#ifndef RECEIVER_SETUP_H
#define RECEIVER_SETUP_H

#include "receiver/server.h"

/* Make the state directory, and be alone with it while *fd is open. Code STATE_IN_USE. */
int setup_lock(const char *dir, int *fd);

/* The identity and the token; the vault is there. */
int setup_credentials(const struct receiver_options *o, struct receiver *r);

/* address: NULL for all; port 0: any. Codes PORT_IN_USE, LISTEN_FAILED. */
int setup_listen(const char *address, uint16_t port, int *fd_out, uint16_t *port_out);

/* The activation code; credentials and ports are there. */
int setup_activation(const struct receiver_options *o, struct receiver *r);

#endif
