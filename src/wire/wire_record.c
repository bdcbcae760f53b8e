/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Records, for the engine and for ourselves. See wire_record.h. */
#include "wire/wire_record.h"

#include <stddef.h>
#include <string.h>

#include "base/cursor.h"

#define APPLICATION_DATA 23
#define TLS12		 0x0303
#define NUMBER_BYTES	 8 /* the part of the nonce that is sent: we count records in it */

static struct wire_gcm_head make_head(const struct record_direction *d,
				      const uint8_t sent[NUMBER_BYTES], int type, unsigned version,
				      size_t bytes)
{
	struct wire_gcm_head h = {0};
	struct writer w = writer_of(h.data, sizeof(h.data));

	memcpy(h.nonce, d->salt, sizeof(d->salt));
	memcpy(h.nonce + sizeof(d->salt), sent, NUMBER_BYTES);
	writer_be(&w, d->number, 8);
	writer_be(&w, (unsigned)type, 1);
	writer_be(&w, version, 2);
	writer_be(&w, bytes, 2);
	h.bytes = writer_used(&w);
	return h;
}

/* `to` is where the record begins; returns its length. */
static size_t seal(struct record_direction *d, int type, unsigned version, const uint8_t *plain,
		   size_t bytes, uint8_t *to)
{
	struct writer w = writer_of(to, RECORD_HEAD_BYTES + NUMBER_BYTES);
	uint8_t *sealed = to + RECORD_HEAD_BYTES + NUMBER_BYTES;
	struct wire_gcm_head head;

	writer_be(&w, (unsigned)type, 1);
	writer_be(&w, version, 2);
	writer_be(&w, bytes + NUMBER_BYTES + WIRE_GCM_TAG_BYTES, 2);
	writer_be(&w, d->number, NUMBER_BYTES);
	head = make_head(d, to + RECORD_HEAD_BYTES, type, version, bytes);
	wire_gcm_seal(&d->gcm, &head, plain, sealed, bytes, sealed + bytes);
	d->number++;
	return bytes + RECORD_EXTRA_BYTES;
}

/* `sent` is what stands behind the record's head. */
static bool unseal(struct record_direction *d, int type, unsigned version, const uint8_t *sent,
		   size_t bytes, uint8_t *to)
{
	const struct wire_gcm_head head = make_head(d, sent, type, version, bytes);
	const uint8_t *sealed = sent + NUMBER_BYTES;

	if (!wire_gcm_open(&d->gcm, &head, sealed, to, bytes, sealed + bytes))
		return false;
	d->number++;
	return true;
}

/* ---- what BearSSL's engine calls ---- */

/* Lies where the engine keeps a br_sslrec_gcm_context. */
struct context {
	const void *class;
	struct record_direction *direction;
};

_Static_assert(sizeof(struct context) <= sizeof(br_sslrec_gcm_context), "it has to fit");

static int check_length(const br_sslrec_in_class *const *ctx, size_t bytes)
{
	(void)ctx;
	return bytes >= NUMBER_BYTES + WIRE_GCM_TAG_BYTES &&
	       bytes <= RECORD_PLAIN_MAX + NUMBER_BYTES + WIRE_GCM_TAG_BYTES;
}

static unsigned char *decrypt(const br_sslrec_in_class **ctx, int type, unsigned version,
			      void *payload, size_t *bytes)
{
	struct context *c = (struct context *)(void *)ctx;
	uint8_t *sent = payload, *plain = sent + NUMBER_BYTES;
	size_t n = *bytes - NUMBER_BYTES - WIRE_GCM_TAG_BYTES;

	if (!unseal(c->direction, type, version, sent, n, plain))
		return NULL;
	*bytes = n;
	return plain;
}

static void max_plaintext(const br_sslrec_out_class *const *ctx, size_t *start, size_t *end)
{
	size_t room;

	(void)ctx;
	*start += NUMBER_BYTES;
	room = *end - *start - WIRE_GCM_TAG_BYTES;
	*end = *start + (room < RECORD_PLAIN_MAX ? room : RECORD_PLAIN_MAX);
}

