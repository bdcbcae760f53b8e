/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A data connection's beginning: fixed newstyle negotiation. Nothing but STARTTLS is answered
 * before TLS, and nothing about a disk before the token.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/log.h"
#include "base/num.h"
#include "receiver/session.h"

#define OPTIONS_MAX	 64 /* of one connection */
#define WRONG_TOKENS_MAX 3
#define NAME_PAD_BYTES	 124
#define OVERSIZE_SKIP	 (256u << 10) /* longer options than this end the connection */

/* What an option's handler says: go on, begin transmission, or (negative) end. */
enum { NEXT_OPTION = 0, BEGIN_SERVING = 1 };

static int put_reply(struct session *s, uint32_t option, uint32_t type, const void *data,
		     size_t bytes)
{
	const struct nbd_option_reply r = {
		.option = option, .type = type, .bytes = (uint32_t)bytes};
	uint8_t raw[NBD_OPTION_REPLY_BYTES];
	int rc;

	nbd_option_reply_encode(&r, raw);
	rc = wire_stream_write(s->stream, raw, sizeof(raw));
	return rc < 0 ? rc : wire_stream_write(s->stream, data, bytes);
}

static int ack(struct session *s, uint32_t option)
{
	int rc = put_reply(s, option, NBD_REP_ACK, NULL, 0);

	return rc < 0 ? rc : wire_stream_flush(s->stream);
}

static int refuse(struct session *s, uint32_t option, uint32_t type, const char *text)
{
	int rc = put_reply(s, option, type, text, strlen(text));

	return rc < 0 ? rc : wire_stream_flush(s->stream);
}

/* "diskN" without leading zeros. */
static struct store *disk_by_name(struct session *s, const char *name)
{
	uint64_t index;

	if (strncmp(name, "disk", 4) != 0 || (name[4] == '0' && name[5] != '\0') ||
	    num_parse(name + 4, 0, DISKS_MAX - 1, &index) < 0)
		return NULL;
	return disks_get(s->receiver->disks, (unsigned)index);
}

static void strange_token(struct session *s, enum token_verdict v)
{
	log_warn("%s: %s", wire_stream_peer(s->stream), token_verdict_text(v));
	s->wrong_tokens++;
}

/*
 * The export that a name means. 0: *out is it. Else the type of the error reply, and *text.
 * describe: only its size is asked for, which may be open to all.
 */
static uint32_t find_export(struct session *s, const char *name, bool describe, struct store **out,
			    const char **text)
{
	const char *slash = strchr(name, '/');
	enum token_verdict v;

	if (describe && !slash && s->receiver->list_ok) {
		*out = disk_by_name(s, name);
	} else {
		v = token_check(s->receiver->token, name, slash ? (size_t)(slash - name) : 0);
		if (v != TOKEN_GOOD) {
			strange_token(s, v);
			*text = token_verdict_text(v);
			return NBD_REP_ERR_POLICY;
		}
		server_conn_known(s->conn);
		*out = disk_by_name(s, slash + 1);
	}
	*text = "there is no such disk here; the plan that makes it has to arrive first";
	return *out ? 0 : NBD_REP_ERR_UNKNOWN;
}

static unsigned export_flags(const struct store *store)
{
	unsigned flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA |
			 NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_CAN_MULTI_CONN;

	return store_is_device(store) ? flags : flags | NBD_FLAG_SEND_FAST_ZERO;
}

