/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A round's connections, its questions to the receiver, and its one failure. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "copy/private.h"

#define TIMEOUT_MS	  60000
#define SETTLE_TIMEOUT_MS (10 * 60 * 1000) /* to put what it has on the medium */
#define PAUSE_LOOK_US	  50000

void round_fail(struct round *r, int rc, bool lost)
{
	LOCK_SCOPE(&r->lock);

	if (r->rc == 0) {
		r->rc = rc;
		r->lost = lost;
		snprintf(r->code, sizeof(r->code), "%s", err_code());
		snprintf(r->reason, sizeof(r->reason), "%s", err_reason());
	}
	if (atomic_exchange(&r->stop, true))
		return;
	queue_close(&r->work);
	queue_close(&r->send);
	for (unsigned i = 0; i < r->connections; i++)
		wire_nbd_abort(r->nbd[i]);
	if (r->ask)
		wire_nbd_abort(r->ask);
}

bool round_go_on(struct round *r)
{
	struct copy_control *control = r->engine->control;

	for (;;) {
		if (atomic_load(&r->stop))
			return false;
		if (atomic_load(&control->cancelled)) {
			round_fail(r,
				   fail_code(ECANCELED, "COPY_CANCELLED", "the copy was cancelled"),
				   false);
			return false;
		}
		if (atomic_load(&r->engine->whole->stop)) {
			round_fail(r,
				   fail_code(ECANCELED, "COPY_CANCELLED",
					     "the copy ended, as another disk failed"),
				   false);
			return false;
		}
		if (!atomic_load(&control->paused))
			return true;
		usleep(PAUSE_LOOK_US);
	}
}

static int open_nbd(struct round *r, uint64_t timeout_ms, unsigned window_log,
		    struct wire_nbd **out)
{
	const struct copy_options *o = r->engine->options;
	const struct copy_target *t = &o->targets[r->disk];
	struct wire_nbd_options nbd = {
		.host = t->host,
		.port = t->port,
		.unix_path = t->unix_path,
		.export_name = t->export_name,
		.pin = t->pin,
		.plain_ok = t->plain_ok,
		.no_extension = o->no_extension,
		.digest = o->digest,
		.window = r->engine->budget.items,
		.stream_window_log = window_log,
		.timeout_ms = timeout_ms,
	};

	memcpy(nbd.run_id, o->run_id, sizeof(nbd.run_id));
	return wire_nbd_open(&nbd, out);
}

static int check_target(const struct round *r, const struct map_disk *map)
{
	if (r->info.read_only)
		return fail_code(EROFS, "TARGET_WRITE_ERROR", "disk %s: the target is read-only",
				 map->name);
	if (r->info.size_bytes < map->size_bytes)
		return fail_code(ENOSPC, "TARGET_TOO_SMALL",
				 "disk %s needs %" PRIu64 " bytes, its target has %" PRIu64,
				 map->name, map->size_bytes, r->info.size_bytes);
	if (r->state->flags && r->state->target_bytes != r->info.size_bytes)
		return fail_code(EINVAL, "TARGET_CHANGED",
				 "disk %s: the target was %" PRIu64 " bytes long and is %" PRIu64
				 " now",
				 map->name, r->state->target_bytes, r->info.size_bytes);
	return 0;
}

static int make_state(struct round *r)
{
	struct disk_state *s = r->state;
	struct copy_disk_result *result = &r->engine->result->disks[r->disk];

	if (s->flags)
		return 0;
	s->target_bytes = r->info.size_bytes;
	s->chunks = div_up(s->target_bytes, WIRE_CHUNK_BYTES);
	/* Zeroed pages cost nothing until they are written: an empty disk needs next to no memory.
	 */
	s->flags = calloc(max_of(s->chunks, (uint64_t)1), 1);
	s->digest_bytes = wire_digest_bytes(r->engine->options->digest);
	s->digests = calloc(max_of(s->chunks, (uint64_t)1), s->digest_bytes);
	result->data = s->flags;
	result->digests = s->digests;
	result->chunks = s->chunks;
	if (!s->flags || !s->digests)
		return fail_code(ENOMEM, "COPY_NO_MEMORY",
				 "no memory for the digests of disk %s (%" PRIu64 " chunks)",
				 s->map->name, s->chunks);
	return 0;
}