static unsigned char *encrypt(const br_sslrec_out_class **ctx, int type, unsigned version,
			      void *plain, size_t *bytes)
{
	struct context *c = (struct context *)(void *)ctx;
	uint8_t *record = (uint8_t *)plain - NUMBER_BYTES - RECORD_HEAD_BYTES;

	*bytes = seal(c->direction, type, version, plain, *bytes, record);
	return record;
}

static void begin(struct record_direction *d, const struct record_pair *pair, const void *key,
		  size_t key_bytes, const void *salt)
{
	wire_gcm_init(&d->gcm, key, key_bytes, pair->wide);
	memcpy(d->salt, salt, sizeof(d->salt));
	d->number = 0;
	d->ready = true;
}

static struct record_pair *pair_of(const br_block_ctr_class *ctr)
{
	return (struct record_pair *)(void *)((char *)(uintptr_t)ctr -
					      offsetof(struct record_pair, ctr));
}

static void init_in(const br_sslrec_in_gcm_class **ctx, const br_block_ctr_class *ctr,
		    const void *key, size_t key_bytes, br_ghash ghash, const void *salt);
static void init_out(const br_sslrec_out_gcm_class **ctx, const br_block_ctr_class *ctr,
		     const void *key, size_t key_bytes, br_ghash ghash, const void *salt);

static const br_sslrec_in_gcm_class class_in = {
	.inner = {.context_size = sizeof(br_sslrec_gcm_context),
		  .check_length = check_length,
		  .decrypt = decrypt},
	.init = init_in,
};
static const br_sslrec_out_gcm_class class_out = {
	.inner = {.context_size = sizeof(br_sslrec_gcm_context),
		  .max_plaintext = max_plaintext,
		  .encrypt = encrypt},
	.init = init_out,
};

static void init_in(const br_sslrec_in_gcm_class **ctx, const br_block_ctr_class *ctr,
		    const void *key, size_t key_bytes, br_ghash ghash, const void *salt)
{
	struct record_pair *pair = pair_of(ctr);
	struct context *c = (struct context *)(void *)ctx;

	(void)ghash;
	begin(&pair->in, pair, key, key_bytes, salt);
	*c = (struct context){&class_in, &pair->in};
}

static void init_out(const br_sslrec_out_gcm_class **ctx, const br_block_ctr_class *ctr,
		     const void *key, size_t key_bytes, br_ghash ghash, const void *salt)
{
	struct record_pair *pair = pair_of(ctr);
	struct context *c = (struct context *)(void *)ctx;

	(void)ghash;
	begin(&pair->out, pair, key, key_bytes, salt);
	*c = (struct context){&class_out, &pair->out};
}

void record_use(br_ssl_engine_context *engine, struct record_pair *pair)
{
	*pair = (struct record_pair){.ctr = *br_aes_x86ni_ctr_get_vtable(),
				     .wide = wire_gcm_is_wide()};
	br_ssl_engine_set_aes_ctr(engine, &pair->ctr);
	br_ssl_engine_set_gcm(engine, &class_in, &class_out);
}

/* ---- what we do around it ---- */

size_t record_seal(struct record_direction *d, const uint8_t *plain, size_t bytes, uint8_t *to)
{
	return seal(d, APPLICATION_DATA, TLS12, plain, bytes, to);
}

enum record_found record_look(const uint8_t *data, size_t bytes, size_t *record_bytes,
			      size_t *plain_bytes)
{
	struct cursor c = cursor_of(data, bytes);
	unsigned type = cursor_u8(&c), version = cursor_be16(&c);
	size_t length = cursor_be16(&c);

	if (c.bad)
		return RECORD_PART;
	if (type != APPLICATION_DATA || version != TLS12 || !check_length(NULL, length))
		return RECORD_OTHER;
	*record_bytes = RECORD_HEAD_BYTES + length;
	*plain_bytes = length - NUMBER_BYTES - WIRE_GCM_TAG_BYTES;
	return bytes < *record_bytes ? RECORD_PART : RECORD_WHOLE;
}

bool record_open(struct record_direction *d, const uint8_t *record, size_t plain_bytes, uint8_t *to)
{
	return unseal(d, APPLICATION_DATA, TLS12, record + RECORD_HEAD_BYTES, plain_bytes, to);
}
