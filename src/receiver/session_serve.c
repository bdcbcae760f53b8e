/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests, one at a time: check it, take its payload, act, answer. Answers wait in the stream
 * while more requests are there already, and leave when there are none.
 */
#include <errno.h>
#include <string.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/num.h"
#include "receiver/session.h"

#define EXTENTS_MAX 512

static uint32_t nbd_error_of(int rc)
{
	switch (-rc) {
	case EPERM:
	case EROFS:
	case EACCES:
		return NBD_EPERM;
	case ENOMEM:
		return NBD_ENOMEM;
	case EINVAL:
	case ENOENT:
		return NBD_EINVAL;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return NBD_ENOSPC;
	case EBADMSG:
		return NBD_EBADMSG;
	case EOVERFLOW:
		return NBD_EOVERFLOW;
	case ENOTSUP:
		return NBD_ENOTSUP;
	case ESHUTDOWN:
		return NBD_ESHUTDOWN;
	default:
		return NBD_EIO;
	}
}

int session_reply_part(struct session *s, const struct nbd_request *q, unsigned type, bool last,
		       uint32_t bytes)
{
	const struct nbd_struct_reply r = {.flags = last ? NBD_REPLY_FLAG_DONE : 0,
					   .type = (uint16_t)type,
					   .cookie = q->cookie,
					   .bytes = bytes};
	uint8_t raw[NBD_STRUCT_REPLY_BYTES];

	nbd_struct_reply_encode(&r, raw);
	return wire_stream_write(s->stream, raw, sizeof(raw));
}

static int reply_simple(struct session *s, const struct nbd_request *q, uint32_t error)
{
	uint8_t raw[NBD_SIMPLE_REPLY_BYTES];

	nbd_simple_reply_encode(error, q->cookie, raw);
	return wire_stream_write(s->stream, raw, sizeof(raw));
}

int session_reply_ok(struct session *s, const struct nbd_request *q)
{
	return reply_simple(s, q, 0);
}

int session_reply_error(struct session *s, const struct nbd_request *q, int rc)
{
	const char *text = err_reason();
	size_t bytes = min_of(strlen(text), (size_t)400);
	uint8_t raw[6];
	struct writer w = writer_of(raw, sizeof(raw));

	if (!s->structured)
		return reply_simple(s, q, nbd_error_of(rc));
	writer_be(&w, nbd_error_of(rc), 4);
	writer_be(&w, bytes, 2);
	rc = session_reply_part(s, q, NBD_REPLY_ERROR, true, (uint32_t)(sizeof(raw) + bytes));
	if (rc == 0)
		rc = wire_stream_write(s->stream, raw, sizeof(raw));
	return rc < 0 ? rc : wire_stream_write(s->stream, text, bytes);
}

const uint8_t *session_run_id(const struct session *s)
{
	return s->has_run ? s->run_id : NULL;
}

static int check_range(const struct session *s, const struct nbd_request *q, int error)
{
	if (q->length == 0)
		return fail(EINVAL, "a request of no bytes");
	if (!range_ok(q->offset, q->length, store_size_bytes(s->store)))
		return fail(error, "a request beyond the end of the disk");
	return 0;
}

/* The answer to a request that changes something: FUA, then the verdict. */
static int conclude(struct session *s, const struct nbd_request *q, int rc)
{
	if (rc == 0 && q->flags & NBD_CMD_FLAG_FUA)
		rc = store_commit(s->store);
	return rc < 0 ? session_reply_error(s, q, rc) : session_reply_ok(s, q);
}

static int read_simple(struct session *s, const struct nbd_request *q)
{
	uint32_t done = 0;

	while (done < q->length) {
		uint32_t part = min_of(q->length - done, SESSION_DATA_BYTES);
		int rc = store_read(s->store, s->data, part, q->offset + done);

		if (rc < 0 && done == 0)
			return session_reply_error(s, q, rc);
		if (rc == 0 && done == 0)
			rc = session_reply_ok(s, q);
		if (rc == 0)
			rc = wire_stream_write(s->stream, s->data, part);
		if (rc < 0)
			return rc; /* midway there is no way to say so but to leave */
		done += part;
	}
	return 0;
}

