/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verify: what stands at the receiver is what was read. The digests that the receiver keeps for
 * each chunk (checked against the bytes when they arrived, journaled when they were durable) are
 * asked for and compared with those made when the chunk was first read; a Merkle root over them
 * stands for the whole disk (base/merkle.h). No bulk data moves.
 */
#ifndef VERIFY_VERIFY_H
#define VERIFY_VERIFY_H

#include <jansson.h>

#include "base/merkle.h"
#include "copy/copy.h"

struct verify_options {
	const struct map *map;
	const struct copy_target *targets; /* one for each disk of the map */
	uint8_t run_id[WIRE_RUN_ID_BYTES];
	const struct copy_result *copied; /* of the run; NULL: there are no digests of our own */
	uint64_t timeout_ms;		  /* 0: 60 s */
};

struct verify_disk {
	uint64_t chunks;
	uint64_t data_chunks;	 /* that hold a byte other than zero */
	uint64_t lacking_chunks; /* not durable at the receiver, or not of this run */
	uint64_t wrong_chunks;	 /* another digest, or zero on one side only */
	uint64_t first_bad_byte; /* of the first lacking or wrong chunk */
	bool compared;		 /* with digests of our own */
	uint8_t root[MERKLE_ROOT_BYTES];
};

struct verify_result {
	struct verify_disk disks[MAP_DISKS_MAX];
	size_t disk_count;
};

/*
 * 0 when every chunk of every disk is durable, of this run, and equal. -EBADMSG with code
 * VERIFY_MISMATCH when not (the result is then complete, for all disks); -ENOTSUP with
 * VERIFY_UNSUPPORTED with a server that keeps no digests.
 */
int verify_run(const struct verify_options *options, struct verify_result *result);

/* verify.json: digest kind, and for each disk its counts and root. The caller's reference. */
json_t *verify_json(const struct verify_result *result, const struct map *map);

#endif
