/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages: bytes to structs and back, all integers big-endian, and nothing else. The layouts of
 * our own are in docs/protocol.md, those of NBD in the protocol text of the NBD project.
 */
#include <errno.h>
#include <string.h>

#include "base/cursor.h"
#include "base/num.h"
#include "wire/wire.h"

int nbd_option_head_parse(const uint8_t raw[NBD_OPTION_HEAD_BYTES], struct nbd_option_head *out)
{
	struct cursor c = cursor_of(raw, NBD_OPTION_HEAD_BYTES);
	uint64_t magic = cursor_be64(&c);

	out->option = cursor_be32(&c);
	out->bytes = cursor_be32(&c);
	return magic == NBD_OPTION_MAGIC ? 0 : -EINVAL;
}

void nbd_option_head_encode(const struct nbd_option_head *h, uint8_t raw[NBD_OPTION_HEAD_BYTES])
{
	struct writer w = writer_of(raw, NBD_OPTION_HEAD_BYTES);

	writer_be(&w, NBD_OPTION_MAGIC, 8);
	writer_be(&w, h->option, 4);
	writer_be(&w, h->bytes, 4);
}

int nbd_option_reply_parse(const uint8_t raw[NBD_OPTION_REPLY_BYTES], struct nbd_option_reply *out)
{
	struct cursor c = cursor_of(raw, NBD_OPTION_REPLY_BYTES);
	uint64_t magic = cursor_be64(&c);

	out->option = cursor_be32(&c);
	out->type = cursor_be32(&c);
	out->bytes = cursor_be32(&c);
	return magic == NBD_OPT_REPLY ? 0 : -EINVAL;
}

void nbd_option_reply_encode(const struct nbd_option_reply *r, uint8_t raw[NBD_OPTION_REPLY_BYTES])
{
	struct writer w = writer_of(raw, NBD_OPTION_REPLY_BYTES);

	writer_be(&w, NBD_OPT_REPLY, 8);
	writer_be(&w, r->option, 4);
	writer_be(&w, r->type, 4);
	writer_be(&w, r->bytes, 4);
}

int nbd_request_parse(const uint8_t raw[NBD_REQUEST_BYTES], struct nbd_request *out)
{
	struct cursor c = cursor_of(raw, NBD_REQUEST_BYTES);
	uint32_t magic = cursor_be32(&c);

	out->flags = cursor_be16(&c);
	out->type = cursor_be16(&c);
	out->cookie = cursor_be64(&c);
	out->offset = cursor_be64(&c);
	out->length = cursor_be32(&c);
	return magic == NBD_REQUEST_MAGIC ? 0 : -EINVAL;
}

void nbd_request_encode(const struct nbd_request *r, uint8_t raw[NBD_REQUEST_BYTES])
{
	struct writer w = writer_of(raw, NBD_REQUEST_BYTES);

	writer_be(&w, NBD_REQUEST_MAGIC, 4);
	writer_be(&w, r->flags, 2);
	writer_be(&w, r->type, 2);
	writer_be(&w, r->cookie, 8);
	writer_be(&w, r->offset, 8);
	writer_be(&w, r->length, 4);
}

void nbd_simple_reply_encode(uint32_t error, uint64_t cookie, uint8_t raw[NBD_SIMPLE_REPLY_BYTES])
{
	struct writer w = writer_of(raw, NBD_SIMPLE_REPLY_BYTES);

	writer_be(&w, NBD_SIMPLE_MAGIC, 4);
	writer_be(&w, error, 4);
	writer_be(&w, cookie, 8);
}

int nbd_struct_reply_parse(const uint8_t raw[NBD_STRUCT_REPLY_BYTES], struct nbd_struct_reply *out)
{
	struct cursor c = cursor_of(raw, NBD_STRUCT_REPLY_BYTES);
	uint32_t magic = cursor_be32(&c);

	out->flags = cursor_be16(&c);
	out->type = cursor_be16(&c);
	out->cookie = cursor_be64(&c);
	out->bytes = cursor_be32(&c);
	return magic == NBD_STRUCT_MAGIC ? 0 : -EINVAL;
}

void nbd_struct_reply_encode(const struct nbd_struct_reply *r, uint8_t raw[NBD_STRUCT_REPLY_BYTES])
{
	struct writer w = writer_of(raw, NBD_STRUCT_REPLY_BYTES);

	writer_be(&w, NBD_STRUCT_MAGIC, 4);
	writer_be(&w, r->flags, 2);
	writer_be(&w, r->type, 2);
	writer_be(&w, r->cookie, 8);
	writer_be(&w, r->bytes, 4);
}

