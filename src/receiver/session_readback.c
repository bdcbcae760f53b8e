/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * READBACK on a connection. It runs beside the connection's other requests: what the readers found
 * is sent between their answers, and while there are none.
 */
#include <poll.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/num.h"
#include "receiver/readback.h"
#include "receiver/session.h"

/* The findings that are there, as runs behind the number of the first chunk, into s->data. */
struct report {
	struct writer w;
	uint64_t first, next; /* chunks */
	uint8_t *run;	      /* head of the last run, which equal findings lengthen */
	uint32_t run_count;
	unsigned run_state, run_flags;
};

static unsigned flags_of(const struct store_found *f)
{
	return (f->this_run ? WIRE_DIGESTS_THIS_RUN : 0u) |
	       (f->durable ? WIRE_DIGESTS_DURABLE : 0u) | (f->differs ? WIRE_DIGESTS_DIFFERS : 0u);
}

/* The head of a run can be written when the run is over. */
static void end_run(struct report *p)
{
	struct writer w;

	if (!p->run)
		return;
	w = writer_of(p->run, WIRE_DIGESTS_RUN_BYTES);
	writer_be(&w, p->run_count, 4);
	writer_be(&w, p->run_state, 1);
	writer_be(&w, p->run_flags, 1);
	writer_be(&w, 0, 2);
}

static void add_finding(struct report *p, uint64_t count, const struct store_found *f,
			size_t digest_bytes)
{
	bool joins = p->run && p->run_state == (unsigned)f->state && p->run_flags == flags_of(f);

	if (!joins) {
		end_run(p);
		p->run = p->w.at;
		p->run_count = 0;
		p->run_state = f->state;
		p->run_flags = flags_of(f);
		p->w.at += WIRE_DIGESTS_RUN_BYTES;
	}
	p->run_count += (uint32_t)count;
	if (f->state == WIRE_DATA)
		writer_bytes(&p->w, f->digest, digest_bytes);
	p->next += count;
}

static int send_report(struct session *s, struct report *p, bool last)
{
	size_t bytes = writer_used(&p->w);
	struct writer first = writer_of(s->data, WIRE_DIGESTS_FIRST_BYTES);
	int rc;

	end_run(p);
	writer_be(&first, p->first, 8);
	rc = session_reply_part(s, &s->readback_query, NBD_REPLY_DIGESTS, last, (uint32_t)bytes);
	return rc < 0 ? rc : wire_stream_write(s->stream, s->data, bytes);
}

/* One reply with what is there: 1 when there may be more, 0 when there is not. */
static int send_some(struct session *s)
{
	struct report p = {.w = writer_of(s->data, WIRE_DIGESTS_MAX_BYTES), .first = UINT64_MAX};
	size_t digest_bytes = wire_digest_bytes(s->digest);
	bool full, over;
	int rc = 1;

	p.w.at += WIRE_DIGESTS_FIRST_BYTES;
	for (;;) {
		struct store_found found;
		uint64_t chunk, count;

		full = (size_t)(p.w.end - p.w.at) < WIRE_DIGESTS_RUN_BYTES + digest_bytes;
		if (full)
			break;
		rc = readback_take(s->readback, &chunk, &count, &found);
		if (rc <= 0)
			break;
		if (p.first == UINT64_MAX)
			p.first = chunk;
		add_finding(&p, count, &found, digest_bytes);
	}
	if (rc < 0) {
		rc = session_reply_error(s, &s->readback_query, rc);
		session_readback_stop(s);
		return rc;
	}
	over = readback_over(s->readback);
	if (p.first != UINT64_MAX)
		rc = send_report(s, &p, over);
	if (over)
		session_readback_stop(s);
	return rc < 0 ? rc : full && !over;
}

int session_readback_pump(struct session *s)
{
	int rc = 1;

	while (rc > 0 && s->readback)
		rc = send_some(s);
	return rc < 0 ? rc : 0;
}

void session_readback_stop(struct session *s)
{
	if (!s->readback)
		return;
	readback_stop(s->readback);
	s->readback = NULL;
	server_readers_give(s->receiver, s->readers);
}

int session_readback_fd(const struct session *s)
{
	return s->readback ? readback_fd(s->readback) : -1;
}

/* All of the one that is under way. */
static int finish_earlier(struct session *s)
{
	int rc = 0;

	while (rc == 0 && s->readback) {
		struct pollfd p = {.fd = readback_fd(s->readback), .events = POLLIN};

		rc = wire_stream_flush(s->stream);
		if (rc == 0)
			poll(&p, 1, READBACK_WAIT_MS);
		if (rc == 0)
			rc = session_readback_pump(s);
	}
	return rc;
}

int session_readback(struct session *s, const struct nbd_request *q)
{
	int rc = finish_earlier(s);

	if (rc < 0)
		return rc;
	rc = session_check_chunks(s, q);
	/* What was answered before is on the medium when it is read. */
	if (rc == 0)
		rc = store_commit(s->store);
	if (rc < 0)
		return session_reply_error(s, q, rc);
	s->readers = server_readers_take(s->receiver, READBACK_READERS);
	rc = readback_start(s->store, q->offset >> WIRE_CHUNK_SHIFT, q->length, s->readers,
			    session_run_id(s), &s->readback);
	if (rc < 0) {
		server_readers_give(s->receiver, s->readers);
		return session_reply_error(s, q, rc);
	}
	s->readback_query = *q;
	return 0;
}
