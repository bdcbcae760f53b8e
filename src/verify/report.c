/* SPDX-License-Identifier: GPL-2.0-or-later */
/* verify.json: written after a run, read by whoever proves a disk later. */
#include <errno.h>

#include "base/err.h"
#include "base/json.h"
#include "base/num.h"
#include "verify/private.h"

static json_t *bad_json(const struct verify_bad *b)
{
	json_t *places = json_array(), *differs = json_array();

	for (size_t i = 0; i < b->differs.count; i++)
		json_array_append_new(differs,
				      json_pack("[o,o]", json_u64(b->differs.list[i].offset_bytes),
						json_u64(b->differs.list[i].length_bytes)));
	for (size_t i = 0; b->places && b->places[i]; i++)
		json_array_append_new(places, json_str(b->places[i]));
	return json_pack("{s:o,s:o,s:s,s:b,s:o,s:o}", "chunk", json_u64(b->chunk), "byte",
			 json_u64(b->differs.list[0].offset_bytes), "fault",
			 verify_fault_name(b->fault), "mended", (int)b->mended, "differs", differs,
			 "places", places);
}

static json_t *disk_json(const struct verify_disk *d, const struct map_disk *disk)
{
	char root[2 * MERKLE_ROOT_BYTES + 1];
	json_t *bad = json_array();

	hex_encode(d->root, sizeof(d->root), root);
	for (size_t i = 0; i < d->bad_count; i++)
		json_array_append_new(bad, bad_json(&d->bad[i]));
	return json_pack("{s:I,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:s}", "disk",
			 (json_int_t)disk->index, "name", disk->name, "size_bytes",
			 json_u64(d->size_bytes), "chunks", json_u64(d->chunks), "data_chunks",
			 json_u64(d->data_chunks), "compared_chunks", json_u64(d->compared_chunks),
			 "journal_chunks", json_u64(d->chunks - d->compared_chunks),
			 "mended_chunks", json_u64(d->mended_chunks), "bad", bad, "merkle_root",
			 root);
}

json_t *verify_json(const struct verify_result *result, const struct map *map)
{
	json_t *disks = json_array();

	for (size_t i = 0; i < result->disk_count; i++)
		json_array_append_new(disks, disk_json(&result->disks[i], &map->disks[i]));
	return json_pack("{s:s,s:I,s:s,s:o}", "digest", wire_digest_name(result->digest),
			 "chunk_bytes", (json_int_t)WIRE_CHUNK_BYTES, "plan_digest",
			 map->plan_digest, "disks", disks);
}

static int invalid(const char *what)
{
	return fail_code(EINVAL, "PROOF_INVALID", "verify.json: %s", what);
}

static int read_disk(const json_t *disk, struct verify_proof *out)
{
	const char *root;
	json_t *holes, *hole;
	uint64_t index, bytes;
	size_t i;

	*out = (struct verify_proof){0};
	if (json_get_u64(disk, "disk", &index) < 0 || index >= MAP_DISKS_MAX ||
	    json_get_string(disk, "name", &out->name) < 0 ||
	    json_get_u64(disk, "size_bytes", &out->size_bytes) < 0 ||
	    json_get_u64(disk, "chunks", &out->chunks) < 0 ||
	    json_get_string(disk, "merkle_root", &root) < 0)
		return invalid(err_reason());
	out->disk = (unsigned)index;
	if (hex_decode(root, out->root, sizeof(out->root)) < 0)
		return invalid("a root that is not 64 hex digits");
	if (out->chunks != div_up(out->size_bytes, WIRE_CHUNK_BYTES))
		return invalid("sizes that contradict each other");
	holes = json_object_get(disk, "holes");
	json_array_foreach (holes, i, hole)
		if (json_get_u64(hole, "bytes", &bytes) == 0)
			out->hole_bytes += bytes;
	return 0;
}

int verify_proof_read(const json_t *json, int disk, struct verify_proof *out)
{
	const char *digest;
	json_t *disks, *one;
	uint64_t chunk_bytes;
	enum wire_digest_kind kind;
	size_t i;

	if (json_is_false(json_object_get(json, "verified")))
		return invalid(
			"the job said not to read back what arrived, so there is no proof of "
			"it");
	if (json_get_string(json, "digest", &digest) < 0 ||
	    json_get_u64(json, "chunk_bytes", &chunk_bytes) < 0 ||
	    json_get_array(json, "disks", &disks) < 0)
		return invalid(err_reason());
	if (!wire_digest_named(digest, &kind) || chunk_bytes != WIRE_CHUNK_BYTES)
		return invalid("digests of another kind; use the receiver of that version");
	if (disk < 0 && json_array_size(disks) != 1)
		return invalid("it is of several disks; say which one with --index");
	json_array_foreach (disks, i, one) {
		int rc = read_disk(one, out);

		out->digest = kind;
		if (rc < 0)
			return rc;
		if (disk < 0 || out->disk == (unsigned)disk)
			return 0;
	}
	return invalid("it has no disk of this index");
}
