/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside of the NBD client: wire_nbd.c negotiates, wire_nbd_io.c has requests in flight. Private to
 * wire.
 */
#ifndef WIRE_WIRE_NBD_H
#define WIRE_WIRE_NBD_H

#include "wire/wire.h"

#define NBD_SCRATCH_BYTES (WIRE_DIGESTS_MAX_BYTES + 4096)
#define NBD_MESSAGE_MAX	  160

/*
 * What the next bytes from the server are:
 *   HEAD  first 16 bytes of a reply: a whole simple one, or most of a structured one
 *   REST  the last 4 bytes of a structured header
 *   PLACE the offset in front of OFFSET_DATA
 *   DATA  bytes for the reader's buffer
 *   BODY  a payload into the scratch buffer
 *   SKIP  bytes that are of no use
 */
enum rx_state { RX_HEAD, RX_REST, RX_PLACE, RX_DATA, RX_BODY, RX_SKIP };

struct nbd_slot {
	bool used;
	bool done;
	uint32_t generation; /* in the cookie: an answer to an older request is noticed */
	struct wire_request request;
	uint32_t got_bytes; /* READ */
	struct wire_done result;
};

struct wire_nbd {
	struct wire_stream *stream;
	struct wire_nbd_info info;
	bool structured;
	size_t pad_bytes; /* of the answer to EXPORT_NAME */
	bool sound;	  /* false: nothing more can be exchanged */
	uint64_t timeout_ms;
	uint64_t moved_ms, moved_bytes; /* when bytes last moved while something was in flight */
	unsigned window;
	struct nbd_slot *slots; /* window of them */
	uint16_t *free_slots;
	unsigned free_count;
	uint16_t *done_slots; /* ring of finished ones, in order */
	unsigned done_at, done_count;

	enum rx_state rx_state;
	uint8_t rx_head[NBD_STRUCT_REPLY_BYTES];
	struct nbd_struct_reply rx_reply; /* the structured reply at hand */
	struct nbd_slot *rx_slot;
	uint8_t *rx_into; /* NULL: skip */
	size_t rx_left;
	uint8_t *scratch; /* NBD_SCRATCH_BYTES */

	wire_digests_fn digests_fn; /* of the DIGESTS query in flight */
	void *digests_ctx;
	wire_readback_fn readback_fn; /* of the READBACK query in flight */
	void *readback_ctx;
	uint64_t report_next; /* chunk that the next run of either must begin with */
	uint64_t report_end;
	struct wire_durable durable; /* of the DURABLE query in flight */
};

#endif
