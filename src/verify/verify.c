/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Have the receiver read its disks back, compare, and mend what differs; see verify.h. */
#include "verify/verify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/num.h"
#include "verify/private.h"

#define TIMEOUT_MS   (10 * 60 * 1000)
#define PROGRESS_MS  300
#define RETRY_US     500000
#define ROUNDS_MAX   3
#define UNKNOW_BYTES 512

struct check {
	const struct verify_options *options;
	struct arena *arena;
	unsigned index;
	struct verify_disk *disk;
	const struct copy_disk_result *own; /* NULL: none */
	uint64_t next;			    /* chunk that has to come */
	bool again;			    /* faults are in the list already */
	uint64_t told_ms;
};

const char *verify_fault_name(enum verify_fault fault)
{
	static const char *const names[] = {
		[VERIFY_DIFFERS] = "differs",
		[VERIFY_UNREADABLE] = "unreadable",
		[VERIFY_WRONG] = "wrong",
		[VERIFY_LACKING] = "lacking",
	};

	return names[fault];
}

static void close_nbd(struct wire_nbd **n)
{
	wire_nbd_close(*n);
}

int verify_open(const struct verify_options *o, unsigned disk, struct wire_nbd **out)
{
	const struct copy_target *t = &o->copy->targets[disk];
	struct wire_nbd_options nbd = {.host = t->host,
				       .port = t->port,
				       .unix_path = t->unix_path,
				       .export_name = t->export_name,
				       .pin = t->pin,
				       .plain_ok = t->plain_ok,
				       .digest = o->copy->digest,
				       .window = 1,
				       .timeout_ms = o->timeout_ms ? o->timeout_ms : TIMEOUT_MS};
	int rc;

	memcpy(nbd.run_id, o->copy->run_id, sizeof(nbd.run_id));
	rc = wire_nbd_open(&nbd, out);
	if (rc == 0 && !wire_nbd_info(*out)->chunks_ok)
		return fail_code(ENOTSUP, "VERIFY_UNSUPPORTED",
				 "the server of disk %s keeps no digests",
				 o->copy->map->disks[disk].name);
	return rc;
}

/* ---- reading back ---- */

/* What is wrong with a chunk, or -1. */
static int fault_of(const struct check *c, uint64_t chunk, enum wire_chunk_state state, bool known,
		    bool differs, const uint8_t *digest)
{
	const struct copy_disk_result *own = c->own;
	bool data = state == WIRE_DATA;

	if (state == WIRE_UNKNOWN)
		return VERIFY_UNREADABLE;
	if (differs)
		return VERIFY_DIFFERS;
	if (!known)
		return VERIFY_LACKING;
	if (!own || !(own->data[chunk] & COPY_CHUNK_OURS))
		return -1;
	if (!!(own->data[chunk] & COPY_CHUNK_DATA) != data ||
	    (data &&
	     memcmp(own->digests + chunk * c->disk->digest_bytes, digest, c->disk->digest_bytes)))
		return VERIFY_WRONG;
	return -1;
}

static struct verify_bad *find_bad(struct verify_disk *d, uint64_t chunk)
{
	for (size_t i = 0; i < d->bad_count; i++)
		if (d->bad[i].chunk == chunk)
			return &d->bad[i];
	return NULL;
}

static void take_chunk(struct check *c, uint64_t chunk, enum wire_chunk_state state, bool known,
		       bool differs, const uint8_t *digest)
{
	struct verify_disk *d = c->disk;
	int fault = fault_of(c, chunk, state, known, differs, digest);
	struct verify_bad *bad;

	d->states[chunk] = (uint8_t)state;
	if (digest)
		memcpy(d->digests + chunk * d->digest_bytes, digest, d->digest_bytes);
	if (c->again) {
		bad = find_bad(d, chunk);
		if (bad)
			bad->mended = fault < 0;
		return;
	}
	if (c->own && c->own->data[chunk] & COPY_CHUNK_OURS)
		d->compared_chunks++;
	if (fault < 0)
		return;
	bad = arena_push(c->arena, &d->bad, &d->bad_count);
	*bad = (struct verify_bad){.chunk = chunk, .fault = (enum verify_fault)fault};
}

