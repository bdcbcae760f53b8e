/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * NBD client: requests in flight. Receiving is a machine that takes whatever bytes are there and
 * goes on later, so that sending can take in answers while it waits for room: neither side can then
 * wait for the other for ever.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/num.h"
#include "wire/wire_nbd.h"

#define COOKIE_SLOT_MASK 0xffffu

static int dead(struct wire_nbd *n, int rc)
{
	n->sound = false;
	return rc;
}

static int lost(const struct wire_nbd *n, int errnum, const char *how)
{
	return fail_code(errnum, "RECEIVER_UNREACHABLE", "%s %s", wire_stream_peer(n->stream), how);
}

static int violated(struct wire_nbd *n, const char *what)
{
	return dead(n, fail_code(EPROTO, "PEER_NOT_NBD", "%s breaks the protocol: %s",
				 wire_stream_peer(n->stream), what));
}

static int errno_of(uint32_t error)
{
	static const struct {
		uint32_t wire;
		int host;
	} table[] = {
		{NBD_EPERM, EPERM},	{NBD_EIO, EIO},		{NBD_ENOMEM, ENOMEM},
		{NBD_EINVAL, EINVAL},	{NBD_ENOSPC, ENOSPC},	{NBD_EBADMSG, EBADMSG},
		{NBD_EOVERFLOW, EFBIG}, {NBD_ENOTSUP, ENOTSUP}, {NBD_ESHUTDOWN, ESHUTDOWN},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].wire == error)
			return -table[i].host;
	return -EIO;
}

static struct nbd_slot *slot_of(struct wire_nbd *n, uint64_t cookie)
{
	uint64_t index = cookie & COOKIE_SLOT_MASK;
	struct nbd_slot *s;

	if (index >= n->window)
		return NULL;
	s = &n->slots[index];
	return s->used && !s->done && s->generation == cookie >> 16 ? s : NULL;
}

static uint64_t cookie_of(const struct wire_nbd *n, const struct nbd_slot *s)
{
	return (uint64_t)s->generation << 16 | (uint64_t)(s - n->slots);
}

static void finish(struct wire_nbd *n, struct nbd_slot *s)
{
	if (s->result.rc == 0 && s->request.command == NBD_CMD_READ &&
	    s->got_bytes != s->request.length_bytes)
		s->result.rc = -EIO;
	/* Who asks for the next status behind this one's end would never get on. */
	if (s->result.rc == 0 && s->request.command == NBD_CMD_BLOCK_STATUS &&
	    s->result.extent_count == 0)
		s->result.rc = -EIO;
	s->done = true;
	n->done_slots[(n->done_at + n->done_count++) % n->window] = (uint16_t)(s - n->slots);
}

static void expect(struct wire_nbd *n, enum rx_state state, void *into, size_t bytes)
{
	n->rx_state = state;
	n->rx_into = into;
	n->rx_left = bytes;
}

static void expect_head(struct wire_nbd *n)
{
	expect(n, RX_HEAD, n->rx_head, NBD_SIMPLE_REPLY_BYTES);
}

/* The structured reply at hand is taken in. */
static void reply_over(struct wire_nbd *n)
{
	if (n->rx_reply.flags & NBD_REPLY_FLAG_DONE)
		finish(n, n->rx_slot);
	expect_head(n);
}

static int on_simple(struct wire_nbd *n)
{
	struct cursor c = cursor_of(n->rx_head, NBD_SIMPLE_REPLY_BYTES);
	struct nbd_slot *s;
	uint32_t error;

	cursor_skip(&c, 4);
	error = cursor_be32(&c);
	s = slot_of(n, cursor_be64(&c));
	if (!s)
		return violated(n, "an answer to nothing");
	if (error != 0)
		s->result.rc = errno_of(error);
	else if (s->request.command == NBD_CMD_READ) {
		if (n->structured)
			return violated(n, "a simple answer to READ");
		n->rx_slot = s;
		n->rx_reply = (struct nbd_struct_reply){.flags = NBD_REPLY_FLAG_DONE};
		s->got_bytes = s->request.length_bytes;
		expect(n, RX_DATA, s->request.into, s->request.length_bytes);
		return 0;
	}
	finish(n, s);
	expect_head(n);
	return 0;
}