/* A length and so many bytes without NUL, into name. */
static void read_name(struct cursor *c, char name[NBD_NAME_MAX + 1])
{
	uint32_t n = cursor_be32(c);

	if (n > NBD_NAME_MAX) {
		cursor_fail(c);
		n = 0;
	}
	cursor_copy(c, name, n);
	name[n] = '\0';
	if (memchr(name, '\0', n))
		cursor_fail(c);
}

int nbd_go_parse(const void *data, size_t bytes, struct nbd_go *out)
{
	struct cursor c = cursor_of(data, bytes);
	unsigned count;

	out->wants_block_size = false;
	read_name(&c, out->name);
	count = cursor_be16(&c);
	for (unsigned i = 0; i < count && cursor_ok(&c); i++)
		if (cursor_be16(&c) == NBD_INFO_BLOCK_SIZE)
			out->wants_block_size = true;
	return cursor_ok(&c) && cursor_left(&c) == 0 ? 0 : -EINVAL;
}

int nbd_meta_parse(const void *data, size_t bytes, bool list, struct nbd_meta *out)
{
	struct cursor c = cursor_of(data, bytes);
	uint32_t count;

	read_name(&c, out->name);
	count = cursor_be32(&c);
	out->wants_allocation = list && count == 0;
	for (uint32_t i = 0; i < count && cursor_ok(&c); i++) {
		uint32_t n = cursor_be32(&c);
		const uint8_t *query = cursor_bytes(&c, n);

		if (!query)
			break;
		if ((n == 15 && memcmp(query, "base:allocation", 15) == 0) ||
		    (list && n == 5 && memcmp(query, "base:", 5) == 0))
			out->wants_allocation = true;
	}
	return cursor_ok(&c) && cursor_left(&c) == 0 ? 0 : -EINVAL;
}

int wire_offer_parse(const void *data, size_t bytes, struct wire_offer *out)
{
	struct cursor c = cursor_of(data, bytes);

	out->version = cursor_be16(&c);
	out->chunk_shift = cursor_u8(&c);
	out->digest = cursor_u8(&c);
	out->codecs = cursor_be32(&c);
	out->stream_window_log = cursor_u8(&c);
	cursor_skip(&c, 7);
	cursor_copy(&c, out->run_id, sizeof(out->run_id));
	/* A later version may say more behind this. */
	return cursor_ok(&c) && out->version >= 1 && out->codecs & 1u << WIRE_CODEC_PLAIN ? 0
											  : -EINVAL;
}

void wire_offer_encode(const struct wire_offer *o, uint8_t raw[WIRE_OFFER_BYTES])
{
	struct writer w = writer_of(raw, WIRE_OFFER_BYTES);

	writer_be(&w, o->version, 2);
	writer_be(&w, o->chunk_shift, 1);
	writer_be(&w, o->digest, 1);
	writer_be(&w, o->codecs, 4);
	writer_be(&w, o->stream_window_log, 1);
	writer_be(&w, 0, 7);
	writer_bytes(&w, o->run_id, sizeof(o->run_id));
}

static bool digest_known(unsigned kind)
{
	return kind == WIRE_DIGEST_XXH3_128 || kind == WIRE_DIGEST_SHA256;
}

int wire_grant_parse(const void *data, size_t bytes, struct wire_grant *out)
{
	struct cursor c = cursor_of(data, bytes);

	out->version = cursor_be16(&c);
	out->chunk_shift = cursor_u8(&c);
	out->digest = cursor_u8(&c);
	out->codecs = cursor_be32(&c);
	out->request_max = cursor_be32(&c);
	out->stream_window_log = cursor_u8(&c);
	out->features = (uint32_t)cursor_u8(&c) << 16;
	out->features |= cursor_be16(&c);
	if (!(out->codecs & 1u << WIRE_CODEC_STREAM) ||
	    out->stream_window_log < WIRE_STREAM_LOG_MIN ||
	    out->stream_window_log > WIRE_STREAM_LOG_MAX)
		out->stream_window_log = 0;
	return cursor_ok(&c) && out->version == WIRE_EXTENSION_VERSION &&
			       out->chunk_shift == WIRE_CHUNK_SHIFT && digest_known(out->digest) &&
			       out->codecs & 1u << WIRE_CODEC_PLAIN &&
			       out->request_max >= WIRE_CHUNK_REQUEST_MAX
		       ? 0
		       : -EINVAL;
}

