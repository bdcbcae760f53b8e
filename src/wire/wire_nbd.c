/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * NBD client: from the TCP connection to the transmission phase. Everything that a server may
 * refuse is asked for politely, and what it refused is left out of wire_nbd_info.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/num.h"
#include "wire/wire_nbd.h"

#define OPTION_REPLY_MAX (64u << 10)
#define NAME_PAD_BYTES	 124 /* zeros behind the answer to EXPORT_NAME, unless both agree not to */
#define REPLIES_MAX	 64  /* replies to one option */

/* One reply to an option; data is in the scratch buffer. */
struct option_reply {
	uint32_t type;
	uint32_t bytes;
};

static int not_nbd(const struct wire_nbd *n, const char *what)
{
	return fail_code(EPROTO, "PEER_NOT_NBD",
			 "%s does not speak NBD as it should (%s); is this the data port of a "
			 "receiver?",
			 wire_stream_peer(n->stream), what);
}

static int send_option(struct wire_nbd *n, uint32_t option, const void *data, size_t bytes)
{
	const struct nbd_option_head head = {.option = option, .bytes = (uint32_t)bytes};
	uint8_t raw[NBD_OPTION_HEAD_BYTES];
	int rc;

	nbd_option_head_encode(&head, raw);
	rc = wire_stream_write(n->stream, raw, sizeof(raw));
	if (rc == 0)
		rc = wire_stream_write(n->stream, data, bytes);
	return rc < 0 ? rc : wire_stream_flush(n->stream);
}

static int read_option_reply(struct wire_nbd *n, uint32_t option, struct option_reply *out)
{
	uint8_t raw[NBD_OPTION_REPLY_BYTES];
	struct nbd_option_reply head;
	int rc = wire_stream_read(n->stream, raw, sizeof(raw));

	if (rc < 0)
		return rc;
	if (nbd_option_reply_parse(raw, &head) < 0 || head.option != option)
		return not_nbd(n, "a reply to an option is malformed");
	if (head.bytes > min_of(OPTION_REPLY_MAX, NBD_SCRATCH_BYTES - 1))
		return not_nbd(n, "a reply to an option is too long");
	rc = wire_stream_read(n->stream, n->scratch, head.bytes);
	if (rc < 0)
		return rc;
	n->scratch[head.bytes] = '\0';
	*out = (struct option_reply){.type = head.type, .bytes = head.bytes};
	return 0;
}

/* The error text of the reply at hand, printable. */
static const char *reply_text(struct wire_nbd *n, const struct option_reply *r)
{
	char *text = (char *)n->scratch;

	for (uint32_t i = 0; i < r->bytes; i++)
		if ((unsigned char)text[i] < ' ' || (unsigned char)text[i] > '~')
			text[i] = '?';
	if (r->bytes > NBD_MESSAGE_MAX)
		text[NBD_MESSAGE_MAX] = '\0';
	return r->bytes ? text : "no reason given";
}

static bool is_error(const struct option_reply *r)
{
	return r->type & 0x80000000u;
}

/* Ask, take one reply: 1 granted, 0 refused politely. */
static int ask_simple(struct wire_nbd *n, uint32_t option)
{
	struct option_reply r = {0};
	int rc = send_option(n, option, NULL, 0);

	if (rc == 0)
		rc = read_option_reply(n, option, &r);
	if (rc < 0)
		return rc;
	if (r.type == NBD_REP_ACK)
		return 1;
	return is_error(&r) ? 0 : not_nbd(n, "an option was answered with something else");
}

static int greet(struct wire_nbd *n)
{
	uint8_t raw[18], flags[4];
	struct cursor c = cursor_of(raw, sizeof(raw));
	struct writer w = writer_of(flags, sizeof(flags));
	unsigned offered;
	int rc = wire_stream_read(n->stream, raw, sizeof(raw));

	if (rc == -ETIMEDOUT)
		return not_nbd(n, "it says nothing");
	if (rc < 0)
		return fail_code(
			rc, "PEER_NOT_NBD",
			"%s broke off before it said what it is; is this the data port of a "
			"receiver?",
			wire_stream_peer(n->stream));
	if (cursor_be64(&c) != NBD_MAGIC || cursor_be64(&c) != NBD_OPTION_MAGIC)
		return not_nbd(n, "its greeting is another");
	offered = cursor_be16(&c);
	if (!(offered & NBD_FLAG_FIXED_NEWSTYLE))
		return not_nbd(n, "it knows only the old negotiation");
	writer_be(&w, NBD_FLAG_FIXED_NEWSTYLE | (offered & NBD_FLAG_NO_ZEROES), 4);
	n->pad_bytes = offered & NBD_FLAG_NO_ZEROES ? 0 : NAME_PAD_BYTES;
	return wire_stream_write(n->stream, flags, sizeof(flags));
}

