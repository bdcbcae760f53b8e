/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AES-GCM (NIST SP 800-38D, nonces of 96 bits) from one buffer into another, as fast as this CPU
 * does it: in one pass with vectors of 512 bits (VAES, VPCLMULQDQ) where it can, with AES-NI and
 * PCLMULQDQ else. Private to wire.
 */
#ifndef WIRE_WIRE_GCM_H
#define WIRE_WIRE_GCM_H

#include <bearssl.h>
#include <stdbool.h>

#define WIRE_GCM_TAG_BYTES   16
#define WIRE_GCM_NONCE_BYTES 12

/* Products with so many powers of H are reduced together; zeros behind them. */
#define GCM_POWERS_BYTES (32 * 16)
#define GCM_PAD_BYTES	 64

struct wire_gcm {
	br_aes_x86ni_ctr_keys keys;
	uint8_t h[16];
	bool wide;
	uint8_t powers[GCM_POWERS_BYTES + GCM_PAD_BYTES]; /* where wide: H^32 first, H^1 last */
};

/* What is authenticated: some bytes that are not encrypted come first. */
struct wire_gcm_head {
	uint8_t nonce[WIRE_GCM_NONCE_BYTES];
	uint8_t data[16];
	size_t bytes; /* of data, at most 16 */
};

/*
 * False where the CPU has no instructions for AES: then there is nothing here. To be asked once a
 * connection: the instruction that says what a CPU has is slow in a virtual machine.
 */
bool wire_gcm_ok(void);

/* The CPU has what wire_gcm_wide.c is made of. */
bool wire_gcm_is_wide(void);

/* Only where wire_gcm_ok(). Keys of 16, 24 or 32 bytes. wide: only where wire_gcm_is_wide(). */
void wire_gcm_init(struct wire_gcm *g, const void *key, size_t key_bytes, bool wide);

/* `to` may be `from`; otherwise they do not overlap. Any thread. */
void wire_gcm_seal(const struct wire_gcm *g, const struct wire_gcm_head *head, const uint8_t *from,
		   uint8_t *to, size_t bytes, uint8_t tag[WIRE_GCM_TAG_BYTES]);

/*
 * False when the tag is not that of these bytes: what is in `to` then is to be thrown away, and
 * `from` is as it was unless it is the same.
 */
bool wire_gcm_open(const struct wire_gcm *g, const struct wire_gcm_head *head, const uint8_t *from,
		   uint8_t *to, size_t bytes, const uint8_t tag[WIRE_GCM_TAG_BYTES]);

/* ---- wire_gcm_wide.c ---- */

void wire_gcm_wide_init(struct wire_gcm *g);
void wire_gcm_wide_run(const struct wire_gcm *g, const struct wire_gcm_head *head,
		       const uint8_t *from, uint8_t *to, size_t bytes, bool opening,
		       uint8_t tag[WIRE_GCM_TAG_BYTES]);

#endif