static int send_data(struct session *s, const struct nbd_request *q, uint64_t offset, uint32_t part,
		     bool last)
{
	uint8_t raw[8];
	struct writer w = writer_of(raw, sizeof(raw));
	int rc = session_reply_part(s, q, NBD_REPLY_OFFSET_DATA, last, 8 + part);

	writer_be(&w, offset, 8);
	if (rc == 0)
		rc = wire_stream_write(s->stream, raw, sizeof(raw));
	return rc < 0 ? rc : wire_stream_write(s->stream, s->data, part);
}

static int send_hole(struct session *s, const struct nbd_request *q, uint64_t offset, uint32_t part,
		     bool last)
{
	uint8_t raw[12];
	struct writer w = writer_of(raw, sizeof(raw));
	int rc = session_reply_part(s, q, NBD_REPLY_OFFSET_HOLE, last, sizeof(raw));

	writer_be(&w, offset, 8);
	writer_be(&w, part, 4);
	return rc < 0 ? rc : wire_stream_write(s->stream, raw, sizeof(raw));
}

static int on_read(struct session *s, const struct nbd_request *q)
{
	uint32_t done = 0;
	int rc = check_range(s, q, EINVAL);

	if (rc == 0 && q->length > NBD_REQUEST_MAX)
		rc = fail(EINVAL, "a READ of more than 32 MiB");
	if (rc < 0)
		return session_reply_error(s, q, rc);
	if (!s->structured)
		return read_simple(s, q);
	while (rc == 0 && done < q->length) {
		uint64_t offset = q->offset + done, part;
		bool hole, last;

		rc = store_extent(s->store, offset, q->length - done, &part, &hole);
		if (!hole)
			part = min_of(part, (uint64_t)SESSION_DATA_BYTES);
		last = done + part == q->length;
		if (rc == 0 && !hole)
			rc = store_read(s->store, s->data, part, offset);
		if (rc < 0)
			return session_reply_error(s, q, rc);
		rc = hole ? send_hole(s, q, offset, (uint32_t)part, last)
			  : send_data(s, q, offset, (uint32_t)part, last);
		done += (uint32_t)part;
	}
	return rc;
}

static int on_write(struct session *s, const struct nbd_request *q)
{
	uint32_t done = 0;
	int rc = check_range(s, q, ENOSPC);

	if (q->length > NBD_REQUEST_MAX)
		return fail(EPROTO, "sent a WRITE of %u bytes", q->length);
	while (done < q->length) {
		uint64_t offset = q->offset + done;
		uint64_t chunk_left = WIRE_CHUNK_BYTES - offset % WIRE_CHUNK_BYTES;
		uint32_t part = (uint32_t)min_of((uint64_t)(q->length - done), chunk_left);
		/* The whole part first: a chunk is not kept busy while the network is slow. */
		int broken = wire_stream_read(s->stream, s->data, part);

		if (broken < 0)
			return broken;
		if (rc == 0)
			rc = store_write(s->store, s->data, part, offset);
		done += part;
	}
	return conclude(s, q, rc);
}

static int on_zero(struct session *s, const struct nbd_request *q)
{
	bool trim = q->type == NBD_CMD_TRIM;
	int rc = check_range(s, q, trim ? EINVAL : ENOSPC);

	if (rc == 0 && q->flags & NBD_CMD_FLAG_FAST_ZERO &&
	    (store_is_device(s->store) || q->flags & NBD_CMD_FLAG_NO_HOLE))
		rc = fail(ENOTSUP, "zeroing would not be fast here");
	if (rc == 0)
		rc = store_zero(s->store, q->offset, q->length,
				!trim && q->flags & NBD_CMD_FLAG_NO_HOLE, trim,
				trim ? NULL : session_run_id(s));
	return conclude(s, q, rc);
}

