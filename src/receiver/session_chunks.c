/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands of our NBD extension. docs/protocol.md says them to the byte. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"
#include "receiver/session.h"

static int need_extension(const struct session *s)
{
	return s->extension ? 0 : fail(EINVAL, "this command needs the extension's option first");
}

static uint64_t chunks_of(const struct session *s)
{
	return div_up(store_size_bytes(s->store), WIRE_CHUNK_BYTES);
}

static int begin_stream(struct session *s)
{
	if (!s->zstd_stream)
		s->zstd_stream = ZSTD_createDCtx();
	if (!s->zstd_stream)
		return fail(ENOMEM, "memory for a stream");
	ZSTD_DCtx_reset(s->zstd_stream, ZSTD_reset_session_only);
	ZSTD_DCtx_setParameter(s->zstd_stream, ZSTD_d_windowLogMax, (int)s->stream_window_log);
	s->in_stream = true;
	return 0;
}

/* The next part of the connection's frame: it ends where the client flushed, with all its bytes. */
static int next_of_stream(struct session *s, const struct wire_chunk_head *h)
{
	ZSTD_inBuffer in = {s->data, h->payload_bytes, 0};
	ZSTD_outBuffer out = {s->blocks, h->present_bytes, 0};

	while (in.pos < in.size) {
		size_t in_before = in.pos, out_before = out.pos;
		size_t rc = ZSTD_decompressStream(s->zstd_stream, &out, &in);

		if (ZSTD_isError(rc))
			return fail(EBADMSG, "a chunk of a stream does not decompress: %s",
				    ZSTD_getErrorName(rc));
		if (in.pos == in_before && out.pos == out_before)
			break;
	}
	return in.pos == in.size && out.pos == out.size
		       ? 0
		       : fail(EBADMSG, "a chunk of a stream is not of the size that it should be");
}

static int stream_blocks(struct session *s, const struct wire_chunk_head *h)
{
	int rc = 0;

	if (!s->stream_window_log)
		return fail(EINVAL, "streams were not granted to this connection");
	if (h->begins)
		rc = begin_stream(s);
	if (rc == 0 && !s->in_stream)
		rc = fail(EBADMSG, "a chunk of a stream that broke before, or never began");
	if (rc == 0)
		rc = next_of_stream(s, h);
	if (rc < 0)
		s->in_stream = false;
	return rc;
}

/* The present blocks of a chunk: the payload itself, or what it decompresses to. */
static int present_blocks(struct session *s, const struct wire_chunk_head *h, uint8_t **blocks)
{
	size_t got;

	*blocks = s->data;
	if (h->codec == WIRE_CODEC_PLAIN)
		return 0;
	*blocks = s->blocks;
	if (h->codec == WIRE_CODEC_STREAM)
		return stream_blocks(s, h);
	if (ZSTD_getFrameContentSize(s->data, h->payload_bytes) != h->present_bytes)
		return fail(EBADMSG, "a chunk's frame is not of the size that it should be");
	got = ZSTD_decompressDCtx(s->zstd, s->blocks, h->present_bytes, s->data, h->payload_bytes);
	if (ZSTD_isError(got))
		return fail(EBADMSG, "a chunk does not decompress: %s", ZSTD_getErrorName(got));
	return got == h->present_bytes ? 0 : fail(EBADMSG, "a chunk decompresses to less");
}

/* The chunk with its zeros, in that of our two buffers where the blocks are not; or as it is. */
static uint8_t *whole_chunk(struct session *s, const struct wire_chunk_head *h, size_t chunk_bytes,
			    uint8_t *blocks)
{
	uint8_t *whole = blocks == s->data ? s->blocks : s->data;
	unsigned block = 0, run = 0;
	size_t done = 0;

	if (h->present_bytes == chunk_bytes)
		return blocks;
	while (wire_bitmap_run(h->bitmap, &block, &run)) {
		size_t start = (size_t)block * WIRE_BLOCK_BYTES;
		size_t bytes = min_of((size_t)run * WIRE_BLOCK_BYTES, chunk_bytes - start);

		memset(whole + done, 0, start - done);
		memcpy(whole + start, blocks, bytes);
		blocks += bytes;
		done = start + bytes;
		block += run;
	}
	memset(whole + done, 0, chunk_bytes - done);
	return whole;
}

