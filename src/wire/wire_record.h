/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TLS 1.2 records under AES-GCM (RFC 5246 6.2.3.3, RFC 5288). BearSSL's engine shakes hands and
 * speaks alerts through record_use(); what the two programs send each other goes around it,
 * straight from the caller's memory into the record and back: the engine would copy every byte
 * twice more. Both ways count on in the same direction. Private to wire.
 */
#ifndef WIRE_WIRE_RECORD_H
#define WIRE_WIRE_RECORD_H

#include "wire/wire_gcm.h"

#define RECORD_HEAD_BYTES  5
#define RECORD_PLAIN_MAX   16384
#define RECORD_EXTRA_BYTES (RECORD_HEAD_BYTES + 8 + WIRE_GCM_TAG_BYTES)

struct record_direction {
	bool ready;	 /* its key is known */
	uint64_t number; /* of the next record */
	uint8_t salt[4];
	struct wire_gcm gcm;
};

struct record_pair {
	br_block_ctr_class ctr; /* what the engine hands on; the pair is found by its place */
	bool wide;
	struct record_direction in, out;
};

/*
 * What the engine sends and receives itself under AES-GCM goes through the pair, which has to live
 * as long. Only where wire_gcm_ok().
 */
void record_use(br_ssl_engine_context *engine, struct record_pair *pair);

/* One record of application data, of at most RECORD_PLAIN_MAX bytes; returns how long it is. */
size_t record_seal(struct record_direction *d, const uint8_t *plain, size_t bytes, uint8_t *to);

/* What stands at the start of `data`. */
enum record_found {
	RECORD_PART,  /* a record that is not all there */
	RECORD_WHOLE, /* application data: *record_bytes of them, *plain_bytes in it */
	RECORD_OTHER, /* the engine's affair, be it an alert or nonsense */
};
enum record_found record_look(const uint8_t *data, size_t bytes, size_t *record_bytes,
			      size_t *plain_bytes);

/* False: not what the other end sealed. Then neither the record nor the direction has changed. */
bool record_open(struct record_direction *d, const uint8_t *record, size_t plain_bytes,
		 uint8_t *to);

#endif