static int take_run(void *ctx, uint64_t first, uint32_t count, enum wire_chunk_state state,
		    bool known, bool differs, const uint8_t *digests)
{
	struct check *c = ctx;
	const struct verify_options *o = c->options;

	if (first != c->next || !range_ok(first, count, c->disk->chunks))
		return fail(EPROTO, "the receiver reports chunks that were not asked for");
	c->next += count;
	for (uint32_t i = 0; i < count; i++)
		take_chunk(c, first + i, state, known, differs,
			   state == WIRE_DATA ? digests + i * c->disk->digest_bytes : NULL);
	if (o->progress && clock_ms() - c->told_ms >= PROGRESS_MS) {
		c->told_ms = clock_ms();
		o->progress(o->ctx, c->index, c->next, c->disk->chunks);
	}
	if (o->copy->control && atomic_load(&o->copy->control->cancelled))
		return fail_code(ECANCELED, "COPY_CANCELLED", "the verification was cancelled");
	return 0;
}

static int ask(struct check *c, struct wire_nbd *n, uint64_t first, uint64_t count)
{
	int rc;

	c->next = first;
	rc = wire_nbd_readback(n, first, count, take_run, c);
	if (rc == 0 && c->next != first + count)
		rc = fail(EPROTO, "the receiver reports too few chunks");
	return rc;
}

static int make_room(struct verify_disk *d, uint64_t size_bytes, enum wire_digest_kind digest)
{
	d->size_bytes = size_bytes;
	d->chunks = div_up(size_bytes, WIRE_CHUNK_BYTES);
	d->digest_bytes = wire_digest_bytes(digest);
	d->states = calloc(max_of(d->chunks, (uint64_t)1), 1);
	d->digests = calloc(max_of(d->chunks, (uint64_t)1), d->digest_bytes);
	return d->states && d->digests ? 0 : fail(ENOMEM, "no memory for a disk's digests");
}

static int read_back(const struct verify_options *o, struct verify_result *result, unsigned i)
{
	CLEANUP(close_nbd) struct wire_nbd *n = NULL;
	struct verify_disk *d = &result->disks[i];
	struct check c = {.options = o, .arena = result->arena, .index = i, .disk = d};
	int rc = verify_open(o, i, &n);

	if (rc == 0)
		rc = make_room(d, wire_nbd_info(n)->size_bytes, result->digest);
	if (rc < 0)
		return rc;
	if (o->copied && o->copied->disks[i].digests && o->copied->disks[i].chunks == d->chunks)
		c.own = &o->copied->disks[i];
	return d->chunks ? ask(&c, n, 0, d->chunks) : 0;
}

static int read_back_again(const struct verify_options *o, struct verify_result *result, unsigned i)
{
	CLEANUP(close_nbd) struct wire_nbd *n = NULL;
	struct verify_disk *d = &result->disks[i];
	struct check c = {
		.options = o, .arena = result->arena, .index = i, .disk = d, .again = true};
	int rc = verify_open(o, i, &n);

	if (rc == 0 && wire_nbd_info(n)->size_bytes != d->size_bytes)
		rc = fail(EPROTO, "the target has another size now");
	if (o->copied && o->copied->disks[i].digests && o->copied->disks[i].chunks == d->chunks)
		c.own = &o->copied->disks[i];
	for (size_t k = 0; rc == 0 && k < d->bad_count; k++)
		if (!d->bad[k].mended)
			rc = ask(&c, n, d->bad[k].chunk, 1);
	return rc;
}

/* ---- mending ---- */

static uint64_t count_bad(const struct verify_result *result)
{
	uint64_t n = 0;

	for (size_t i = 0; i < result->disk_count; i++)
		for (size_t k = 0; k < result->disks[i].bad_count; k++)
			n += !result->disks[i].bad[k].mended;
	return n;
}

/* A plain write makes the receiver forget a chunk whose digest it believes in, so that the copy
 * sends it. */
static int unknow(const struct verify_options *o, unsigned i, const struct verify_disk *d)
{
	static const uint8_t zeros[UNKNOW_BYTES];
	CLEANUP(close_nbd) struct wire_nbd *n = NULL;
	int rc = 0;

	for (size_t k = 0; rc == 0 && k < d->bad_count; k++) {
		struct wire_request request = {.command = NBD_CMD_WRITE, .data = zeros};
		struct wire_done done;

		if (d->bad[k].mended || d->bad[k].fault != VERIFY_WRONG)
			continue;
		if (!n)
			rc = verify_open(o, i, &n);
		request.offset_bytes = d->bad[k].chunk * WIRE_CHUNK_BYTES;
		request.length_bytes = (uint32_t)min_of((uint64_t)sizeof(zeros),
							d->size_bytes - request.offset_bytes);
		if (rc == 0)
			rc = wire_nbd_call(n, &request, &done);
	}
	return rc;
}