void wire_grant_encode(const struct wire_grant *g, uint8_t raw[WIRE_OFFER_REPLY_BYTES])
{
	struct writer w = writer_of(raw, WIRE_OFFER_REPLY_BYTES);

	writer_be(&w, g->version, 2);
	writer_be(&w, g->chunk_shift, 1);
	writer_be(&w, g->digest, 1);
	writer_be(&w, g->codecs, 4);
	writer_be(&w, g->request_max, 4);
	writer_be(&w, g->stream_window_log, 1);
	writer_be(&w, g->features, 3);
}

int wire_marks_parse(const void *data, size_t bytes, uint64_t chunk, size_t chunk_bytes,
		     size_t mark_bytes, uint8_t marks[WIRE_MARKS_BYTES])
{
	struct cursor c = cursor_of(data, bytes);
	size_t n = div_up(chunk_bytes, WIRE_BLOCK_BYTES) * mark_bytes;

	if (cursor_be64(&c) != chunk || cursor_left(&c) != n || n > WIRE_MARKS_BYTES)
		return -EINVAL;
	memset(marks, 0, WIRE_MARKS_BYTES);
	cursor_copy(&c, marks, n);
	return cursor_ok(&c) ? 0 : -EINVAL;
}

/* In the head's flags. */
#define CHUNK_FLAG_PATCH  1u
#define CHUNK_FLAG_BEGINS 2u

int wire_chunk_head_parse(const uint8_t raw[WIRE_CHUNK_HEAD_BYTES], uint32_t request_bytes,
			  size_t chunk_bytes, struct wire_chunk_head *out)
{
	struct cursor c = cursor_of(raw, WIRE_CHUNK_HEAD_BYTES);
	unsigned codec = cursor_u8(&c), kind = cursor_u8(&c), flags = cursor_be16(&c), zero;
	size_t present;

	out->codec = codec;
	out->patch = flags & CHUNK_FLAG_PATCH;
	out->begins = flags & CHUNK_FLAG_BEGINS;
	zero = flags & ~(CHUNK_FLAG_PATCH | CHUNK_FLAG_BEGINS);
	if (out->begins && codec != WIRE_CODEC_STREAM)
		return -EINVAL;
	out->payload_bytes = cursor_be32(&c);
	out->present_bytes = cursor_be32(&c);
	zero |= cursor_be32(&c);
	cursor_copy(&c, out->bitmap, sizeof(out->bitmap));
	cursor_copy(&c, out->digest, sizeof(out->digest));
	if (!cursor_ok(&c) || zero != 0 || !digest_known(kind))
		return -EINVAL;
	out->digest_kind = kind;
	for (size_t i = wire_digest_bytes(kind); i < WIRE_DIGEST_MAX; i++)
		if (out->digest[i] != 0)
			return -EINVAL;
	if (wire_bitmap_bytes(out->bitmap, chunk_bytes, &present) < 0 || present == 0 ||
	    present != out->present_bytes)
		return -EINVAL;
	if (request_bytes < WIRE_CHUNK_HEAD_BYTES ||
	    out->payload_bytes != request_bytes - WIRE_CHUNK_HEAD_BYTES)
		return -EINVAL;
	if (codec == WIRE_CODEC_PLAIN)
		return out->payload_bytes == present ? 0 : -EINVAL;
	if (codec == WIRE_CODEC_NEAR && (!out->patch || present > WIRE_NEAR_PRESENT_BYTES))
		return -EINVAL;
	return codec <= WIRE_CODEC_NEAR && out->payload_bytes > 0 && out->payload_bytes < present
		       ? 0
		       : -EINVAL;
}

void wire_chunk_head_encode(const struct wire_chunk_head *h, uint8_t raw[WIRE_CHUNK_HEAD_BYTES])
{
	struct writer w = writer_of(raw, WIRE_CHUNK_HEAD_BYTES);

	writer_be(&w, h->codec, 1);
	writer_be(&w, h->digest_kind, 1);
	writer_be(&w, (h->patch ? CHUNK_FLAG_PATCH : 0) | (h->begins ? CHUNK_FLAG_BEGINS : 0), 2);
	writer_be(&w, h->payload_bytes, 4);
	writer_be(&w, h->present_bytes, 4);
	writer_be(&w, 0, 4);
	writer_bytes(&w, h->bitmap, sizeof(h->bitmap));
	writer_bytes(&w, h->digest, sizeof(h->digest));
}