static int on_head(struct wire_nbd *n)
{
	struct cursor c = cursor_of(n->rx_head, 4);
	uint32_t magic = cursor_be32(&c);

	if (magic == NBD_SIMPLE_MAGIC)
		return on_simple(n);
	if (magic != NBD_STRUCT_MAGIC || !n->structured)
		return violated(n, "what should be an answer is none");
	expect(n, RX_REST, n->rx_head + NBD_SIMPLE_REPLY_BYTES,
	       NBD_STRUCT_REPLY_BYTES - NBD_SIMPLE_REPLY_BYTES);
	return 0;
}

/* A body that may be longer than we care for: the start of it is kept. */
static int expect_body(struct wire_nbd *n)
{
	if (n->rx_reply.bytes == 0)
		reply_over(n);
	else if (n->rx_reply.bytes > NBD_SCRATCH_BYTES &&
		 n->rx_reply.type != NBD_REPLY_BLOCK_STATUS)
		return violated(n, "an answer is too long");
	else
		expect(n, RX_BODY, n->scratch, min_of(n->rx_reply.bytes, NBD_SCRATCH_BYTES));
	return 0;
}

static int on_rest(struct wire_nbd *n)
{
	struct nbd_struct_reply *r = &n->rx_reply;
	struct nbd_slot *s;

	nbd_struct_reply_parse(n->rx_head, r);
	s = n->rx_slot = slot_of(n, r->cookie);
	if (!s)
		return violated(n, "an answer to nothing");
	if (r->type & 0x8000)
		return r->bytes >= 6 && r->bytes <= NBD_SCRATCH_BYTES
			       ? expect_body(n)
			       : violated(n, "an error of a wrong length");
	switch (r->type) {
	case NBD_REPLY_NONE:
		if (r->bytes != 0 || !(r->flags & NBD_REPLY_FLAG_DONE))
			return violated(n, "an empty answer that is not empty");
		reply_over(n);
		return 0;
	case NBD_REPLY_OFFSET_DATA:
		if (s->request.command != NBD_CMD_READ || r->bytes <= 8)
			return violated(n, "data that was not asked for");
		expect(n, RX_PLACE, n->scratch, 8);
		return 0;
	case NBD_REPLY_OFFSET_HOLE:
		if (s->request.command != NBD_CMD_READ || r->bytes != 12)
			return violated(n, "a hole that was not asked for");
		return expect_body(n);
	case NBD_REPLY_BLOCK_STATUS:
		if (s->request.command != NBD_CMD_BLOCK_STATUS || r->bytes < 12 ||
		    (r->bytes - 4) % 8 != 0)
			return violated(n, "a block status that was not asked for");
		return expect_body(n);
	case NBD_REPLY_DIGESTS:
	case NBD_REPLY_DURABLE:
	case NBD_REPLY_BLOCK_DIGESTS:
		if ((unsigned)s->request.command != r->type &&
		    (s->request.command != NBD_CMD_READBACK || r->type != NBD_REPLY_DIGESTS))
			return violated(n, "a report that was not asked for");
		return expect_body(n);
	default:
		return violated(n, "an answer of an unknown kind");
	}
}

/* Where the reader wants [offset, offset + bytes) of the disk; NULL when it did not ask for it. */
static uint8_t *place_of(const struct nbd_slot *s, uint64_t offset, uint64_t bytes)
{
	const struct wire_request *r = &s->request;

	if (offset < r->offset_bytes ||
	    !range_ok(offset - r->offset_bytes, bytes, r->length_bytes) ||
	    bytes > r->length_bytes - s->got_bytes)
		return NULL;
	return (uint8_t *)r->into + (offset - r->offset_bytes);
}

