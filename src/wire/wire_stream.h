/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of a stream, shared by wire_stream.c (bytes) and wire_tls.c (handshakes). Private to wire.
 */
#ifndef WIRE_WIRE_STREAM_H
#define WIRE_WIRE_STREAM_H

#include <bearssl.h>
#include <stdatomic.h>

#include "wire/wire_cert.h"
#include "wire/wire_record.h"

/* Enough for several records a system call; what is not used is never touched. */
#define STREAM_BUF_BYTES (128u << 10)
#define STREAM_PEER_MAX	 96

struct stream_buf {
	uint8_t *data; /* STREAM_BUF_BYTES */
	size_t at, end;
};

struct stream_tls {
	union {
		br_ssl_client_context client;
		br_ssl_server_context server;
	};
	br_x509_minimal_context unused; /* BearSSL's full profile wants one */
	struct pin_x509 pin;
	uint8_t pin_bytes[WIRE_PIN_BYTES];
	uint8_t engine_in[BR_SSL_BUFSIZE_INPUT], engine_out[BR_SSL_BUFSIZE_OUTPUT];
	struct record_pair records;
	/* Bytes that are too few for a record of their own yet. */
	uint8_t staged[RECORD_PLAIN_MAX];
	size_t staged_bytes;
	/* What is left of a record that was longer than the caller wanted. */
	uint8_t opened[RECORD_PLAIN_MAX];
	size_t opened_at, opened_end;
};

struct wire_stream {
	int fd;
	char peer[STREAM_PEER_MAX];
	struct stream_buf in, out; /* bytes as they are on the wire */
	struct stream_tls *tls;	   /* NULL while plain */
	br_ssl_engine_context *engine;
	uint64_t no_progress_ms, deadline_ms;
	bool ended;  /* the peer's end of file was seen */
	bool secret; /* the TLS handshake is over */
	bool direct; /* application data goes around the engine */
	_Atomic uint64_t sent_bytes, received_bytes;
};

/*
 * Move what can be moved between socket, buffers and engine without waiting: 1 something moved, 0
 * nothing did, negative: broken. Ends of file only set s->ended.
 */
int stream_fill(struct wire_stream *s);	 /* socket -> in */
int stream_drain(struct wire_stream *s); /* out -> socket */

/* Wait for events on the socket within the stream's time limits. 0 or -ETIMEDOUT. */
int stream_wait_events(struct wire_stream *s, short events);

/* Engine's records out into s->out and from s->in, as far as there is room. True if any moved. */
bool stream_engine_turn(struct wire_stream *s);

/* The engine's failure as an errno with a reason; -EPIPE after an orderly end. */
int stream_engine_error(struct wire_stream *s);

#endif