/* The next run of a report; false at its end or where it is malformed, which the cursor tells. */
static bool next_run(struct cursor *c, enum wire_digest_kind kind, uint64_t chunk, uint32_t *count,
		     unsigned *state, unsigned *flags, const uint8_t **digests)
{
	uint64_t end;

	if (!cursor_ok(c) || cursor_left(c) == 0)
		return false;
	*count = cursor_be32(c);
	*state = cursor_u8(c);
	*flags = cursor_u8(c);
	*digests = NULL;
	cursor_skip(c, 2);
	if (*state == WIRE_DATA)
		*digests = cursor_bytes(c, (size_t)*count * wire_digest_bytes(kind));
	if (*count == 0 || *state > WIRE_DATA || !add_ok(chunk, *count, &end))
		cursor_fail(c);
	return cursor_ok(c);
}

int wire_digests_parse(enum wire_digest_kind kind, const void *data, size_t bytes,
		       wire_digests_fn fn, void *ctx)
{
	struct cursor c = cursor_of(data, bytes);
	uint64_t chunk = cursor_be64(&c);
	unsigned state, flags;
	const uint8_t *digests;
	uint32_t count;

	for (; next_run(&c, kind, chunk, &count, &state, &flags, &digests); chunk += count) {
		int rc = fn(ctx, chunk, count, state, flags & WIRE_DIGESTS_THIS_RUN,
			    flags & WIRE_DIGESTS_DURABLE, digests);

		if (rc < 0)
			return rc;
	}
	return cursor_ok(&c) ? 0 : -EINVAL;
}

int wire_readback_parse(enum wire_digest_kind kind, const void *data, size_t bytes,
			wire_readback_fn fn, void *ctx)
{
	struct cursor c = cursor_of(data, bytes);
	uint64_t chunk = cursor_be64(&c);
	unsigned state, flags;
	const uint8_t *digests;
	uint32_t count;

	for (; next_run(&c, kind, chunk, &count, &state, &flags, &digests); chunk += count) {
		int rc = fn(ctx, chunk, count, state, flags & WIRE_DIGESTS_DURABLE,
			    flags & WIRE_DIGESTS_DIFFERS, digests);

		if (rc < 0)
			return rc;
	}
	return cursor_ok(&c) ? 0 : -EINVAL;
}

int wire_durable_parse(const void *data, size_t bytes, struct wire_durable *out)
{
	struct cursor c = cursor_of(data, bytes);

	out->chunks = cursor_be64(&c);
	out->durable_chunks = cursor_be64(&c);
	out->pending_chunks = cursor_be64(&c);
	out->known_chunks = cursor_be64(&c);
	out->same_run = cursor_be32(&c) & 1;
	cursor_skip(&c, 4);
	return cursor_ok(&c) && out->durable_chunks <= out->chunks ? 0 : -EINVAL;
}

void wire_durable_encode(const struct wire_durable *d, uint8_t raw[WIRE_DURABLE_BYTES])
{
	struct writer w = writer_of(raw, WIRE_DURABLE_BYTES);

	writer_be(&w, d->chunks, 8);
	writer_be(&w, d->durable_chunks, 8);
	writer_be(&w, d->pending_chunks, 8);
	writer_be(&w, d->known_chunks, 8);
	writer_be(&w, d->same_run, 4);
	writer_be(&w, 0, 4);
}

const char *nbd_command_name(unsigned type)
{
	static const char *const standard[] = {
		[NBD_CMD_READ] = "READ",
		[NBD_CMD_WRITE] = "WRITE",
		[NBD_CMD_DISC] = "DISC",
		[NBD_CMD_FLUSH] = "FLUSH",
		[NBD_CMD_TRIM] = "TRIM",
		[NBD_CMD_CACHE] = "CACHE",
		[NBD_CMD_WRITE_ZEROES] = "WRITE_ZEROES",
		[NBD_CMD_BLOCK_STATUS] = "BLOCK_STATUS",
	};

	if (type < ARRAY_SIZE(standard))
		return standard[type];
	switch (type) {
	case NBD_CMD_CHUNK_WRITE:
		return "CHUNK_WRITE";
	case NBD_CMD_DIGESTS:
		return "DIGESTS";
	case NBD_CMD_DURABLE:
		return "DURABLE";
	case NBD_CMD_KEEP:
		return "KEEP";
	case NBD_CMD_READBACK:
		return "READBACK";
	default:
		return "unknown command";
	}
}