static int on_place(struct wire_nbd *n)
{
	struct cursor c = cursor_of(n->scratch, 8);
	uint32_t bytes = n->rx_reply.bytes - 8;
	uint8_t *into = place_of(n->rx_slot, cursor_be64(&c), bytes);

	if (!into)
		return violated(n, "data from elsewhere");
	n->rx_slot->got_bytes += bytes;
	expect(n, RX_DATA, into, bytes);
	return 0;
}

static int take_hole(struct wire_nbd *n, struct cursor *c)
{
	uint64_t offset = cursor_be64(c);
	uint32_t bytes = cursor_be32(c);
	uint8_t *into = place_of(n->rx_slot, offset, bytes);

	if (!into)
		return violated(n, "a hole from elsewhere");
	memset(into, 0, bytes);
	n->rx_slot->got_bytes += bytes;
	return 0;
}

static void take_status(struct nbd_slot *s, struct cursor *c)
{
	cursor_skip(c, 4); /* the context's number: we have only one */
	while (cursor_left(c) >= 8 && s->result.extent_count < s->request.extent_max) {
		uint32_t bytes = cursor_be32(c), flags = cursor_be32(c);

		if (bytes > 0)
			s->request.extents[s->result.extent_count++] = (struct wire_extent){
				.length_bytes = bytes, .hole = flags & 1, .zero = flags & 2};
	}
}

static void take_error(struct nbd_slot *s, struct cursor *c)
{
	uint32_t error = cursor_be32(c);
	size_t bytes = cursor_be16(c);
	const uint8_t *text = cursor_bytes(c, bytes);

	s->result.rc = errno_of(error);
	bytes = text ? min_of(bytes, sizeof(s->result.message) - 1) : 0;
	for (size_t i = 0; i < bytes; i++)
		s->result.message[i] = text[i] >= ' ' && text[i] <= '~' ? (char)text[i] : '?';
	s->result.message[bytes] = '\0';
}

/* A word on chunks that were not asked for, or a second one, must not count as one. */
static int next_run(struct wire_nbd *n, uint64_t first_chunk, uint32_t count)
{
	if (first_chunk != n->report_next || count > n->report_end - first_chunk)
		return -EINVAL;
	n->report_next += count;
	return 0;
}

static int take_digests(void *ctx, uint64_t first_chunk, uint32_t count,
			enum wire_chunk_state state, bool this_run, bool durable,
			const uint8_t *digests)
{
	struct wire_nbd *n = ctx;
	int rc = next_run(n, first_chunk, count);

	return rc < 0 ? rc
		      : n->digests_fn(n->digests_ctx, first_chunk, count, state, this_run, durable,
				      digests);
}

static int take_readback(void *ctx, uint64_t first_chunk, uint32_t count,
			 enum wire_chunk_state state, bool known, bool differs,
			 const uint8_t *digests)
{
	struct wire_nbd *n = ctx;
	int rc = next_run(n, first_chunk, count);

	return rc < 0 ? rc
		      : n->readback_fn(n->readback_ctx, first_chunk, count, state, known, differs,
				       digests);
}

static int take_report(struct wire_nbd *n, struct nbd_slot *s, size_t bytes)
{
	int rc;

	if (n->rx_reply.type == NBD_REPLY_BLOCK_DIGESTS)
		return wire_marks_parse(n->scratch, bytes,
					s->request.offset_bytes >> WIRE_CHUNK_SHIFT,
					min_of((uint64_t)WIRE_CHUNK_BYTES,
					       n->info.size_bytes - s->request.offset_bytes),
					wire_mark_bytes(s->request.flags), s->request.into);
	if (n->rx_reply.type == NBD_REPLY_DURABLE)
		return wire_durable_parse(n->scratch, bytes, &n->durable);
	if (s->result.rc != 0)
		return 0;
	if (s->request.command == NBD_CMD_READBACK)
		rc = wire_readback_parse(n->info.digest, n->scratch, bytes, take_readback, n);
	else
		rc = wire_digests_parse(n->info.digest, n->scratch, bytes, take_digests, n);
	if (rc == 0 || rc == -EINVAL)
		return rc;
	s->result.rc = rc; /* the caller's own: it gets the rest no more */
	return 0;
}

