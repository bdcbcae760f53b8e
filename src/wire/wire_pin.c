/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The X.509 engine that trusts one public key. See wire_cert.h. */

#include "wire/wire_cert.h"

static void start_chain(const br_x509_class **ctx, const char *server_name)
{
	struct pin_x509 *p = (struct pin_x509 *)ctx;

	(void)server_name;
	p->certs = 0;
	p->mismatch = false;
	br_x509_decoder_init(&p->decoder, NULL, NULL);
}

static void start_cert(const br_x509_class **ctx, uint32_t length)
{
	(void)ctx;
	(void)length;
}

static void append(const br_x509_class **ctx, const unsigned char *buf, size_t len)
{
	struct pin_x509 *p = (struct pin_x509 *)ctx;

	/* After an error its machine stands where nothing may go on, which it does not look at. */
	if (p->certs == 0 && p->decoder.err == 0)
		br_x509_decoder_push(&p->decoder, buf, len);
}

static void end_cert(const br_x509_class **ctx)
{
	((struct pin_x509 *)ctx)->certs++;
}

static bool pin_holds(const struct pin_x509 *p, const br_x509_pkey *key)
{
	uint8_t spki[P256_SPKI_BYTES], hash[32];

	if (!p->pin)
		return true;
	if (key->key_type != BR_KEYTYPE_EC || key->key.ec.curve != BR_EC_secp256r1 ||
	    key->key.ec.qlen != P256_POINT)
		return false;
	cert_spki_p256(key->key.ec.q, spki);
	wire_sha256(spki, sizeof(spki), hash);
	return wire_equal_secret(hash, p->pin, sizeof(hash));
}

static unsigned end_chain(const br_x509_class **ctx)
{
	struct pin_x509 *p = (struct pin_x509 *)ctx;
	const br_x509_pkey *key;

	if (p->certs == 0)
		return BR_ERR_X509_EMPTY_CHAIN;
	key = br_x509_decoder_get_pkey(&p->decoder);
	if (!key) {
		int error = br_x509_decoder_last_error(&p->decoder);

		return error ? (unsigned)error : BR_ERR_X509_TRUNCATED;
	}
	p->mismatch = !pin_holds(p, key);
	return p->mismatch ? BR_ERR_X509_NOT_TRUSTED : 0;
}

static const br_x509_pkey *get_pkey(const br_x509_class *const *ctx, unsigned *usages)
{
	struct pin_x509 *p = (struct pin_x509 *)(uintptr_t)ctx;

	if (usages)
		*usages = BR_KEYTYPE_KEYX | BR_KEYTYPE_SIGN;
	return br_x509_decoder_get_pkey(&p->decoder);
}

static const br_x509_class pin_class = {
	.context_size = sizeof(struct pin_x509),
	.start_chain = start_chain,
	.start_cert = start_cert,
	.append = append,
	.end_cert = end_cert,
	.end_chain = end_chain,
	.get_pkey = get_pkey,
};

void pin_x509_init(struct pin_x509 *p, const uint8_t *pin)
{
	*p = (struct pin_x509){.vtable = &pin_class, .pin = pin};
}