/* Take the export for this connection. 0, or the type of the error reply and *text. */
static uint32_t enter(struct session *s, struct store *store, const char **text)
{
	enum token_verdict v;

	s->counted = server_session_enter(s->receiver);
	if (!s->counted) {
		*text = "this receiver has as many connections as it serves; close some of them";
		return NBD_REP_ERR_SHUTDOWN;
	}
	if (s->has_run && store_enter(store, s->run_id) < 0) {
		*text = err_reason();
		return NBD_REP_ERR_SHUTDOWN;
	}
	s->store = store;
	s->store_entered = s->has_run;
	v = token_enter(s->receiver->token, session_run_id(s));
	if (v != TOKEN_GOOD) {
		*text = token_verdict_text(v);
		return NBD_REP_ERR_POLICY;
	}
	s->token_entered = true;
	if (s->extension && store_speak(store, s->has_run, s->digest) < 0) {
		*text = err_reason();
		return NBD_REP_ERR_SHUTDOWN;
	}
	s->store_speaks = s->extension;
	return 0;
}

static int put_info(struct session *s, uint32_t option, const struct store *store)
{
	uint8_t raw[16];
	struct writer w = writer_of(raw, sizeof(raw));
	int rc;

	writer_be(&w, NBD_INFO_EXPORT, 2);
	writer_be(&w, store_size_bytes(store), 8);
	writer_be(&w, export_flags(store), 2);
	rc = put_reply(s, option, NBD_REP_INFO, raw, writer_used(&w));
	if (rc < 0)
		return rc;
	w = writer_of(raw, sizeof(raw));
	writer_be(&w, NBD_INFO_BLOCK_SIZE, 2);
	writer_be(&w, 1, 4);
	writer_be(&w, WIRE_BLOCK_BYTES, 4);
	writer_be(&w, NBD_REQUEST_MAX, 4);
	return put_reply(s, option, NBD_REP_INFO, raw, writer_used(&w));
}

static int on_info_or_go(struct session *s, const struct nbd_option_head *h, const uint8_t *data)
{
	bool begin = h->option == NBD_OPT_GO;
	CLEANUP_FREE struct nbd_go *go = malloc(sizeof(*go));
	struct store *store = NULL;
	const char *text = "";
	uint32_t error;
	int rc;

	if (!go)
		return fail(ENOMEM, "memory for a client's request");
	if (nbd_go_parse(data, h->bytes, go) < 0)
		return refuse(s, h->option, NBD_REP_ERR_INVALID, "malformed request");
	error = find_export(s, go->name, !begin, &store, &text);
	explicit_bzero(go, sizeof(*go));
	if (error == 0 && begin)
		error = enter(s, store, &text);
	if (error != 0) {
		rc = refuse(s, h->option, error, text);
		return s->store ? fail(EACCES, "%s", text) : rc;
	}
	rc = put_info(s, h->option, store);
	if (rc == 0)
		rc = ack(s, h->option);
	return rc < 0 ? rc : begin ? BEGIN_SERVING : NEXT_OPTION;
}

static int on_export_name(struct session *s, const struct nbd_option_head *h, const uint8_t *data)
{
	uint8_t raw[10 + NAME_PAD_BYTES] = {0};
	struct writer w = writer_of(raw, sizeof(raw));
	char name[WIRE_EXPORT_MAX];
	struct store *store = NULL;
	const char *text = "the export's name is too long";
	int rc;

	if (h->bytes >= sizeof(name))
		return fail(EINVAL, "%s", text);
	memcpy(name, data, h->bytes);
	name[h->bytes] = '\0';
	if (find_export(s, name, false, &store, &text) != 0 || enter(s, store, &text) != 0)
		return fail(EACCES, "%s", text); /* this option can only be refused by leaving */
	writer_be(&w, store_size_bytes(store), 8);
	writer_be(&w, export_flags(store), 2);
	rc = wire_stream_write(s->stream, raw, s->no_zeroes ? 10 : sizeof(raw));
	if (rc == 0)
		rc = wire_stream_flush(s->stream);
	return rc < 0 ? rc : BEGIN_SERVING;
}

