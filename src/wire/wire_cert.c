/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The receiver's self-signed certificate. Our own client pins the key and ignores the rest; the
 * rest is there so that common TLS libraries accept the certificate as its own authority.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "wire/wire_cert.h"
#include "wire/wire_der.h"

#define VERSION_3      "\x02\x01\x02"
#define ECDSA_SHA256   "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"
#define OID_COMMONNAME "\x55\x04\x03"
#define OID_SAN	       "\x55\x1d\x11"
#define OID_BASIC      "\x55\x1d\x13"
#define OID_KEY_USAGE  "\x55\x1d\x0f"
#define OID_EXT_USAGE  "\x55\x1d\x25"
#define SERVER_AUTH    "\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01"
#define CA_TRUE	       "\x30\x03\x01\x01\xff"
#define SIGN_AND_CERTS "\x03\x02\x02\x84" /* digitalSignature, keyCertSign */
#define TRUE_ELEMENT   "\x01\x01\xff"
#define COMMON_NAME    "Coldlift receiver"

/* Wide dates: clocks of rescued machines are often years off, and the pin is what counts. */
#define NOT_BEFORE "200101000000Z"
#define NOT_AFTER  "491231235959Z"

#define raw_text(d, text) der_raw((d), (text), sizeof(text) - 1)

static const char *const own_names[] = {"localhost", "127.0.0.1", "::1"};

void cert_spki_p256(const uint8_t point[P256_POINT], uint8_t spki[P256_SPKI_BYTES])
{
	static const uint8_t head[] = {
		0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
		0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
	};

	memcpy(spki, head, sizeof(head));
	memcpy(spki + sizeof(head), point, P256_POINT);
}

/* Extension: SEQUENCE { OID, critical BOOLEAN?, OCTET STRING { what was written since } } */
static void put_extension(struct der *d, const char *oid, bool critical, size_t since)
{
	der_wrap(d, DER_OCTET_STRING, since);
	if (critical)
		raw_text(d, TRUE_ELEMENT);
	der_put(d, DER_OID, oid, 3);
	der_wrap(d, DER_SEQUENCE, since);
}

static void put_name(struct der *d)
{
	size_t since = der_used(d);

	der_put(d, DER_UTF8, COMMON_NAME, strlen(COMMON_NAME));
	der_put(d, DER_OID, OID_COMMONNAME, 3);
	der_wrap(d, DER_SEQUENCE, since);
	der_wrap(d, DER_SET, since);
	der_wrap(d, DER_SEQUENCE, since);
}

/* GeneralName: [2] a DNS name, [7] an address. */
static void put_general_name(struct der *d, const char *name)
{
	uint8_t address[16];

	if (inet_pton(AF_INET, name, address) == 1)
		der_put(d, 0x87, address, 4);
	else if (inet_pton(AF_INET6, name, address) == 1)
		der_put(d, 0x87, address, 16);
	else
		der_put(d, 0x82, name, strlen(name));
}

static void put_extensions(struct der *d, const char *const *names, size_t name_count)
{
	size_t all = der_used(d), since = all;

	for (size_t i = name_count; i > 0; i--)
		put_general_name(d, names[i - 1]);
	for (size_t i = ARRAY_SIZE(own_names); i > 0; i--)
		put_general_name(d, own_names[i - 1]);
	der_wrap(d, DER_SEQUENCE, since);
	put_extension(d, OID_SAN, false, since);

	since = der_used(d);
	raw_text(d, SERVER_AUTH);
	der_wrap(d, DER_SEQUENCE, since);
	put_extension(d, OID_EXT_USAGE, false, since);

	since = der_used(d);
	raw_text(d, SIGN_AND_CERTS);
	put_extension(d, OID_KEY_USAGE, true, since);

	since = der_used(d);
	raw_text(d, CA_TRUE);
	put_extension(d, OID_BASIC, true, since);

	der_wrap(d, DER_SEQUENCE, all);
	der_wrap(d, 0xa3, all);
}

static void put_tbs(struct der *d, const uint8_t point[P256_POINT], const char *const *names,
		    size_t name_count)
{
	uint8_t spki[P256_SPKI_BYTES], serial[32];
	size_t all = der_used(d), since;

	put_extensions(d, names, name_count);
	/* The serial is a hash of what differs between two certificates, so it differs too. */
	wire_sha256(d->at, der_used(d) - all, serial);
	cert_spki_p256(point, spki);
	for (size_t i = 0; i < 16; i++)
		serial[i] ^= point[1 + i];
	serial[0] = (serial[0] & 0x7f) | 0x40;

	der_raw(d, spki, sizeof(spki));
	put_name(d);
	since = der_used(d);
	der_put(d, DER_UTC_TIME, NOT_AFTER, strlen(NOT_AFTER));
	der_put(d, DER_UTC_TIME, NOT_BEFORE, strlen(NOT_BEFORE));
	der_wrap(d, DER_SEQUENCE, since);
	put_name(d);
	raw_text(d, ECDSA_SHA256);
	der_put(d, DER_INTEGER, serial, 16);
	since = der_used(d);
	raw_text(d, VERSION_3);
	der_wrap(d, 0xa0, since);
	der_wrap(d, DER_SEQUENCE, all);
}

int cert_make(const br_ec_private_key *key, const uint8_t point[P256_POINT],
	      const char *const *names, size_t name_count, uint8_t out[CERT_MAX_BYTES])
{
	uint8_t buf[CERT_MAX_BYTES], tbs[CERT_MAX_BYTES], hash[32], signature[80], unused = 0;
	struct der t = der_of(tbs, sizeof(tbs));
	struct der d = der_of(buf, sizeof(buf));
	size_t signature_bytes;

	put_tbs(&t, point, names, name_count);
	if (t.bad)
		return fail(ENAMETOOLONG, "too many names for one certificate");
	wire_sha256(t.at, der_used(&t), hash);
	signature_bytes = br_ecdsa_sign_asn1_get_default()(br_ec_get_default(), &br_sha256_vtable,
							   hash, key, signature);
	if (signature_bytes == 0)
		return fail(EINVAL, "the receiver's key does not sign");

	der_raw(&d, signature, signature_bytes);
	der_raw(&d, &unused, 1);
	der_wrap(&d, DER_BIT_STRING, 0);
	raw_text(&d, ECDSA_SHA256);
	der_raw(&d, t.at, der_used(&t));
	der_wrap(&d, DER_SEQUENCE, 0);
	if (d.bad)
		return fail(ENAMETOOLONG, "too many names for one certificate");
	memcpy(out, d.at, der_used(&d));
	return (int)der_used(&d);
}