static int take_chunk(struct session *s, uint64_t chunk, size_t chunk_bytes,
		      const struct wire_chunk_head *h)
{
	uint8_t digest[WIRE_DIGEST_MAX], *blocks, *whole;
	int rc;

	if (h->codec == WIRE_CODEC_NEAR)
		return session_patch(s, chunk, h, NULL);
	rc = present_blocks(s, h, &blocks);
	if (rc < 0)
		return rc;
	if (h->patch)
		return session_patch(s, chunk, h, blocks);
	whole = whole_chunk(s, h, chunk_bytes, blocks);
	wire_digest_of(s->digest)(whole, chunk_bytes, digest);
	if (memcmp(digest, h->digest, sizeof(digest)) != 0)
		return fail(EBADMSG,
			    "chunk %" PRIu64 " of disk%u does not match its digest; it was damaged "
			    "on the way from the source's memory",
			    chunk, store_disk(s->store));
	/* Zeros that came as data are zeros: some file systems make holes of them, and then the
	 * journal's word that data stands there would look like a lie. */
	if (io_is_zero(whole, chunk_bytes))
		return store_zero(s->store, chunk << WIRE_CHUNK_SHIFT, chunk_bytes, false, false,
				  session_run_id(s));
	return store_chunk(s->store, chunk, h->bitmap, whole, h->digest, session_run_id(s));
}

int session_chunk_write(struct session *s, const struct nbd_request *q)
{
	uint8_t raw[WIRE_CHUNK_HEAD_BYTES];
	struct wire_chunk_head head;
	uint64_t size = store_size_bytes(s->store);
	size_t chunk_bytes;
	int rc;

	/* Where the payload's length cannot be trusted there is no way on. */
	if (!s->extension || q->length < sizeof(raw) || q->length > WIRE_CHUNK_REQUEST_MAX)
		return fail(EPROTO, "sent a CHUNK_WRITE of %u bytes", q->length);
	rc = wire_stream_read(s->stream, raw, sizeof(raw));
	if (rc == 0)
		rc = wire_stream_read(s->stream, s->data, q->length - sizeof(raw));
	if (rc < 0)
		return rc;
	if (q->offset % WIRE_CHUNK_BYTES != 0 || q->offset >= size) {
		rc = fail(EINVAL, "a chunk that is not aligned, or beyond the end of the disk");
		s->in_stream = false; /* it may have been a part of one */
	} else {
		chunk_bytes = (size_t)min_of((uint64_t)WIRE_CHUNK_BYTES, size - q->offset);
		rc = wire_chunk_head_parse(raw, q->length, chunk_bytes, &head);
		if (rc == 0 && head.digest_kind != s->digest)
			rc = -EINVAL;
		if (rc < 0)
			s->in_stream = false;
		rc = rc < 0 ? fail(EINVAL, "a chunk whose head is malformed")
			    : take_chunk(s, q->offset >> WIRE_CHUNK_SHIFT, chunk_bytes, &head);
	}
	atomic_fetch_add(rc < 0 ? &s->receiver->chunks_refused : &s->receiver->chunks_taken, 1);
	if (rc == 0 && q->flags & NBD_CMD_FLAG_FUA)
		rc = store_commit(s->store);
	return rc < 0 ? session_reply_error(s, q, rc) : session_reply_ok(s, q);
}

int session_check_chunks(const struct session *s, const struct nbd_request *q)
{
	int rc = need_extension(s);

	if (rc < 0)
		return rc;
	if (q->offset % WIRE_CHUNK_BYTES != 0 || q->length == 0 ||
	    !range_ok(q->offset >> WIRE_CHUNK_SHIFT, q->length, chunks_of(s)))
		return fail(EINVAL, "chunks that are not aligned, or beyond the end of the disk");
	return 0;
}

