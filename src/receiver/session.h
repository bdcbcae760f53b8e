/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One data connection. session.c negotiates, session_serve.c answers requests, session_chunks.c,
 * session_patch.c and session_readback.c those of our extension. Private to receiver.
 */
#ifndef RECEIVER_SESSION_H
#define RECEIVER_SESSION_H

#include <zstd.h>

#include "receiver/server.h"

struct session {
	struct receiver *receiver;
	struct conn *conn;
	struct wire_stream *stream;
	bool no_zeroes; /* the client wants no padding behind EXPORT_NAME's answer */
	bool structured;
	bool allocation; /* base:allocation is set */
	bool extension;
	enum wire_digest_kind digest; /* that was agreed on, with the extension */
	bool has_run;		      /* the client gave a run id */
	uint8_t run_id[WIRE_RUN_ID_BYTES];
	struct store *store; /* of the export that was opened */
	bool token_entered, store_entered, store_speaks,
		counted; /* what is to be left at the end */
	unsigned wrong_tokens;
	uint8_t *data;	 /* SESSION_DATA_BYTES: what was or will be on the wire */
	uint8_t *blocks; /* WIRE_CHUNK_BYTES: a second one, for what is made of it */
	ZSTD_DCtx *zstd;
	ZSTD_DCtx *zstd_stream;		   /* of codec stream, once one begins */
	unsigned stream_window_log;	   /* granted; 0: none */
	bool in_stream;			   /* one has begun and is sound */
	bool near_ok;			   /* codec near was granted */
	void *near_dict;		   /* room for its ZSTD_DDict, once a chunk needs it */
	struct readback *readback;	   /* under way, or NULL */
	unsigned readers;		   /* that it has */
	struct nbd_request readback_query; /* what it answers */
};

#define SESSION_DATA_BYTES WIRE_CHUNK_BYTES
#define CONTEXT_ALLOCATION 1 /* our number for base:allocation */

/* Transmission phase, until the client leaves. */
int session_serve(struct session *s);

/* Answers; negative when the connection is broken. */
int session_reply_ok(struct session *s, const struct nbd_request *q);
int session_reply_error(struct session *s, const struct nbd_request *q, int rc);

/* A structured reply's head; its bytes follow. */
int session_reply_part(struct session *s, const struct nbd_request *q, unsigned type, bool last,
		       uint32_t bytes);

/* Commands of our extension; negative when the connection is broken. */
int session_chunk_write(struct session *s, const struct nbd_request *q);
int session_digests(struct session *s, const struct nbd_request *q);
int session_durable(struct session *s, const struct nbd_request *q);
int session_keep(struct session *s, const struct nbd_request *q);
int session_readback(struct session *s, const struct nbd_request *q);
int session_block_digests(struct session *s, const struct nbd_request *q);

/*
 * Lay a patch over the chunk; blocks: its present blocks, in s->data or s->blocks, or NULL for
 * codec near, whose payload in s->data needs what stands there. -errno with a reason.
 */
int session_patch(struct session *s, uint64_t chunk, const struct wire_chunk_head *h,
		  const uint8_t *blocks);

/* The request's chunks are aligned and inside the disk, and the extension is on. */
int session_check_chunks(const struct session *s, const struct nbd_request *q);

/*
 * A READBACK goes on while other requests are answered: pump sends what is there without waiting
 * for more; fd (-1: none is under way) is readable when that is worth a call, and READBACK_WAIT_MS
 * is how long at most to wait for it.
 */
#define READBACK_WAIT_MS 50
int session_readback_pump(struct session *s);
int session_readback_fd(const struct session *s);
void session_readback_stop(struct session *s);

/* The run id that writes are marked with, or NULL. */
const uint8_t *session_run_id(const struct session *s);

#endif