static int start_tls(struct wire_nbd *n, const struct wire_nbd_options *o)
{
	int rc = ask_simple(n, NBD_OPT_STARTTLS);

	if (rc < 0)
		return rc;
	if (rc == 0) {
		if (o->plain_ok)
			return 0;
		return fail_code(ENOTSUP, "PEER_NO_TLS",
				 "%s offers no TLS, and data is not sent in plain",
				 wire_stream_peer(n->stream));
	}
	n->info.tls = true;
	return wire_stream_tls_client(n->stream, o->pin, NULL);
}

static int ask_extension(struct wire_nbd *n, const struct wire_nbd_options *o)
{
	struct wire_offer offer = {.version = WIRE_EXTENSION_VERSION,
				   .chunk_shift = WIRE_CHUNK_SHIFT,
				   .digest = o->digest ? (uint8_t)o->digest : WIRE_DIGEST_XXH3_128,
				   .codecs = 1u << WIRE_CODEC_PLAIN | 1u << WIRE_CODEC_ZSTD |
					     1u << WIRE_CODEC_NEAR,
				   .stream_window_log = (uint8_t)o->stream_window_log};
	struct wire_grant grant;
	struct option_reply r = {0};
	uint8_t raw[WIRE_OFFER_BYTES];
	int rc;

	if (offer.stream_window_log)
		offer.codecs |= 1u << WIRE_CODEC_STREAM;
	memcpy(offer.run_id, o->run_id, sizeof(offer.run_id));
	wire_offer_encode(&offer, raw);
	rc = send_option(n, NBD_OPT_COLDLIFT, raw, sizeof(raw));
	if (rc == 0)
		rc = read_option_reply(n, NBD_OPT_COLDLIFT, &r);
	if (rc < 0 || is_error(&r))
		return rc;
	if (r.type != NBD_REP_COLDLIFT || wire_grant_parse(n->scratch, r.bytes, &grant) < 0 ||
	    grant.digest != offer.digest)
		return not_nbd(n, "it grants an extension that was not asked for");
	rc = read_option_reply(n, NBD_OPT_COLDLIFT, &r);
	if (rc < 0)
		return rc;
	if (r.type != NBD_REP_ACK)
		return not_nbd(n, "the extension's grant has no end");
	n->info.chunks_ok = true;
	n->info.digest = grant.digest;
	n->info.zstd_ok = grant.codecs & 1u << WIRE_CODEC_ZSTD;
	n->info.stream_window_log = grant.stream_window_log;
	n->info.patch_ok = grant.features & WIRE_FEATURE_PATCH;
	n->info.near_ok = n->info.patch_ok && grant.codecs & 1u << WIRE_CODEC_NEAR;
	n->info.to_patch_ok = n->info.patch_ok && grant.features & WIRE_FEATURE_TO_PATCH;
	return 0;
}

static int ask_block_status(struct wire_nbd *n, const char *name)
{
	static const char context[] = "base:allocation";
	uint8_t raw[NBD_NAME_MAX + 64];
	struct writer w = writer_of(raw, sizeof(raw));
	struct option_reply r = {0};
	int rc;

	writer_be(&w, strlen(name), 4);
	writer_bytes(&w, name, strlen(name));
	writer_be(&w, 1, 4);
	writer_be(&w, strlen(context), 4);
	writer_bytes(&w, context, strlen(context));
	rc = send_option(n, NBD_OPT_SET_META_CONTEXT, raw, writer_used(&w));
	for (unsigned i = 0; rc == 0 && i < REPLIES_MAX; i++) {
		rc = read_option_reply(n, NBD_OPT_SET_META_CONTEXT, &r);
		if (rc < 0 || is_error(&r) || r.type == NBD_REP_ACK)
			return rc;
		if (r.type == NBD_REP_META_CONTEXT && r.bytes == 4 + strlen(context) &&
		    memcmp(n->scratch + 4, context, strlen(context)) == 0)
			n->info.block_status_ok = true;
	}
	return rc < 0 ? rc : not_nbd(n, "too many replies to one option");
}

