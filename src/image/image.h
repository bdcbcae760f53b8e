/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * image: a disk becomes a file of the formats that clouds take, and such files are read back.
 *
 * Writing is one pass over the disk, front to back, in parts of a fixed size that are handed to a
 * sink: a file, or an upload. No part is touched again, so no second copy of the disk is needed,
 * and memory is bounded by the parts that the sink holds. A qcow2 file refers forwards from its
 * first bytes to tables whose place is known only when all is packed; hence the layout:
 *
 *   part 1      the header alone, 128 KiB, handed over last: uploads let a part be sent late
 *   part 2..n   packed clusters; behind those of each 512 MiB of the disk their L2 table; behind
 *               each 2 GiB of the file its refcount block; at the end L1 table, refcount table and
 *               the last refcount blocks
 *
 * No packed cluster lies in two parts (the end of a part is left unused instead). So all that a
 * later part needs to know of the earlier ones is a small state, which goes with each part, and
 * with which image_write() can go on behind that part in another process. The same disk, options
 * and library versions give the same bytes.
 *
 * A qcow2 carries the Merkle root of the disk in a header extension, type IMAGE_EXTENSION, which
 * other readers skip: version 1 | digest 1 (1: XXH3-128, 2: SHA-256) | chunk size as a power of two
 * 1 (20) | zeros 5 | bytes of the disk 8 | root 32. The format is docs/interop/qcow2.txt of QEMU.
 */
#ifndef IMAGE_IMAGE_H
#define IMAGE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/merkle.h"

#define IMAGE_CHUNK_BYTES (1u << 20)
#define IMAGE_HEAD_BYTES  (128u << 10) /* of part 1 of a qcow2 */
#define IMAGE_EXTENSION	  0x434c4d52u
#define IMAGE_DISK_MAX	  ((uint64_t)64 << 40)
#define IMAGE_THREADS_MAX 64
#define IMAGE_PART_BYTES  (16u << 20)
#define IMAGE_DIGEST_ROOM 32

/* Of the chunks that the Merkle root is over; the numbers of the protocol. */
enum image_digest { IMAGE_XXH3_128 = 1, IMAGE_SHA256 = 2 };

enum image_format { IMAGE_QCOW2, IMAGE_RAW };

/* Of qcow2. Deflate is read by everything; zstd by QEMU from 5.1 on. */
enum image_compression { IMAGE_DEFLATE, IMAGE_ZSTD, IMAGE_PLAIN };

const char *image_format_name(enum image_format f);
const char *image_compression_name(enum image_compression c);

/* -EINVAL without a reason for a name that is not known. */
int image_format_parse(const char *name, enum image_format *out);
int image_compression_parse(const char *name, enum image_compression *out);

/* ---- Writing ---- */

enum image_knowledge { IMAGE_UNKNOWN, IMAGE_ZERO, IMAGE_DATA };

struct image_source {
	int fd;		      /* open for reading; nobody writes to it meanwhile */
	const char *name;     /* for reasons */
	uint64_t disk_bytes;  /* so much of it */
	uint64_t image_bytes; /* what a machine will see: 0 or more than the disk, rest zero */
	enum image_digest digest_kind; /* 0: XXH3-128 */
	/* That digest of plain bytes, for the Merkle root; of XXH3-128 the first 16 bytes of out
	 * count. Any thread. */
	void (*digest)(const void *data, size_t bytes, uint8_t out[IMAGE_DIGEST_ROOM]);
	/*
	 * What is known of a chunk: a zero one is not read; the digest of one with data is compared
	 * with what is read, and another is -EBADMSG with IMAGE_MEDIUM_DIFFERS. NULL: nothing is
	 * known. Any thread.
	 */
	enum image_knowledge (*known)(void *ctx, uint64_t chunk, uint8_t digest[IMAGE_DIGEST_ROOM]);
	void *known_ctx;
	/*
	 * The Merkle root that was verified. Another one is -EBADMSG with IMAGE_MEDIUM_DIFFERS
	 * before the image is whole. NULL: none is known.
	 */
	const uint8_t *root;
};