static int on_body(struct wire_nbd *n)
{
	struct nbd_slot *s = n->rx_slot;
	size_t have = min_of(n->rx_reply.bytes, NBD_SCRATCH_BYTES);
	struct cursor c = cursor_of(n->scratch, have);
	int rc = 0;

	if (n->rx_reply.type & 0x8000)
		take_error(s, &c);
	else if (n->rx_reply.type == NBD_REPLY_OFFSET_HOLE)
		rc = take_hole(n, &c);
	else if (n->rx_reply.type == NBD_REPLY_BLOCK_STATUS)
		take_status(s, &c);
	else
		rc = take_report(n, s, have);
	if (rc < 0)
		return n->sound ? violated(n, "a report is malformed") : rc;
	if (n->rx_reply.bytes > have)
		expect(n, RX_SKIP, NULL, n->rx_reply.bytes - have);
	else
		reply_over(n);
	return 0;
}

static int rx_complete(struct wire_nbd *n)
{
	switch (n->rx_state) {
	case RX_HEAD:
		return on_head(n);
	case RX_REST:
		return on_rest(n);
	case RX_PLACE:
		return on_place(n);
	case RX_BODY:
		return on_body(n);
	case RX_DATA:
	case RX_SKIP:
		break;
	}
	reply_over(n);
	return 0;
}

/* Take in what is there. 1: something was, 0: nothing, negative: dead. */
static int receive(struct wire_nbd *n)
{
	uint8_t waste[4096];
	int any = 0;

	for (;;) {
		ssize_t got;
		int rc;

		if (n->rx_into)
			got = wire_stream_read_some(n->stream, n->rx_into, n->rx_left);
		else
			got = wire_stream_read_some(n->stream, waste,
						    min_of(n->rx_left, sizeof(waste)));
		if (got == -EPIPE)
			return dead(n, lost(n, EPIPE, "closed the connection"));
		if (got < 0)
			return dead(n, (int)got);
		if (got == 0)
			return any;
		any = 1;
		if (n->rx_into)
			n->rx_into += got;
		n->rx_left -= (size_t)got;
		if (n->rx_left > 0)
			continue;
		rc = rx_complete(n);
		if (rc < 0)
			return rc;
	}
}

static int timed_out(struct wire_nbd *n)
{
	return dead(n, lost(n, ETIMEDOUT, "does not answer"));
}

static int send_all(struct wire_nbd *n, const void *data, size_t bytes)
{
	const uint8_t *at = data;
	uint64_t moved_ms = clock_ms();

	while (bytes > 0) {
		ssize_t sent = wire_stream_write_some(n->stream, at, bytes);
		int rc;

		if (sent < 0)
			return dead(n, (int)sent);
		at += sent;
		bytes -= (size_t)sent;
		if (bytes == 0)
			break;
		rc = receive(n);
		if (rc < 0)
			return rc;
		if (sent > 0 || rc > 0)
			moved_ms = clock_ms();
		else if (clock_ms() - moved_ms > n->timeout_ms)
			return timed_out(n);
		rc = wire_stream_wait(n->stream, true, -1, (int)min_of(n->timeout_ms, 1000ul));
		if (rc < 0)
			return dead(n, rc);
	}
	return 0;
}

static int send_chunk(struct wire_nbd *n, const struct wire_chunk *c, size_t chunk_bytes)
{
	unsigned block = 0, run = 0;
	int rc = 0;

	if (c->codec != WIRE_CODEC_PLAIN)
		return send_all(n, c->data, c->data_bytes);
	while (rc == 0 && wire_bitmap_run(c->bitmap, &block, &run)) {
		size_t start = (size_t)block * WIRE_BLOCK_BYTES;
		size_t bytes = min_of((size_t)run * WIRE_BLOCK_BYTES, chunk_bytes - start);

		rc = send_all(n, (const uint8_t *)c->data + start, bytes);
		block += run;
	}
	return rc;
}

