/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Certificates and keys as bytes. Private to wire. */
#ifndef WIRE_WIRE_CERT_H
#define WIRE_WIRE_CERT_H

#include <bearssl.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/wire.h"

#define CERT_MAX_BYTES 8192
#define CERT_NAMES_MAX 32
#define P256_POINT     65 /* uncompressed */

/* SubjectPublicKeyInfo of a P-256 key (RFC 5480). */
#define P256_SPKI_BYTES (26 + P256_POINT)
void cert_spki_p256(const uint8_t point[P256_POINT], uint8_t spki[P256_SPKI_BYTES]);

/*
 * The self-signed certificate of a P-256 key for names, localhost, 127.0.0.1 and ::1 (RFC 5280). It
 * depends on nothing else: the same key and names give the same bytes. Returns its size or -errno.
 */
int cert_make(const br_ec_private_key *key, const uint8_t point[P256_POINT],
	      const char *const *names, size_t name_count, uint8_t out[CERT_MAX_BYTES]);

/*
 * The X.509 engine of our clients: it looks at the first certificate alone, and accepts it when its
 * public key hashes to the pin, or always when there is no pin. Names, dates and issuers are not
 * looked at: the pin is the trust.
 */
struct pin_x509 {
	const br_x509_class *vtable; /* first, as BearSSL has it */
	br_x509_decoder_context decoder;
	const uint8_t *pin; /* borrowed; NULL: none */
	unsigned certs;
	bool mismatch; /* the handshake failed for the pin's sake */
};
void pin_x509_init(struct pin_x509 *p, const uint8_t *pin);

struct wire_identity {
	br_ec_private_key key;
	uint8_t scalar[BR_EC_KBUF_PRIV_MAX_SIZE];
	uint8_t point[P256_POINT];
	uint8_t pin[WIRE_PIN_BYTES];
	uint8_t cert[CERT_MAX_BYTES];
	br_x509_certificate chain;
};

#endif