static int on_list(struct session *s, const struct nbd_option_head *h)
{
	if (h->bytes != 0)
		return refuse(s, h->option, NBD_REP_ERR_INVALID, "LIST has no data");
	if (!s->receiver->list_ok && !s->conn->known)
		return refuse(s, h->option, NBD_REP_ERR_POLICY,
			      "disks are listed only on a connection that has shown the token, by "
			      "INFO of TOKEN/diskN");
	for (unsigned i = 0; i < DISKS_MAX; i++) {
		uint8_t raw[16];
		struct writer w = writer_of(raw, sizeof(raw));
		char name[12];
		int n, rc;

		if (!disks_get(s->receiver->disks, i))
			continue;
		n = snprintf(name, sizeof(name), "disk%u", i);
		writer_be(&w, (uint64_t)n, 4);
		writer_bytes(&w, name, (size_t)n);
		rc = put_reply(s, h->option, NBD_REP_SERVER, raw, writer_used(&w));
		if (rc < 0)
			return rc;
	}
	return ack(s, h->option);
}

static int on_meta(struct session *s, const struct nbd_option_head *h, const uint8_t *data)
{
	static const char context[] = "base:allocation";
	bool list = h->option == NBD_OPT_LIST_META_CONTEXT;
	CLEANUP_FREE struct nbd_meta *meta = malloc(sizeof(*meta));
	struct store *store = NULL;
	uint8_t raw[4 + sizeof(context)];
	struct writer w = writer_of(raw, sizeof(raw));
	const char *text = "";
	uint32_t error;

	if (!meta)
		return fail(ENOMEM, "memory for a client's request");
	if (nbd_meta_parse(data, h->bytes, list, meta) < 0)
		return refuse(s, h->option, NBD_REP_ERR_INVALID, "malformed request");
	if (!s->structured)
		return refuse(s, h->option, NBD_REP_ERR_INVALID, "structured replies come first");
	error = find_export(s, meta->name, list, &store, &text);
	if (error != 0)
		return refuse(s, h->option, error, text);
	if (!list)
		s->allocation = meta->wants_allocation;
	if (meta->wants_allocation) {
		int rc;

		writer_be(&w, list ? 0 : CONTEXT_ALLOCATION, 4);
		writer_bytes(&w, context, strlen(context));
		rc = put_reply(s, h->option, NBD_REP_META_CONTEXT, raw, writer_used(&w));
		if (rc < 0)
			return rc;
	}
	return ack(s, h->option);
}

/*
 * A stream needs its window in memory here as long as its connection lives. There is a fixed amount
 * for all: whoever comes when it is gone gets a smaller one, or none.
 */
static unsigned take_window(struct session *s, const struct wire_offer *offer)
{
	unsigned log = min_of(offer->stream_window_log, (uint8_t)WIRE_STREAM_LOG_MAX);

	/* Nothing is set aside for strangers. */
	if (!(offer->codecs & 1u << WIRE_CODEC_STREAM) || s->stream_window_log || !s->conn->known)
		return s->stream_window_log;
	for (; log >= WIRE_STREAM_LOG_MIN; log--) {
		uint64_t bytes = 1ull << log;

		if (atomic_fetch_add(&s->receiver->stream_bytes, bytes) + bytes <=
		    s->receiver->stream_room_bytes)
			return log;
		atomic_fetch_sub(&s->receiver->stream_bytes, bytes);
	}
	return 0;
}

static void give_window_back(struct session *s)
{
	if (s->stream_window_log)
		atomic_fetch_sub(&s->receiver->stream_bytes, 1ull << s->stream_window_log);
}