static void take_flags(struct wire_nbd_info *i, unsigned flags)
{
	i->read_only = flags & NBD_FLAG_READ_ONLY;
	i->flush_ok = flags & NBD_FLAG_SEND_FLUSH;
	i->fua_ok = flags & NBD_FLAG_SEND_FUA;
	i->trim_ok = flags & NBD_FLAG_SEND_TRIM;
	i->zeroes_ok = flags & NBD_FLAG_SEND_WRITE_ZEROES;
	i->fast_zero_ok = flags & NBD_FLAG_SEND_FAST_ZERO;
	i->multi_conn_ok = flags & NBD_FLAG_CAN_MULTI_CONN;
}

static int take_info(struct wire_nbd *n, const struct option_reply *r, bool *have_size)
{
	struct cursor c = cursor_of(n->scratch, r->bytes);
	unsigned kind = cursor_be16(&c);

	if (kind == NBD_INFO_EXPORT) {
		n->info.size_bytes = cursor_be64(&c);
		take_flags(&n->info, cursor_be16(&c));
		*have_size = true;
	} else if (kind == NBD_INFO_BLOCK_SIZE) {
		n->info.block_min_bytes = cursor_be32(&c);
		n->info.block_preferred_bytes = cursor_be32(&c);
		n->info.block_max_bytes = cursor_be32(&c);
		if (n->info.block_min_bytes == 0 || n->info.block_max_bytes < WIRE_BLOCK_BYTES)
			cursor_fail(&c);
	}
	return cursor_ok(&c) ? 0 : not_nbd(n, "its description of the export is malformed");
}

/* Servers from before GO: no reply, the connection ends when the name is unknown. */
static int open_by_name(struct wire_nbd *n, const char *name)
{
	uint8_t raw[10 + NAME_PAD_BYTES];
	struct cursor c = cursor_of(raw, sizeof(raw));
	int rc = send_option(n, NBD_OPT_EXPORT_NAME, name, strlen(name));

	if (rc == 0)
		rc = wire_stream_read(n->stream, raw, 10 + n->pad_bytes);
	if (rc < 0)
		return fail_code(rc, "EXPORT_UNKNOWN", "%s refused the export",
				 wire_stream_peer(n->stream));
	n->info.size_bytes = cursor_be64(&c);
	take_flags(&n->info, cursor_be16(&c));
	return 0;
}

static int refused(struct wire_nbd *n, const struct option_reply *r)
{
	const char *text = reply_text(n, r);

	if (r->type == NBD_REP_ERR_POLICY)
		return fail_code(EACCES, "TOKEN_REFUSED", "%s refused the token: %s",
				 wire_stream_peer(n->stream), text);
	if (r->type == NBD_REP_ERR_SHUTDOWN)
		return fail_code(EAGAIN, "RECEIVER_BUSY", "%s takes no connection now: %s",
				 wire_stream_peer(n->stream), text);
	return fail_code(ENOENT, "EXPORT_UNKNOWN", "%s does not open the export: %s",
			 wire_stream_peer(n->stream), text);
}

static int go(struct wire_nbd *n, const char *name)
{
	uint8_t raw[NBD_NAME_MAX + 16];
	struct writer w = writer_of(raw, sizeof(raw));
	struct option_reply r = {0};
	bool have_size = false;
	int rc;

	writer_be(&w, strlen(name), 4);
	writer_bytes(&w, name, strlen(name));
	writer_be(&w, 1, 2);
	writer_be(&w, NBD_INFO_BLOCK_SIZE, 2);
	rc = send_option(n, NBD_OPT_GO, raw, writer_used(&w));
	for (unsigned i = 0; rc == 0 && i < REPLIES_MAX; i++) {
		rc = read_option_reply(n, NBD_OPT_GO, &r);
		if (rc < 0)
			return rc;
		if (r.type == NBD_REP_ACK)
			return have_size ? 0 : not_nbd(n, "the export has no size");
		if (r.type == NBD_REP_ERR_UNSUP)
			return open_by_name(n, name);
		if (is_error(&r))
			return refused(n, &r);
		if (r.type == NBD_REP_INFO)
			rc = take_info(n, &r, &have_size);
	}
	return rc < 0 ? rc : not_nbd(n, "too many replies to one option");
}