/* One structured reply: as many runs as fit, from *chunk on. */
static int send_digests(struct session *s, const struct nbd_request *q, uint64_t *chunk,
			uint64_t end)
{
	struct writer w = writer_of(s->data, WIRE_DIGESTS_MAX_BYTES);
	size_t digest_bytes = wire_digest_bytes(s->digest);
	int rc;

	writer_be(&w, *chunk, 8);
	while (*chunk < end) {
		size_t room = (size_t)(w.end - w.at);
		struct store_run run;
		uint64_t max;

		if (room < WIRE_DIGESTS_RUN_BYTES + digest_bytes)
			break;
		max = (room - WIRE_DIGESTS_RUN_BYTES) / digest_bytes;
		/* Written behind the run's head, so that state and digests are of one moment. */
		store_run_at(s->store, *chunk, min_of(max, end - *chunk), session_run_id(s), &run,
			     w.at + WIRE_DIGESTS_RUN_BYTES);
		writer_be(&w, run.count, 4);
		writer_be(&w, run.state, 1);
		writer_be(&w,
			  (run.this_run ? WIRE_DIGESTS_THIS_RUN : 0u) |
				  (run.durable ? WIRE_DIGESTS_DURABLE : 0u),
			  1);
		writer_be(&w, 0, 2);
		if (run.state == WIRE_DATA)
			w.at += run.count * digest_bytes;
		*chunk += run.count;
	}
	rc = session_reply_part(s, q, NBD_REPLY_DIGESTS, *chunk == end, (uint32_t)writer_used(&w));
	return rc < 0 ? rc : wire_stream_write(s->stream, s->data, writer_used(&w));
}

/* What stands there now, as far as it can be told in a kibibyte. */
int session_block_digests(struct session *s, const struct nbd_request *q)
{
	uint8_t raw[WIRE_MARKS_HEAD_BYTES + WIRE_MARKS_BYTES];
	struct writer w = writer_of(raw, sizeof(raw));
	uint64_t chunk = q->offset >> WIRE_CHUNK_SHIFT;
	size_t bytes, mark_bytes = wire_mark_bytes(q->flags);
	int rc = session_check_chunks(s, q);

	if (rc == 0 && q->length != 1)
		rc = fail(EINVAL, "BLOCK_DIGESTS of more than one chunk");
	if (rc < 0)
		return session_reply_error(s, q, rc);
	bytes = (size_t)min_of((uint64_t)WIRE_CHUNK_BYTES, store_size_bytes(s->store) - q->offset);
	rc = store_read(s->store, s->data, bytes, q->offset);
	if (rc == 0 && q->flags & NBD_CMD_FLAG_TO_PATCH)
		rc = store_forget_ahead(s->store, chunk);
	if (rc < 0)
		return session_reply_error(s, q, rc);
	writer_be(&w, chunk, 8);
	wire_chunk_marks(s->data, bytes, mark_bytes, w.at);
	w.at += div_up(bytes, WIRE_BLOCK_BYTES) * mark_bytes;
	rc = session_reply_part(s, q, NBD_REPLY_BLOCK_DIGESTS, true, (uint32_t)writer_used(&w));
	return rc < 0 ? rc : wire_stream_write(s->stream, raw, writer_used(&w));
}

int session_digests(struct session *s, const struct nbd_request *q)
{
	uint64_t chunk = q->offset >> WIRE_CHUNK_SHIFT, end = chunk + q->length;
	int rc = session_check_chunks(s, q);

	if (rc < 0)
		return session_reply_error(s, q, rc);
	while (rc == 0 && chunk < end)
		rc = send_digests(s, q, &chunk, end);
	return rc;
}

int session_durable(struct session *s, const struct nbd_request *q)
{
	uint8_t raw[WIRE_DURABLE_BYTES];
	struct wire_durable report;
	int rc = need_extension(s);

	if (rc == 0 && q->flags & NBD_CMD_FLAG_FUA)
		rc = store_commit(s->store);
	if (rc < 0)
		return session_reply_error(s, q, rc);
	store_durable(s->store, session_run_id(s), &report);
	wire_durable_encode(&report, raw);
	rc = session_reply_part(s, q, NBD_REPLY_DURABLE, true, sizeof(raw));
	return rc < 0 ? rc : wire_stream_write(s->stream, raw, sizeof(raw));
}

int session_keep(struct session *s, const struct nbd_request *q)
{
	int rc = session_check_chunks(s, q);

	if (rc == 0 && !s->has_run)
		rc = fail(EINVAL, "KEEP needs a run id");
	if (rc == 0)
		rc = store_keep(s->store, q->offset >> WIRE_CHUNK_SHIFT, q->length, s->run_id);
	return rc < 0 ? session_reply_error(s, q, rc) : session_reply_ok(s, q);
}
