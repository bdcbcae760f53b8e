/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The receiver's key in its state directory: key.pem is the identity, cert.pem follows from it and
 * from the names, and is written again whenever it differs.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"
#include "wire/wire_cert.h"

#define PATH_MAX_BYTES 4096
#define PEM_MAX_BYTES  (2 * CERT_MAX_BYTES)

static int damaged(const char *path)
{
	return fail_code(EINVAL, "IDENTITY_DAMAGED",
			 "%s holds no P-256 private key; restore it, or remove it and hand out a "
			 "new activation code",
			 path);
}

static int write_pem(const char *path, const char *banner, const void *data, size_t bytes)
{
	char text[PEM_MAX_BYTES];

	if (br_pem_encode(NULL, data, bytes, banner, BR_PEM_LINE64) >= sizeof(text))
		return fail(EFBIG, "%s does not fit", path);
	return io_replace_file(path, text, br_pem_encode(text, data, bytes, banner, BR_PEM_LINE64),
			       0600);
}

struct pem_sink {
	uint8_t data[CERT_MAX_BYTES];
	size_t bytes;
	bool bad;
};

static void pem_take(void *ctx, const void *data, size_t bytes)
{
	struct pem_sink *s = ctx;

	if (bytes > sizeof(s->data) - s->bytes) {
		s->bad = true;
		return;
	}
	memcpy(s->data + s->bytes, data, bytes);
	s->bytes += bytes;
}

/* The first object of a PEM text; false when it is damaged. */
static bool pem_decode(const char *text, size_t bytes, struct pem_sink *out)
{
	br_pem_decoder_context pem;

	memset(out, 0, sizeof(*out));
	br_pem_decoder_init(&pem);
	while (bytes > 0) {
		size_t used = br_pem_decoder_push(&pem, text, bytes);
		int event = br_pem_decoder_event(&pem);

		text += used;
		bytes -= used;
		if (event == BR_PEM_BEGIN_OBJ)
			br_pem_decoder_setdest(&pem, pem_take, out);
		else if (event == BR_PEM_END_OBJ)
			return !out->bad;
		else if (event == BR_PEM_ERROR || used == 0)
			return false;
	}
	return false;
}

static int take_key(struct wire_identity *id, const br_ec_private_key *key)
{
	uint8_t spki[P256_SPKI_BYTES];
	br_ec_public_key pub;

	if (key->curve != BR_EC_secp256r1 || key->xlen > sizeof(id->scalar))
		return -EINVAL;
	memcpy(id->scalar, key->x, key->xlen);
	id->key = (br_ec_private_key){.curve = key->curve, .x = id->scalar, .xlen = key->xlen};
	if (br_ec_compute_pub(br_ec_get_default(), &pub, id->point, &id->key) != P256_POINT)
		return -EINVAL;
	cert_spki_p256(id->point, spki);
	wire_sha256(spki, sizeof(spki), id->pin);
	return 0;
}

static int load_key(struct wire_identity *id, const char *path)
{
	CLEANUP_FREE char *text = NULL;
	CLEANUP_FREE struct pem_sink *pem = malloc(sizeof(*pem));
	br_skey_decoder_context decoder;
	size_t bytes = 0;
	int rc;

	if (!pem)
		return fail(ENOMEM, "memory for the receiver's key");
	rc = io_read_file(path, PEM_MAX_BYTES, &text, &bytes);
	if (rc < 0)
		return rc;
	if (!pem_decode(text, bytes, pem))
		return damaged(path);
	br_skey_decoder_init(&decoder);
	br_skey_decoder_push(&decoder, pem->data, pem->bytes);
	if (br_skey_decoder_last_error(&decoder) != 0 ||
	    br_skey_decoder_key_type(&decoder) != BR_KEYTYPE_EC ||
	    take_key(id, br_skey_decoder_get_ec(&decoder)) < 0)
		rc = damaged(path);
	explicit_bzero(pem, sizeof(*pem));
	explicit_bzero(text, bytes);
	explicit_bzero(&decoder, sizeof(decoder));
	return rc;
}

