/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ask the receiver for its digests and compare; see verify.h. */
#include "verify/verify.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/num.h"

#define TIMEOUT_MS 60000

struct check {
	struct verify_disk *disk;
	const struct copy_disk_result *own; /* NULL: none */
	uint64_t size_bytes;
	struct merkle tree;
	uint8_t zero[WIRE_DIGEST_MAX];	    /* digest of a whole chunk of zeros */
	uint8_t last_zero[WIRE_DIGEST_MAX]; /* of the last, which may be short */
};

static void close_nbd(struct wire_nbd **n)
{
	wire_nbd_close(*n);
}

static void note_bad(struct check *c, uint64_t chunk, uint64_t *counter)
{
	if (c->disk->lacking_chunks + c->disk->wrong_chunks == 0)
		c->disk->first_bad_byte = chunk * WIRE_CHUNK_BYTES;
	++*counter;
}

static void check_chunk(struct check *c, uint64_t chunk, bool sound, const uint8_t *digest)
{
	const uint8_t *zero = chunk + 1 == c->disk->chunks ? c->last_zero : c->zero;
	bool data = digest != NULL;

	c->disk->data_chunks += data;
	if (!sound)
		note_bad(c, chunk, &c->disk->lacking_chunks);
	else if (c->own && (!!c->own->data[chunk] != data ||
			    (data && memcmp(c->own->digests + chunk * WIRE_DIGEST_BYTES, digest,
					    WIRE_DIGEST_BYTES) != 0)))
		note_bad(c, chunk, &c->disk->wrong_chunks);
	merkle_add(&c->tree, data ? digest : zero);
}

static int take_run(void *ctx, uint64_t first, uint32_t count, enum wire_chunk_state state,
		    bool this_run, bool durable, const uint8_t *digests)
{
	struct check *c = ctx;

	if (first != c->tree.leaves || !range_ok(first, count, c->disk->chunks))
		return fail(EPROTO, "the receiver reports chunks that were not asked for");
	for (uint32_t i = 0; i < count; i++)
		check_chunk(c, first + i, this_run && durable && state != WIRE_UNKNOWN,
			    state == WIRE_DATA ? digests + (uint64_t)i * WIRE_DIGEST_BYTES : NULL);
	return 0;
}

static int open_disk(const struct verify_options *o, unsigned disk, struct wire_nbd **out)
{
	const struct copy_target *t = &o->targets[disk];
	struct wire_nbd_options nbd = {.host = t->host,
				       .port = t->port,
				       .unix_path = t->unix_path,
				       .export_name = t->export_name,
				       .pin = t->pin,
				       .plain_ok = t->plain_ok,
				       .window = 1,
				       .timeout_ms = o->timeout_ms ? o->timeout_ms : TIMEOUT_MS};

	memcpy(nbd.run_id, o->run_id, sizeof(nbd.run_id));
	return wire_nbd_open(&nbd, out);
}

static int verify_one(const struct verify_options *o, unsigned i, struct verify_disk *disk)
{
	CLEANUP(close_nbd) struct wire_nbd *n = NULL;
	struct check c = {.disk = disk};
	int rc = open_disk(o, i, &n);

	if (rc < 0)
		return rc;
	if (!wire_nbd_info(n)->chunks_ok)
		return fail_code(ENOTSUP, "VERIFY_UNSUPPORTED",
				 "the server of disk %s keeps no digests", o->map->disks[i].name);
	c.size_bytes = wire_nbd_info(n)->size_bytes;
	disk->chunks = div_up(c.size_bytes, WIRE_CHUNK_BYTES);
	if (o->copied && o->copied->disks[i].digests && o->copied->disks[i].chunks == disk->chunks)
		c.own = &o->copied->disks[i];
	disk->compared = c.own != NULL;
	wire_digest_zero(WIRE_CHUNK_BYTES, c.zero);
	if (disk->chunks)
		wire_digest_zero(c.size_bytes - (disk->chunks - 1) * WIRE_CHUNK_BYTES, c.last_zero);
	merkle_init(&c.tree);
	rc = wire_nbd_digests(n, 0, disk->chunks, take_run, &c);
	if (rc == 0 && c.tree.leaves != disk->chunks)
		rc = fail(EPROTO, "the receiver reports too few chunks");
	merkle_root(&c.tree, disk->root);
	return rc;
}

int verify_run(const struct verify_options *o, struct verify_result *result)
{
	const struct map_disk *bad = NULL;

	*result = (struct verify_result){.disk_count = o->map->disk_count};
	for (unsigned i = 0; i < o->map->disk_count; i++) {
		const struct verify_disk *d = &result->disks[i];
		int rc = verify_one(o, i, &result->disks[i]);

		if (rc < 0)
			return fail_in(rc, "verify disk %s", o->map->disks[i].name);
		if (!bad && d->lacking_chunks + d->wrong_chunks)
			bad = &o->map->disks[i];
	}
	if (!bad)
		return 0;
	return fail_code(EBADMSG, "VERIFY_MISMATCH",
			 "disk %s: %" PRIu64 " chunks differ and %" PRIu64
			 " are missing at the receiver, the first at byte %" PRIu64,
			 bad->name, result->disks[bad->index].wrong_chunks,
			 result->disks[bad->index].lacking_chunks,
			 result->disks[bad->index].first_bad_byte);
}

json_t *verify_json(const struct verify_result *result, const struct map *map)
{
	json_t *disks = json_array();

	for (size_t i = 0; i < result->disk_count; i++) {
		const struct verify_disk *d = &result->disks[i];
		char root[2 * MERKLE_ROOT_BYTES + 1];

		hex_encode(d->root, sizeof(d->root), root);
		json_array_append_new(
			disks, json_pack("{s:I,s:s,s:o,s:o,s:o,s:o,s:b,s:s}", "disk", (json_int_t)i,
					 "name", map->disks[i].name, "chunks", json_u64(d->chunks),
					 "data_chunks", json_u64(d->data_chunks), "wrong_chunks",
					 json_u64(d->wrong_chunks), "lacking_chunks",
					 json_u64(d->lacking_chunks), "compared_with_source",
					 (int)d->compared, "merkle_root", root));
	}
	return json_pack("{s:s,s:I,s:s,s:o}", "digest", "xxh3-128", "chunk_bytes",
			 (json_int_t)WIRE_CHUNK_BYTES, "plan_digest", map->plan_digest, "disks",
			 disks);
}