static int on_extension(struct session *s, const struct nbd_option_head *h, const uint8_t *data)
{
	static const uint8_t no_run[WIRE_RUN_ID_BYTES];
	struct wire_grant grant = {.version = WIRE_EXTENSION_VERSION,
				   .features = WIRE_FEATURE_PATCH | WIRE_FEATURE_TO_PATCH,
				   .chunk_shift = WIRE_CHUNK_SHIFT,
				   .codecs = 1u << WIRE_CODEC_PLAIN | 1u << WIRE_CODEC_ZSTD,
				   .request_max = WIRE_CHUNK_REQUEST_MAX};
	uint8_t raw[WIRE_OFFER_REPLY_BYTES];
	struct wire_offer offer;
	int rc;

	if (wire_offer_parse(data, h->bytes, &offer) < 0)
		return refuse(s, h->option, NBD_REP_ERR_INVALID, "malformed request");
	if (!s->structured)
		return refuse(s, h->option, NBD_REP_ERR_INVALID, "structured replies come first");
	if (offer.chunk_shift != WIRE_CHUNK_SHIFT ||
	    (offer.digest != WIRE_DIGEST_XXH3_128 && offer.digest != WIRE_DIGEST_SHA256))
		return refuse(s, h->option, NBD_REP_ERR_INVALID,
			      "chunks are of 1 MiB and digests XXH3-128 or SHA-256 here");
	s->digest = offer.digest;
	grant.digest = offer.digest;
	memcpy(s->run_id, offer.run_id, sizeof(s->run_id));
	s->has_run = memcmp(offer.run_id, no_run, sizeof(no_run)) != 0;
	s->extension = true;
	s->stream_window_log = take_window(s, &offer);
	grant.stream_window_log = (uint8_t)s->stream_window_log;
	if (s->stream_window_log)
		grant.codecs |= 1u << WIRE_CODEC_STREAM;
	s->near_ok = offer.codecs & 1u << WIRE_CODEC_NEAR;
	if (s->near_ok)
		grant.codecs |= 1u << WIRE_CODEC_NEAR;
	wire_grant_encode(&grant, raw);
	rc = put_reply(s, h->option, NBD_REP_COLDLIFT, raw, sizeof(raw));
	return rc < 0 ? rc : ack(s, h->option);
}

static int on_starttls(struct session *s, const struct nbd_option_head *h)
{
	int rc;

	if (wire_stream_is_tls(s->stream) || h->bytes != 0)
		return refuse(s, h->option, NBD_REP_ERR_INVALID, "TLS is on, or data came along");
	rc = ack(s, h->option);
	return rc < 0 ? rc : wire_stream_tls_server(s->stream, s->receiver->identity);
}

static int on_option(struct session *s, const struct nbd_option_head *h, const uint8_t *data)
{
	int rc;

	if (h->option == NBD_OPT_STARTTLS)
		return on_starttls(s, h);
	if (h->option == NBD_OPT_ABORT) {
		rc = ack(s, h->option);
		return rc < 0 ? rc : -EPIPE;
	}
	if (!wire_stream_is_tls(s->stream)) {
		if (h->option == NBD_OPT_EXPORT_NAME)
			return fail(EACCES, "wanted an export without TLS");
		return refuse(s, h->option, NBD_REP_ERR_TLS_REQD, "TLS comes first (STARTTLS)");
	}
	switch (h->option) {
	case NBD_OPT_EXPORT_NAME:
		return on_export_name(s, h, data);
	case NBD_OPT_LIST:
		return on_list(s, h);
	case NBD_OPT_INFO:
	case NBD_OPT_GO:
		return on_info_or_go(s, h, data);
	case NBD_OPT_STRUCTURED_REPLY:
		if (h->bytes != 0)
			return refuse(s, h->option, NBD_REP_ERR_INVALID, "no data is expected");
		s->structured = true;
		return ack(s, h->option);
	case NBD_OPT_LIST_META_CONTEXT:
	case NBD_OPT_SET_META_CONTEXT:
		return on_meta(s, h, data);
	case NBD_OPT_COLDLIFT:
		return on_extension(s, h, data);
	default:
		return refuse(s, h->option, NBD_REP_ERR_UNSUP, "this option is not known here");
	}
}