static int make_key(struct wire_identity *id, const char *path)
{
	uint8_t seed[48], kbuf[BR_EC_KBUF_PRIV_MAX_SIZE], der[512];
	br_hmac_drbg_context random;
	br_ec_private_key key;
	br_ec_public_key pub = {.curve = BR_EC_secp256r1, .q = id->point, .qlen = P256_POINT};
	size_t bytes;

	wire_random(seed, sizeof(seed));
	br_hmac_drbg_init(&random, &br_sha256_vtable, seed, sizeof(seed));
	if (br_ec_keygen(&random.vtable, br_ec_get_default(), &key, kbuf, BR_EC_secp256r1) == 0 ||
	    take_key(id, &key) < 0)
		return fail(EIO, "no key could be made");
	bytes = br_encode_ec_pkcs8_der(NULL, &id->key, &pub);
	if (bytes == 0 || bytes > sizeof(der))
		return fail(EIO, "the key could not be encoded");
	br_encode_ec_pkcs8_der(der, &id->key, &pub);
	return write_pem(path, BR_ENCODE_PEM_PKCS8, der, bytes);
}

static int sync_cert(struct wire_identity *id, const char *path)
{
	CLEANUP_FREE struct pem_sink *pem = malloc(sizeof(*pem));
	CLEANUP_FREE char *text = NULL;
	size_t bytes = 0;

	if (!pem)
		return fail(ENOMEM, "memory for the receiver's key");
	if (access(path, F_OK) == 0 && io_read_file(path, PEM_MAX_BYTES, &text, &bytes) == 0 &&
	    pem_decode(text, bytes, pem) && pem->bytes == id->chain.data_len &&
	    memcmp(pem->data, id->cert, pem->bytes) == 0)
		return 0;
	return write_pem(path, "CERTIFICATE", id->cert, id->chain.data_len);
}

int wire_identity_load(const char *dir, const char *const *names, size_t name_count,
		       struct wire_identity **out)
{
	CLEANUP_FREE struct wire_identity *id = calloc(1, sizeof(*id));
	char key_path[PATH_MAX_BYTES], cert_path[PATH_MAX_BYTES];
	int rc;

	if (!id)
		return fail(ENOMEM, "memory for the receiver's key");
	if (name_count > CERT_NAMES_MAX)
		return fail(E2BIG, "at most %d names", CERT_NAMES_MAX);
	if (snprintf(key_path, sizeof(key_path), "%s/key.pem", dir) >= (int)sizeof(key_path) ||
	    snprintf(cert_path, sizeof(cert_path), "%s/cert.pem", dir) >= (int)sizeof(cert_path))
		return fail(ENAMETOOLONG, "%s", dir);
	if (access(key_path, F_OK) == 0)
		rc = load_key(id, key_path);
	else if (access(cert_path, F_OK) == 0) /* the key is written first, so it was there */
		rc = fail_code(EINVAL, "IDENTITY_DAMAGED",
			       "%s is gone, but its certificate is there; restore it, or remove "
			       "both and hand out a new activation code",
			       key_path);
	else
		rc = make_key(id, key_path);
	if (rc < 0)
		return rc;
	rc = cert_make(&id->key, id->point, names, name_count, id->cert);
	if (rc < 0)
		return rc;
	id->chain = (br_x509_certificate){.data = id->cert, .data_len = (size_t)rc};
	rc = sync_cert(id, cert_path);
	if (rc < 0)
		return rc;
	*out = steal_ptr(&id);
	return 0;
}

void wire_identity_free(struct wire_identity *id)
{
	if (!id)
		return;
	explicit_bzero(id, sizeof(*id));
	free(id);
}

const uint8_t *wire_identity_pin(const struct wire_identity *id)
{
	return id->pin;
}