int round_connect(struct round *r)
{
	const struct copy_options *o = r->engine->options;
	uint64_t timeout_ms = o->timeout_ms ? o->timeout_ms : TIMEOUT_MS;
	unsigned want = r->engine->connections;
	int rc;

	while (r->connections < want) {
		unsigned window_log = r->connections < r->engine->budget.workers
					      ? r->engine->budget.window_log
					      : 0;

		rc = open_nbd(r, timeout_ms, window_log, &r->nbd[r->connections]);
		if (rc < 0 && r->connections == 0)
			return rc;
		if (rc < 0) {
			log_warn("disk %s: %u connections instead of %u: %s", r->state->map->name,
				 r->connections, want, err_reason());
			break;
		}
		window_log = min_of(window_log,
				    wire_nbd_info(r->nbd[r->connections])->stream_window_log);
		if (r->connections < r->engine->budget.workers)
			r->stream_window_log = r->connections
						       ? min_of(r->stream_window_log, window_log)
						       : window_log;
		if (r->connections++ == 0) {
			r->info = *wire_nbd_info(r->nbd[0]);
			rc = check_target(r, r->state->map);
			if (rc == 0)
				rc = make_state(r);
			if (rc < 0)
				return rc;
			r->state->has_digests = r->info.chunks_ok;
			if (!r->info.multi_conn_ok)
				want = 1;
		}
	}
	r->engine->reached_ms = clock_ms();
	if (!r->info.chunks_ok) {
		r->ask = r->nbd[0];
		return 0;
	}
	return open_nbd(r, max_of(timeout_ms, (uint64_t)SETTLE_TIMEOUT_MS), 0, &r->ask);
}

uint64_t round_wire_bytes(const struct round *r)
{
	uint64_t total = 0, sent, received;

	for (unsigned i = 0; i < r->connections; i++) {
		wire_nbd_counters(r->nbd[i], &sent, &received);
		total += sent;
	}
	if (r->ask && r->ask != r->nbd[0]) {
		wire_nbd_counters(r->ask, &sent, &received);
		total += sent;
	}
	return total;
}

uint64_t round_received_bytes(const struct round *r)
{
	uint64_t total = 0, sent, received;

	for (unsigned i = 0; i < r->connections; i++) {
		wire_nbd_counters(r->nbd[i], &sent, &received);
		total += received;
	}
	if (r->ask && r->ask != r->nbd[0]) {
		wire_nbd_counters(r->ask, &sent, &received);
		total += received;
	}
	return total;
}

void round_disconnect(struct round *r)
{
	if (r->ask && r->ask != r->nbd[0])
		wire_nbd_close(r->ask);
	for (unsigned i = 0; i < r->connections; i++)
		wire_nbd_close(r->nbd[i]);
	r->ask = NULL;
	r->connections = 0;
}

/* ---- questions ---- */

static int take_run(void *ctx, uint64_t first, uint32_t count, enum wire_chunk_state state,
		    bool this_run, bool durable, const uint8_t *digests)
{
	struct disk_state *s = ctx;

	if (!range_ok(first, count, s->chunks))
		return fail(EPROTO, "the receiver reports chunks that the disk does not have");
	if (state == WIRE_UNKNOWN)
		return 0;
	for (uint32_t i = 0; i < count; i++) {
		uint8_t *flags = &s->flags[first + i];

		*flags |= CHUNK_KNOWN;
		if (this_run && durable)
			*flags |= CHUNK_DONE;
		if (state != WIRE_DATA)
			continue;
		*flags |= CHUNK_DATA;
		memcpy(s->digests + (first + i) * s->digest_bytes, digests + i * s->digest_bytes,
		       s->digest_bytes);
	}
	return 0;
}

/*
 * The receiver answered, and said no: that has a code. A connection that broke has a reason of its
 * own.
 */
static int not_durable(const struct round *r, int rc)
{
	char reason[ERR_REASON_MAX];

	fail_in(rc, "disk %s: making the copy durable", r->state->map->name);
	if (err_code()[0])
		return rc;
	snprintf(reason, sizeof(reason), "%s", err_reason());
	switch (-rc) {
	case ENOSPC:
		return fail_code(rc, "TARGET_FULL", "%s", reason);
	case EIO:
	case EPERM:
	case EINVAL:
	case ENOMEM:
	case ENOTSUP:
		return fail_code(rc, "TARGET_WRITE_ERROR", "%s", reason);
	default:
		return rc;
	}
}

int round_ask(struct round *r)
{
	struct disk_state *s = r->state;
	struct wire_durable durable;
	int rc;

	for (uint64_t i = 0; i < s->chunks; i++)
		if (s->flags[i])
			s->flags[i] &= CHUNK_OURS;
	if (!r->info.chunks_ok)
		return 0;
	/* What an earlier connection left behind becomes durable first, so that it counts. */
	rc = wire_nbd_durable(r->ask, true, &durable);
	if (rc < 0)
		return not_durable(r, rc);
	return wire_nbd_digests(r->ask, 0, s->chunks, take_run, s);
}

static int flush(struct round *r)
{
	struct wire_request request = {.command = NBD_CMD_FLUSH};
	struct wire_done done;

	if (!r->info.flush_ok)
		return 0;
	return wire_nbd_call(r->ask, &request, &done);
}

int round_settle(struct round *r)
{
	struct wire_durable durable;
	int rc = flush(r);

	if (rc == 0 && !r->info.chunks_ok)
		return 1;
	if (rc == 0)
		rc = wire_nbd_durable(r->ask, true, &durable);
	if (rc < 0)
		return not_durable(r, rc);
	return durable.durable_chunks >= r->state->chunks;
}
