/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images of the disks go to an object store: docs/protocol.md, "Images". Two sides talk over a
 * socket pair. The uploader packs and sends; it needs nothing but its end of the pair, may connect
 * outwards, and can be a process of its own. The server hands it disks, keeps what must outlive it,
 * and answers the control service. Private to receiver.
 */
#ifndef RECEIVER_UPLOAD_H
#define RECEIVER_UPLOAD_H

#include <stddef.h>
#include <sys/types.h>

#include "receiver/confine.h"

struct control_reply;
struct disks;
struct upload;
struct vault;

/* The uploader's side, until the other end of the socket is closed; closes it. 0 then. */
int upload_work(int socket);

/* A process of its own that does this. */
struct uploader {
	int socket; /* the server's end; -1: none */
	pid_t pid;
};

/*
 * It becomes the user, and keeps nothing but its ends of socket pairs and standard error. Only
 * while the process has one thread. out->socket is upload_start()'s from then on. host_fd: of
 * vault_take_host_end(), taken.
 */
int upload_fork(const struct confine_user *user, int host_fd, struct uploader *out);

/* Wait for its end, which comes when the socket is closed. Also when there is none. */
void upload_join(struct uploader *u);

/*
 * The server's side. Without an uploader's process a thread of this one does the work. An order
 * that stood when the receiver ended is taken up again. Takes the uploader's socket.
 */
int upload_start(struct disks *disks, struct vault *vault, struct uploader *uploader,
		 struct upload **out);
void upload_stop(struct upload *u); /* accepts NULL; the order stands for the next start */

/* Answers of the control service. Any thread. */
void upload_post(struct upload *u, const char *body, size_t bytes, struct control_reply *out);
void upload_get(struct upload *u, struct control_reply *out);
void upload_delete(struct upload *u, struct control_reply *out);

#endif