static int mend(const struct verify_options *o, struct verify_result *result)
{
	struct copy_result copied;
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < result->disk_count; i++)
		rc = unknow(o, i, &result->disks[i]);
	if (rc < 0)
		return fail_in(rc, "mending what differs");
	rc = copy_run(o->copy, &copied);
	copy_result_fini(&copied);
	for (unsigned i = 0; rc == 0 && i < result->disk_count; i++)
		if (result->disks[i].bad_count)
			rc = read_back_again(o, result, i);
	return rc;
}

/* ---- the end ---- */

static void sum_up(struct verify_disk *d, enum wire_digest_kind digest)
{
	uint8_t zero[WIRE_DIGEST_MAX], last_zero[WIRE_DIGEST_MAX];
	struct merkle tree;

	merkle_init(&tree);
	wire_digest_zero(digest, WIRE_CHUNK_BYTES, zero);
	if (d->chunks)
		wire_digest_zero(digest, d->size_bytes - (d->chunks - 1) * WIRE_CHUNK_BYTES,
				 last_zero);
	for (uint64_t i = 0; i < d->chunks; i++) {
		bool data = d->states[i] == WIRE_DATA;

		d->data_chunks += data;
		merkle_add(&tree,
			   data			? d->digests + i * d->digest_bytes
			   : i + 1 == d->chunks ? last_zero
						: zero,
			   d->digest_bytes);
	}
	merkle_root(&tree, d->root);
	for (size_t k = 0; k < d->bad_count; k++)
		d->mended_chunks += d->bad[k].mended;
}

static int mismatch(const struct verify_result *result, const struct map *map)
{
	for (size_t i = 0; i < result->disk_count; i++) {
		const struct verify_disk *d = &result->disks[i];

		for (size_t k = 0; k < d->bad_count; k++) {
			const struct verify_bad *b = &d->bad[k];

			if (b->mended)
				continue;
			return fail_code(EBADMSG, "VERIFY_MISMATCH",
					 "disk %s: %" PRIu64 " chunks are not right on the "
					 "receiver's disk and stay so, the first at byte %" PRIu64
					 " (%s%s%s)",
					 map->disks[i].name, d->bad_count - d->mended_chunks,
					 b->differs.list[0].offset_bytes,
					 verify_fault_name(b->fault), b->places ? "; " : "",
					 b->places ? b->places[0] : "");
		}
	}
	return 0;
}

static void start_over(struct verify_disk *d)
{
	free(d->states);
	free(d->digests);
	*d = (struct verify_disk){0};
}

/* A receiver that goes away is waited for, as in the copy. */
static int read_back_patiently(const struct verify_options *o, struct verify_result *result,
			       unsigned i)
{
	uint64_t start_ms = clock_ms();

	for (;;) {
		int rc = read_back(o, result, i);

		if (rc == 0 || !copy_is_lost(rc) || clock_ms() - start_ms >= o->copy->patience_ms ||
		    (o->copy->control && atomic_load(&o->copy->control->cancelled)))
			return rc;
		log_warn("disk %s: %s; trying again", o->copy->map->disks[i].name, err_reason());
		start_over(&result->disks[i]);
		usleep(RETRY_US);
	}
}

int verify_run(const struct verify_options *o, struct verify_result *result)
{
	const struct map *map = o->copy->map;
	int rc = 0;

	*result = (struct verify_result){.disk_count = map->disk_count,
					 .digest = o->copy->digest ? o->copy->digest
								   : WIRE_DIGEST_XXH3_128,
					 .arena = arena_new()};
	if (!result->arena)
		return fail(ENOMEM, "memory for the verification");
	for (unsigned i = 0; rc == 0 && i < map->disk_count; i++) {
		rc = read_back_patiently(o, result, i);
		if (rc < 0)
			return fail_in(rc, "verify disk %s", map->disks[i].name);
	}
	for (unsigned i = 0; i < map->disk_count; i++)
		verify_narrow(o, i, result);
	if (count_bad(result))
		verify_locate(o, result);
	for (unsigned n = 0; rc == 0 && n < ROUNDS_MAX && count_bad(result); n++) {
		log_warn("%" PRIu64
			 " chunks are not right on the receiver's disks; sending them again",
			 count_bad(result));
		rc = mend(o, result);
	}
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < result->disk_count; i++)
		sum_up(&result->disks[i], result->digest);
	return mismatch(result, map);
}

void verify_result_fini(struct verify_result *result)
{
	for (size_t i = 0; i < result->disk_count; i++) {
		free(result->disks[i].states);
		free(result->disks[i].digests);
	}
	arena_free(result->arena);
	*result = (struct verify_result){0};
}