static int next_option(struct session *s, uint8_t data[NBD_OPTION_MAX])
{
	uint8_t raw[NBD_OPTION_HEAD_BYTES];
	struct nbd_option_head head;
	int rc = wire_stream_read(s->stream, raw, sizeof(raw));

	if (rc < 0)
		return rc;
	if (nbd_option_head_parse(raw, &head) < 0)
		return fail(EPROTO, "sent something that is not an NBD option");
	if (head.bytes > NBD_OPTION_MAX) {
		if (head.bytes > OVERSIZE_SKIP)
			return fail(EPROTO, "sent an option of %u bytes", head.bytes);
		rc = wire_stream_skip(s->stream, head.bytes);
		return rc < 0 ? rc : refuse(s, head.option, NBD_REP_ERR_TOO_BIG, "too long");
	}
	rc = wire_stream_read(s->stream, data, head.bytes);
	return rc < 0 ? rc : on_option(s, &head, data);
}

static int greet(struct session *s)
{
	uint8_t hello[18], raw[4];
	struct writer w = writer_of(hello, sizeof(hello));
	struct cursor c = cursor_of(raw, sizeof(raw));
	uint32_t flags;
	int rc;

	writer_be(&w, NBD_MAGIC, 8);
	writer_be(&w, NBD_OPTION_MAGIC, 8);
	writer_be(&w, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES, 2);
	rc = wire_stream_write(s->stream, hello, sizeof(hello));
	if (rc == 0)
		rc = wire_stream_flush(s->stream);
	if (rc == 0)
		rc = wire_stream_read(s->stream, raw, sizeof(raw));
	if (rc < 0)
		return rc;
	flags = cursor_be32(&c);
	if (!(flags & NBD_FLAG_FIXED_NEWSTYLE) ||
	    flags & ~(uint32_t)(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES))
		return fail(EPROTO, "does not speak fixed newstyle NBD");
	s->no_zeroes = flags & NBD_FLAG_NO_ZEROES;
	return 0;
}

static int negotiate(struct session *s)
{
	CLEANUP_FREE uint8_t *data = malloc(NBD_OPTION_MAX);
	int rc = data ? greet(s) : fail(ENOMEM, "memory for a client's request");

	for (unsigned i = 0; rc == NEXT_OPTION; i++) {
		if (i == OPTIONS_MAX || s->wrong_tokens == WRONG_TOKENS_MAX)
			return fail(EPROTO, "negotiates without end");
		rc = next_option(s, data);
	}
	return rc < 0 ? rc : 0;
}

static int serve(struct session *s)
{
	int rc;

	s->data = store_buffer();
	s->blocks = store_buffer();
	s->zstd = ZSTD_createDCtx();
	if (!s->data || !s->blocks || !s->zstd)
		return fail(ENOMEM, "memory for a connection");
	log_info("%s: opened disk%u%s", wire_stream_peer(s->stream), store_disk(s->store),
		 s->extension ? " with chunks" : "");
	rc = session_serve(s);
	session_readback_stop(s);
	log_info("%s: left disk%u", wire_stream_peer(s->stream), store_disk(s->store));
	return rc;
}

int session_run(struct conn *c)
{
	struct session s = {.receiver = c->receiver, .conn = c, .stream = c->stream};
	int rc;

	wire_stream_timeout(s.stream, STUCK_MS);
	wire_stream_deadline(s.stream, clock_ms() + STRANGE_MS);
	rc = negotiate(&s);
	wire_stream_deadline(s.stream, 0);
	if (rc == 0)
		rc = serve(&s);
	if (rc == 0 || rc == -EPIPE)
		wire_stream_close(s.stream);
	if (s.store_speaks)
		store_hush(s.store);
	if (s.store_entered)
		store_leave(s.store);
	if (s.token_entered)
		token_leave(s.receiver->token, session_run_id(&s));
	if (s.counted)
		server_session_leave(s.receiver);
	ZSTD_freeDCtx(s.zstd);
	ZSTD_freeDCtx(s.zstd_stream);
	give_window_back(&s);
	free(s.near_dict);
	free(s.data);
	free(s.blocks);
	return rc;
}