static int negotiate(struct wire_nbd *n, const struct wire_nbd_options *o)
{
	int rc;

	if (strlen(o->export_name) > NBD_NAME_MAX)
		return fail(ENAMETOOLONG, "the export's name");
	rc = greet(n);
	if (rc == 0)
		rc = start_tls(n, o);
	if (rc == 0)
		rc = ask_simple(n, NBD_OPT_STRUCTURED_REPLY);
	if (rc < 0)
		return rc;
	n->structured = rc;
	rc = 0;
	/* This shows the token, without which there is no window for a stream. */
	if (n->structured)
		rc = ask_block_status(n, o->export_name);
	if (rc == 0 && n->structured && !o->no_extension)
		rc = ask_extension(n, o);
	/* Proof was asked for: a weaker one is not given instead. */
	if (rc == 0 && o->digest > WIRE_DIGEST_XXH3_128 && !n->info.chunks_ok)
		rc = fail_code(ENOTSUP, "DIGEST_UNSUPPORTED",
			       "%s knows no %s digests, which this job wants",
			       wire_stream_peer(n->stream), wire_digest_name(o->digest));
	return rc < 0 ? rc : go(n, o->export_name);
}

static struct wire_nbd *new_nbd(const struct wire_nbd_options *o)
{
	struct wire_nbd *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->window = max_of(1u, min_of(o->window, (unsigned)WIRE_WINDOW_MAX));
	n->timeout_ms = o->timeout_ms ? o->timeout_ms : 60000;
	n->info.block_min_bytes = 1;
	n->info.block_preferred_bytes = WIRE_BLOCK_BYTES;
	n->info.block_max_bytes = NBD_REQUEST_MAX;
	n->slots = calloc(n->window, sizeof(*n->slots));
	n->free_slots = calloc(n->window, sizeof(*n->free_slots));
	n->done_slots = calloc(n->window, sizeof(*n->done_slots));
	n->scratch = malloc(NBD_SCRATCH_BYTES);
	if (!n->slots || !n->free_slots || !n->done_slots || !n->scratch) {
		wire_nbd_close(n);
		return NULL;
	}
	while (n->free_count < n->window) {
		n->free_slots[n->free_count] = (uint16_t)(n->window - 1 - n->free_count);
		n->free_count++;
	}
	return n;
}

int wire_nbd_open(const struct wire_nbd_options *o, struct wire_nbd **out)
{
	struct wire_nbd *n = new_nbd(o);
	int rc;

	if (!n)
		return fail(ENOMEM, "memory for a connection");
	rc = wire_stream_connect(o->host, o->port, o->unix_path, n->timeout_ms, &n->stream);
	if (rc == 0) {
		wire_stream_deadline(n->stream, clock_ms() + n->timeout_ms);
		rc = negotiate(n, o);
		wire_stream_deadline(n->stream, 0);
	}
	if (rc < 0) {
		wire_nbd_close(n);
		return rc;
	}
	n->sound = true;
	n->rx_state = RX_HEAD;
	n->rx_into = n->rx_head;
	n->rx_left = NBD_SIMPLE_REPLY_BYTES;
	*out = n;
	return 0;
}

void wire_nbd_close(struct wire_nbd *n)
{
	if (!n)
		return;
	if (n->stream && n->sound) {
		const struct nbd_request disc = {.type = NBD_CMD_DISC};
		uint8_t raw[NBD_REQUEST_BYTES];

		nbd_request_encode(&disc, raw);
		(void)wire_stream_write_some(n->stream, raw, sizeof(raw));
		(void)wire_stream_push_some(n->stream);
		wire_stream_close(n->stream);
	}
	wire_stream_free(n->stream);
	free(n->slots);
	free(n->free_slots);
	free(n->done_slots);
	free(n->scratch);
	free(n);
}

const struct wire_nbd_info *wire_nbd_info(const struct wire_nbd *n)
{
	return &n->info;
}

void wire_nbd_counters(const struct wire_nbd *n, uint64_t *sent_bytes, uint64_t *received_bytes)
{
	wire_stream_counters(n->stream, sent_bytes, received_bytes);
}

void wire_nbd_abort(struct wire_nbd *n)
{
	wire_stream_abort(n->stream);
}