static int on_block_status(struct session *s, const struct nbd_request *q)
{
	uint32_t max = q->flags & NBD_CMD_FLAG_REQ_ONE ? 1 : EXTENTS_MAX;
	uint8_t raw[4 + 8 * EXTENTS_MAX];
	struct writer w = writer_of(raw, sizeof(raw));
	uint64_t done = 0;
	int rc = check_range(s, q, EINVAL);

	if (rc == 0 && !s->allocation)
		rc = fail(EINVAL, "BLOCK_STATUS without base:allocation");
	writer_be(&w, CONTEXT_ALLOCATION, 4);
	for (uint32_t i = 0; rc == 0 && i < max && done < q->length; i++) {
		uint64_t bytes;
		bool hole;

		rc = store_extent(s->store, q->offset + done, q->length - done, &bytes, &hole);
		writer_be(&w, bytes, 4);
		writer_be(&w, hole ? 3 : 0, 4);
		done += bytes;
	}
	if (rc < 0)
		return session_reply_error(s, q, rc);
	rc = session_reply_part(s, q, NBD_REPLY_BLOCK_STATUS, true, (uint32_t)writer_used(&w));
	return rc < 0 ? rc : wire_stream_write(s->stream, raw, writer_used(&w));
}

static int on_request(struct session *s, const struct nbd_request *q)
{
	atomic_fetch_add(&s->receiver->requests, 1);
	switch (q->type) {
	case NBD_CMD_READ:
		return on_read(s, q);
	case NBD_CMD_WRITE:
		return on_write(s, q);
	case NBD_CMD_FLUSH:
		return conclude(s, q, store_commit(s->store));
	case NBD_CMD_TRIM:
	case NBD_CMD_WRITE_ZEROES:
		return on_zero(s, q);
	case NBD_CMD_BLOCK_STATUS:
		return on_block_status(s, q);
	case NBD_CMD_CHUNK_WRITE:
		return session_chunk_write(s, q);
	case NBD_CMD_DIGESTS:
		return session_digests(s, q);
	case NBD_CMD_DURABLE:
		return session_durable(s, q);
	case NBD_CMD_KEEP:
		return session_keep(s, q);
	case NBD_CMD_READBACK:
		return session_readback(s, q);
	case NBD_CMD_BLOCK_DIGESTS:
		return session_block_digests(s, q);
	default:
		return session_reply_error(s, q, fail(EINVAL, "a command that is not known here"));
	}
}

/* Nothing is there to do: answers leave, and what the next request or finding takes is waited for.
 */
static int await_work(struct session *s)
{
	int rc = session_readback_pump(s);

	if (rc == 0)
		rc = wire_stream_flush(s->stream);
	return rc < 0 ? rc
		      : wire_stream_wait(s->stream, false, session_readback_fd(s),
					 s->readback ? READBACK_WAIT_MS : -1);
}

/* 1: *out is the next request; 0: the client has left; negative: broken. */
static int next_request(struct session *s, struct nbd_request *out)
{
	uint8_t raw[NBD_REQUEST_BYTES];
	size_t got = 0;
	int rc;

	while (got < sizeof(raw)) {
		ssize_t n = wire_stream_read_some(s->stream, raw + got, sizeof(raw) - got);

		if (n == -EPIPE && got == 0)
			return 0;
		if (n < 0)
			return (int)n;
		got += (size_t)n;
		if (n > 0)
			continue;
		if (got > 0) {
			rc = wire_stream_read(s->stream, raw + got, sizeof(raw) - got);
			got = sizeof(raw);
		} else {
			rc = await_work(s);
		}
		if (rc < 0)
			return rc;
	}
	return nbd_request_parse(raw, out) < 0
		       ? fail(EPROTO, "sent something that is not a request")
		       : 1;
}

int session_serve(struct session *s)
{
	for (;;) {
		struct nbd_request q;
		int rc = next_request(s, &q);

		if (rc <= 0 || q.type == NBD_CMD_DISC)
			return rc < 0 ? rc : 0;
		rc = on_request(s, &q);
		if (rc == 0)
			rc = session_readback_pump(s);
		if (rc < 0)
			return rc;
	}
}