/* The head of a chunk, and the chunk's plain size; -EINVAL is a bug of the caller. */
static int make_chunk_head(struct wire_nbd *n, const struct wire_request *r, size_t *chunk_bytes,
			   uint8_t raw[WIRE_CHUNK_HEAD_BYTES], uint32_t *length)
{
	struct wire_chunk_head head = {
		.codec = r->chunk->codec, .patch = r->chunk->patch, .begins = r->chunk->begins};
	size_t present;

	if (!n->info.chunks_ok || r->offset_bytes % WIRE_CHUNK_BYTES != 0 ||
	    r->offset_bytes >= n->info.size_bytes)
		return fail(EINVAL, "a chunk that this server cannot take");
	*chunk_bytes =
		(size_t)min_of((uint64_t)WIRE_CHUNK_BYTES, n->info.size_bytes - r->offset_bytes);
	if (wire_bitmap_bytes(r->chunk->bitmap, *chunk_bytes, &present) < 0 || present == 0)
		return fail(EINVAL, "a chunk whose bitmap does not fit");
	head.present_bytes = (uint32_t)present;
	head.payload_bytes =
		head.codec == WIRE_CODEC_PLAIN ? (uint32_t)present : r->chunk->data_bytes;
	head.digest_kind = n->info.digest;
	memcpy(head.bitmap, r->chunk->bitmap, sizeof(head.bitmap));
	memcpy(head.digest, r->chunk->digest, sizeof(head.digest));
	wire_chunk_head_encode(&head, raw);
	*length = WIRE_CHUNK_HEAD_BYTES + head.payload_bytes;
	return 0;
}

int wire_nbd_submit(struct wire_nbd *n, const struct wire_request *r)
{
	struct nbd_request request = {.flags = (uint16_t)r->flags,
				      .type = (uint16_t)r->command,
				      .offset = r->offset_bytes,
				      .length = r->length_bytes};
	uint8_t raw[NBD_REQUEST_BYTES], head[WIRE_CHUNK_HEAD_BYTES];
	size_t chunk_bytes = 0;
	struct nbd_slot *s;
	int rc;

	if (!n->sound)
		return lost(n, EPIPE, "is gone");
	if (n->free_count == 0)
		return -EBUSY;
	if (r->command == NBD_CMD_CHUNK_WRITE) {
		rc = make_chunk_head(n, r, &chunk_bytes, head, &request.length);
		if (rc < 0)
			return rc;
	}
	if (n->free_count == n->window)
		n->moved_ms = clock_ms();
	s = &n->slots[n->free_slots[--n->free_count]];
	s->used = true;
	s->done = false;
	s->generation++;
	s->request = *r;
	s->got_bytes = 0;
	s->result.user = r->user;
	s->result.rc = 0;
	s->result.extent_count = 0;
	s->result.message[0] = '\0';
	request.cookie = cookie_of(n, s);
	nbd_request_encode(&request, raw);
	rc = send_all(n, raw, sizeof(raw));
	if (rc == 0 && r->command == NBD_CMD_CHUNK_WRITE) {
		rc = send_all(n, head, sizeof(head));
		if (rc == 0)
			rc = send_chunk(n, r->chunk, chunk_bytes);
	} else if (rc == 0 && r->command == NBD_CMD_WRITE) {
		rc = send_all(n, r->data, r->length_bytes);
	}
	return rc;
}

static void take_done(struct wire_nbd *n, struct wire_done *done)
{
	uint16_t index = n->done_slots[n->done_at];

	n->done_at = (n->done_at + 1) % n->window;
	n->done_count--;
	*done = n->slots[index].result;
	n->slots[index].used = false;
	n->free_slots[n->free_count++] = index;
}

/* Something is in flight, and for too long no byte has moved either way. */
static bool stands_still(struct wire_nbd *n)
{
	uint64_t sent, received, now_ms = clock_ms();

	wire_stream_counters(n->stream, &sent, &received);
	if (sent + received != n->moved_bytes) {
		n->moved_bytes = sent + received;
		n->moved_ms = now_ms;
	}
	return now_ms - n->moved_ms >= n->timeout_ms;
}

