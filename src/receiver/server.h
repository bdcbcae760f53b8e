/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of a running receiver: what its connections and services share. Private to receiver. */
#ifndef RECEIVER_SERVER_H
#define RECEIVER_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "receiver/control.h"
#include "receiver/disks.h"
#include "receiver/receiver.h"
#include "receiver/token.h"
#include "receiver/upload.h"
#include "receiver/vault.h"
#include "wire/wire.h"

#define CONNS_MAX	  128
#define CONNS_STRANGE_MAX 32	/* that have not shown the token yet */
#define STRANGE_MS	  15000 /* they have so long for it */
#define SESSIONS_MAX	  32	/* opened disks: each has buffers of some MiB */
#define READERS_MAX	  8	/* of READBACKs, together; one is always granted */
#define STUCK_MS	  60000 /* a started request or reply that does not move ends a connection */

/* One accepted connection and its thread. */
struct conn {
	struct conn *next;
	struct receiver *receiver;
	struct wire_stream *stream; /* NULL once it is closed */
	bool is_data;
	bool known; /* the token was shown; under conns_lock */
	uint64_t since_ms;
	int control_fd; /* libmicrohttpd's end of the socket pair; -1 for data */
};

struct receiver {
	struct vault *vault;
	struct wire_identity *identity;
	struct token *token;
	struct disks *disks;
	struct control *control;
	struct uploader uploader; /* the process; none in unit tests */
	struct upload *upload;
	bool list_ok;
	int lock_fd, files_lock_fd, control_fd, data_fd, stop_fd;
	uint16_t control_port, data_port;
	char host[WIRE_HOST_MAX + 1]; /* this machine's address */
	char activation[WIRE_ACTIVATION_TEXT];

	pthread_mutex_t conns_lock;
	pthread_cond_t conns_changed;
	struct conn *conns;
	unsigned conn_count;
	unsigned sessions, readers;
	uint64_t gone_received_bytes, gone_sent_bytes; /* of data connections that ended */
	uint64_t stream_room_bytes;		       /* for the windows of all streams */
	_Atomic uint64_t stream_bytes;		       /* of it, granted */
	_Atomic uint64_t chunks_taken, chunks_refused, requests;
};

/* The token was shown on this connection: it no longer counts as a stranger. */
void server_conn_known(struct conn *c);

/* As above, for the control connection of this descriptor. */
void server_control_known(struct receiver *r, int control_fd);

/* A disk is opened: false when SESSIONS_MAX are. Each true is followed by a leave. */
bool server_session_enter(struct receiver *r);
void server_session_leave(struct receiver *r);

/* How many threads, of those wanted, a reading-back may have. They are given back. */
unsigned server_readers_take(struct receiver *r, unsigned wanted);
void server_readers_give(struct receiver *r, unsigned taken);

struct server_traffic {
	uint64_t received_bytes, sent_bytes;
	unsigned data_conns, control_conns;
};
void server_traffic(struct receiver *r, struct server_traffic *out);

/* A data connection from its first byte to its last. Its error is for the log. */
int session_run(struct conn *c);

#endif