struct image_options {
	enum image_format format;
	enum image_compression compression;
	unsigned level;	   /* deflate 1 to 9, zstd 1 to 19; 0: a good one */
	size_t part_bytes; /* a multiple of 1 MiB; 0: IMAGE_PART_BYTES */
	unsigned threads;  /* 0: one for each CPU */
	/*
	 * Called again and again from the thread of image_write(), also where the disk is empty:
	 * so far it is. What is below 0 ends the writing. May be NULL.
	 */
	int (*watch)(void *ctx, uint64_t done_bytes);
	void *watch_ctx;
};

/* The bytes of a part belong to the sink from buffer() on. */
struct image_part {
	unsigned number; /* from 1 */
	uint64_t offset_bytes;
	const uint8_t *data; /* what buffer() gave; NULL: all zero (raw) */
	size_t bytes;
	uint64_t done_bytes; /* of the disk, packed up to the end of this part */
	/* To go on behind this part; valid during the call; NULL: go on from an earlier one. */
	const void *state;
	size_t state_bytes;
};

/*
 * Called from the thread of image_write(), parts in ascending order, except that number 1 of a
 * qcow2 comes last. buffer() gives room for a part, and may wait; NULL ends the writing. What
 * either says with fail() is the reason.
 */
struct image_sink {
	void *ctx;
	uint8_t *(*buffer)(void *ctx);
	int (*part)(void *ctx, const struct image_part *part);
};

struct image_result {
	uint64_t image_bytes; /* virtual */
	uint64_t file_bytes;  /* of the whole */
	uint64_t data_bytes;  /* of the disk that are stored, before packing */
	unsigned parts;
	uint8_t root[MERKLE_ROOT_BYTES];
};

/*
 * state: of the last part that need not be made again, or NULL. A state of another disk, other
 * options or another version is -ESTALE with IMAGE_STATE_STALE: begin anew.
 */
int image_write(const struct image_source *source, const struct image_options *options,
		const void *state, size_t state_bytes, const struct image_sink *sink,
		struct image_result *result);

/*
 * Into a file that appears at path when it is whole and durable. A raw file is sparse. With a root
 * to compare with, what is made so far stays in PATH.new, and how far it is in PATH.state: when the
 * writing is ended (-ECANCELED), or the process is, the next call goes on there. The root vouches
 * for it that both parts are of the same disk.
 */
int image_write_file(const struct image_source *source, const struct image_options *options,
		     const char *path, struct image_result *result);

/* Remove what a writing that did not come to its end left of PATH; what is missing is success. */
int image_file_forget(const char *path);

/* ---- What was verified of a disk: for known, known_ctx and root of a source ---- */

struct image_proof;

/*
 * leaves_path: verify.leaves, of whose disk number DISK this is; NULL: the root alone. source has
 * digest and disk_bytes; its root, known and known_ctx are set, and stand until the proof is
 * closed. -EINVAL with LEAVES_INVALID when the leaves do not give this root.
 */
int image_proof_open(const uint8_t root[MERKLE_ROOT_BYTES], const char *leaves_path, unsigned disk,
		     struct image_source *source, struct image_proof **out);
void image_proof_close(struct image_proof *p); /* accepts NULL */

/* ---- Reading. One thread at a time for one image ---- */

struct image;

/*
 * qcow2 (version 2 or 3, no backing file, no encryption, no external data, no snapshots in use) or,
 * when the first bytes are not those of a qcow2, raw. What is damaged, or asks for a feature that
 * is not known, is refused: IMAGE_INVALID, IMAGE_UNSUPPORTED.
 */
int image_open(const char *path, struct image **out);

/* Of an open file, which is closed by image_close(), also when this fails. name is for reasons. */
int image_open_fd(int fd, const char *name, struct image **out);
void image_close(struct image *i); /* accepts NULL */

uint64_t image_size(const struct image *i); /* what a machine sees, in bytes */

/* The Merkle root that the image carries, over which digests, and of how many bytes from its start;
 * false: none. */
bool image_root(const struct image *i, uint8_t root[MERKLE_ROOT_BYTES], enum image_digest *digest,
		uint64_t *disk_bytes);

/* Inside of [0, size); past it is -EINVAL. */
int image_read(struct image *i, void *buf, size_t bytes, uint64_t offset_bytes);

/*
 * From offset on so many bytes (1 to length_bytes) are zero and need not be read, or are stored.
 */
int image_extent(struct image *i, uint64_t offset_bytes, uint64_t length_bytes,
		 uint64_t *extent_bytes, bool *zero);

#endif