int wire_nbd_reap(struct wire_nbd *n, int wait_ms, struct wire_done *done)
{
	uint64_t limit_ms = wait_ms < 0 ? n->timeout_ms : (uint64_t)wait_ms;
	uint64_t start_ms = clock_ms();

	for (;;) {
		uint64_t waited_ms;
		int rc;

		if (n->done_count > 0) {
			take_done(n, done);
			return 1;
		}
		if (!n->sound)
			return lost(n, EPIPE, "is gone");
		if (n->free_count == n->window)
			return 0;
		rc = wire_stream_push_some(n->stream);
		if (rc < 0)
			return dead(n, rc);
		rc = receive(n);
		if (rc < 0)
			return rc;
		if (n->done_count > 0)
			continue;
		if (rc > 0)
			start_ms = clock_ms();
		if (stands_still(n))
			return timed_out(n);
		waited_ms = clock_ms() - start_ms;
		if (waited_ms >= limit_ms)
			return wait_ms < 0 ? timed_out(n) : 0;
		rc = wire_stream_wait(n->stream, false, -1,
				      (int)min_of(limit_ms - waited_ms, 1000ul));
		if (rc < 0)
			return dead(n, rc);
	}
}

unsigned wire_nbd_in_flight(const struct wire_nbd *n)
{
	return n->window - n->free_count;
}

int wire_nbd_call(struct wire_nbd *n, const struct wire_request *r, struct wire_done *done)
{
	int rc = wire_nbd_submit(n, r);

	if (rc == 0)
		rc = wire_nbd_reap(n, -1, done);
	if (rc < 0)
		return rc;
	if (done->rc < 0)
		return fail(done->rc, "%s: %s at %llu failed: %s", wire_stream_peer(n->stream),
			    nbd_command_name(r->command), (unsigned long long)r->offset_bytes,
			    done->message[0] ? done->message : strerror(-done->rc));
	return 0;
}

/* DIGESTS or READBACK of all these chunks, in requests that are not too long. */
static int ask_reports(struct wire_nbd *n, enum nbd_command command, uint64_t first_chunk,
		       uint64_t count)
{
	while (count > 0) {
		uint32_t part = (uint32_t)min_of(count, (uint64_t)1 << 20);
		const struct wire_request r = {.command = command,
					       .offset_bytes = first_chunk << WIRE_CHUNK_SHIFT,
					       .length_bytes = part};
		struct wire_done done;
		int rc;

		n->report_next = first_chunk;
		n->report_end = first_chunk + part;
		rc = wire_nbd_call(n, &r, &done);
		if (rc == 0 && n->report_next != n->report_end)
			rc = violated(n, "it did not speak of every chunk that was asked for");
		if (rc < 0)
			return rc;
		first_chunk += part;
		count -= part;
	}
	return 0;
}

int wire_nbd_digests(struct wire_nbd *n, uint64_t first_chunk, uint64_t count, wire_digests_fn fn,
		     void *ctx)
{
	n->digests_fn = fn;
	n->digests_ctx = ctx;
	return ask_reports(n, NBD_CMD_DIGESTS, first_chunk, count);
}

int wire_nbd_readback(struct wire_nbd *n, uint64_t first_chunk, uint64_t count, wire_readback_fn fn,
		      void *ctx)
{
	n->readback_fn = fn;
	n->readback_ctx = ctx;
	return ask_reports(n, NBD_CMD_READBACK, first_chunk, count);
}

int wire_nbd_durable(struct wire_nbd *n, bool force, struct wire_durable *out)
{
	const struct wire_request r = {.command = NBD_CMD_DURABLE,
				       .flags = force ? NBD_CMD_FLAG_FUA : 0};
	struct wire_done done;
	int rc = wire_nbd_call(n, &r, &done);

	*out = n->durable;
	return rc;
}
