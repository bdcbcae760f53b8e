/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verify: what stands at the receiver is what was read. After the copy the receiver reads its disks
 * back from the medium; the digests are compared with those that were made when each chunk was
 * first read, and no bulk data moves. A chunk that differs is located, sent again, and read back
 * again. A Merkle root over the digests stands for the whole disk (base/merkle.h), and with it a
 * file or device can be proved later, on any machine.
 */
#ifndef VERIFY_VERIFY_H
#define VERIFY_VERIFY_H

#include <jansson.h>

#include "base/arena.h"
#include "base/leaves.h"
#include "base/merkle.h"
#include "copy/copy.h"
#include "disk/disk.h"

/* ---- what arrived ---- */

struct verify_options {
	/* As the copy had them; a chunk that differs is mended with them. */
	const struct copy_options *copy;
	const struct copy_result *copied; /* of the run; NULL: there are no digests of our own */
	/* Of the map's sources, numbered as there, to name what a bad chunk hits; NULL: not named.
	 */
	const struct disk_layout *layout;
	uint64_t timeout_ms; /* of a connection without any progress; 0: 10 min */
	/* May be NULL. Called some times a second from the calling thread. */
	void (*progress)(void *ctx, unsigned disk, uint64_t done_chunks, uint64_t chunks);
	void *ctx;
};

enum verify_fault {
	VERIFY_DIFFERS,	   /* the medium holds something else than was received */
	VERIFY_UNREADABLE, /* the receiver's medium cannot be read there */
	VERIFY_WRONG,	   /* what was received is not what was read at the source */
	VERIFY_LACKING,	   /* the receiver does not know it */
};

const char *verify_fault_name(enum verify_fault fault);

struct verify_bad {
	uint64_t chunk;
	enum verify_fault fault;
	bool mended; /* sent again, read back, and right */
	/* What differs inside of it, on the target; the whole chunk when that could not be found
	 * out. */
	struct disk_extents differs;
	const char **places; /* for people; NULL-terminated; NULL when not known */
};

struct verify_disk {
	uint64_t size_bytes; /* of the target */
	uint64_t chunks;
	uint64_t data_chunks; /* that hold a byte other than zero */
	/* With digests that this process made when it read the chunk. The others were read by an
	 * earlier life of it under the same run id; the receiver checked them on arrival and its
	 * journal has carried the digest since. */
	uint64_t compared_chunks;
	struct verify_bad *bad; /* by chunk */
	size_t bad_count;
	uint64_t mended_chunks;
	uint8_t root[MERKLE_ROOT_BYTES]; /* of what stands there now */
	uint8_t *states;		 /* enum wire_chunk_state, one a chunk */
	size_t digest_bytes;		 /* by the kind of digest */
	uint8_t *digests;		 /* digest_bytes a chunk, for WIRE_DATA */
};

struct verify_result {
	struct verify_disk disks[MAP_DISKS_MAX];
	size_t disk_count;
	enum wire_digest_kind digest;
	struct arena *arena; /* of bad and places */
};

/*
 * 0 when every chunk of every disk is right on the receiver's medium, if need be after mending.
 * -EBADMSG with code VERIFY_MISMATCH when not (the result is then complete, for all disks);
 * -ENOTSUP with VERIFY_UNSUPPORTED with a server that keeps no digests. verify_result_fini() in
 * every case.
 */
int verify_run(const struct verify_options *options, struct verify_result *result);
void verify_result_fini(struct verify_result *result);

/* verify.json: see docs/copy.md. The caller's reference. */
json_t *verify_json(const struct verify_result *result, const struct map *map);

/* ---- the sidecar with each chunk's digest: verify.leaves; base/leaves.h reads it ---- */

/* The whole file in memory; free() it. */
int verify_leaves_make(const struct verify_result *result, const struct map *map, uint8_t **data,
		       size_t *bytes);

/* ---- proving a file or device later ---- */

/* A disk of verify.json. */
struct verify_proof {
	unsigned disk;
	const char *name; /* borrowed from the JSON */
	uint64_t size_bytes;
	uint64_t chunks;
	uint64_t hole_bytes;	      /* could not be read at the source, and are zeros */
	enum wire_digest_kind digest; /* that the root is over */
	uint8_t root[MERKLE_ROOT_BYTES];
};

/* disk < 0: the only one there is. -EINVAL with code PROOF_INVALID. */
int verify_proof_read(const json_t *json, int disk, struct verify_proof *out);

struct verify_image {
	/* Exactly so many bytes, or -errno with a reason. */
	int (*read)(void *ctx, void *buf, size_t bytes, uint64_t offset_bytes);
	/* True when the range is known to be zeros without reading; may be NULL. */
	bool (*zero)(void *ctx, uint64_t offset_bytes, uint64_t length_bytes);
	void *ctx;
	uint64_t size_bytes;
};

struct verify_image_result {
	uint64_t chunks;
	uint64_t data_chunks;
	uint64_t rest_bytes;	  /* behind the disk that was proved */
	uint64_t rest_data_bytes; /* of these: in chunks that are not zero; when they were looked at
				   */
	uint64_t wrong_chunks;	  /* with leaves only */
	bool equal;
	uint8_t root[MERKLE_ROOT_BYTES];
};

struct verify_image_options {
	const struct verify_image *image;
	const struct verify_proof *proof;
	const struct leaves *leaves; /* NULL: a difference is not located */
	bool rest;		     /* also see that all behind the disk is zero */
	/* Of each wrong chunk, with leaves; may be NULL. */
	void (*wrong)(void *ctx, uint64_t chunk);
	/* May be NULL. */
	void (*progress)(void *ctx, uint64_t done_bytes, uint64_t total_bytes);
	void *ctx;
};

/*
 * Read the image and compare with the proof. 0: it was read, *out says whether it is equal.
 * -EBADMSG, VERIFY_TOO_SMALL: it is smaller than the disk; LEAVES_INVALID: the leaves are not those
 * of the proof.
 */
int verify_image(const struct verify_image_options *options, struct verify_image_result *out);

#endif
