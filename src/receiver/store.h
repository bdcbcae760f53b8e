/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A store is one target disk: a sparse file or a block device, what is known of each of its chunks,
 * and the journal that keeps that knowledge. It looks into no data. Private to receiver. Any
 * thread.
 *
 * A chunk's life:
 *   unknown --chunk write--> pending --commit--> committing --> known and journaled
 *   known --any write--> (UNKNOWN record is durable) --> busy --> pending, or unknown
 * A chunk is busy while one writer has it; others wait. Nobody overwrites it while it is being
 * committed, or the record would speak of bytes that are no more.
 */
#ifndef RECEIVER_STORE_H
#define RECEIVER_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "receiver/vault.h"
#include "wire/wire.h"

struct store;

struct store_options {
	unsigned disk;	     /* its number in export names */
	struct vault *vault; /* has the disk and its journal */
	bool is_device;
	uint64_t size_bytes; /* of a file that is made anew; 0: as it is */
	uint64_t commit_ms;
};

/* Lock, open, replay. Reasons carry TARGET_IN_USE, JOURNAL_*. */
int store_open(const struct store_options *o, struct store **out);

/* Commits what it can and closes; no other thread may use it any more. Accepts NULL. */
void store_close(struct store *s);

unsigned store_disk(const struct store *s);
uint64_t store_size_bytes(const struct store *s);
bool store_is_device(const struct store *s);
enum wire_digest_kind store_digest(struct store *s); /* that chunks are known by */

/* Plain reading; extents as far as the file system tells. */
int store_read(struct store *s, void *buf, size_t bytes, uint64_t offset_bytes);

/* The extent at offset: up to length_bytes long, a hole or not. */
int store_extent(struct store *s, uint64_t offset_bytes, uint64_t length_bytes,
		 uint64_t *extent_bytes, bool *hole);

/* Bytes without a digest: the chunk, which the range must not leave, becomes unknown. */
int store_write(struct store *s, const void *data, size_t bytes, uint64_t offset_bytes);

/*
 * Zeros. Wholly covered chunks become known as zero, under the run id when it is not NULL; what is
 * known to be zero is not written again. no_hole: keep the space allocated. trim: a hint: what
 * cannot be done fast is left alone.
 */
int store_zero(struct store *s, uint64_t offset_bytes, uint64_t length_bytes, bool no_hole,
	       bool trim, const uint8_t *run_id);

/* A buffer of WIRE_CHUNK_BYTES as store_chunk() wants it; free() it. NULL when memory is out. */
uint8_t *store_buffer(void);

/*
 * A chunk in the whole of its bytes, in a store_buffer(); its zero blocks are those that the bitmap
 * leaves out. The digest has been checked. run_id: of the connection.
 */
int store_chunk(struct store *s, uint64_t chunk, const uint8_t bitmap[WIRE_BITMAP_BYTES],
		const uint8_t *plain, const uint8_t digest[WIRE_DIGEST_MAX], const uint8_t *run_id);

/*
 * The chunk is to be patched soon: its record is taken back now, and the next sync of the journal,
 * whoever wants it, serves all patches that are on their way. Until then, and if no patch comes,
 * the chunk is known as before. Does nothing where that is not possible.
 */
int store_forget_ahead(struct store *s, uint64_t chunk);

/* The present blocks of a patch, one behind the other; whole: the chunk as it stands there. -errno
 * with a reason. */
typedef int (*store_blocks_fn)(void *ctx, const uint8_t *whole, const uint8_t **blocks);

/*
 * A chunk of which only the blocks in the bitmap are given, the others stay as they are. `whole` is
 * a store_buffer() to work in. -EBADMSG when what comes out does not have the digest, or the blocks
 * cannot be had: then the chunk is unknown, and its bytes are as they were.
 */
int store_patch(struct store *s, uint64_t chunk, const uint8_t bitmap[WIRE_BITMAP_BYTES],
		store_blocks_fn fn, void *ctx, uint8_t *whole,
		const uint8_t digest[WIRE_DIGEST_MAX], const uint8_t *run_id);

/* Take known chunks over into this run; -ENOENT when one of them is not known. */
int store_keep(struct store *s, uint64_t chunk, uint64_t count, const uint8_t *run_id);

/* Everything written before the call is durable, and so is the knowledge of it. */
int store_commit(struct store *s);

/*
 * What is known of chunks from first on: one run of equal state, at most max long; *count says how
 * long. Digests (wire_digest_bytes() each) are copied for WIRE_DATA when digests is not NULL.
 */
struct store_run {
	uint64_t count;
	enum wire_chunk_state state;
	bool this_run;
	bool durable;
};
void store_run_at(struct store *s, uint64_t first, uint64_t max, const uint8_t *run_id,
		  struct store_run *out, uint8_t *digests);

/*
 * A chunk as it is found on the medium: state and digest are of the bytes that stand there, or
 * WIRE_UNKNOWN where they cannot be read. this_run and durable are the journal's word, which the
 * medium bears out. differs: it does not, and the chunk is unknown from now on, durably.
 */
struct store_found {
	enum wire_chunk_state state;
	bool this_run;
	bool durable;
	bool differs;
	uint8_t digest[WIRE_DIGEST_MAX];
};

/*
 * Read a chunk back, past the page cache; buf is a store_buffer(). Waits for who writes to it, and
 * holds off who wants to. Fails only when the journal cannot be written.
 */
int store_readback(struct store *s, uint64_t chunk, uint8_t *buf, const uint8_t *run_id,
		   struct store_found *out);

/*
 * How many chunks from first on, at most max, are found by store_readback() to be the same, and can
 * be told without reading, as they lie in a hole of the file. 0: none.
 */
uint64_t store_readback_hole(struct store *s, uint64_t first, uint64_t max, const uint8_t *run_id,
			     struct store_found *out);

void store_durable(struct store *s, const uint8_t *run_id, struct wire_durable *out);

struct store_figures {
	struct wire_durable durable; /* of the current run */
	uint8_t run_id[WIRE_RUN_ID_BYTES];
	uint64_t written_bytes; /* since the start */
	uint64_t commits;
	bool failed; /* an error of the medium: nothing is taken any more */
};
void store_figures(struct store *s, struct store_figures *out);

/*
 * One source at a time: a connection that brings a run id enters; -EBUSY with code RECEIVER_BUSY
 * while connections with another run id are there.
 */
int store_enter(struct store *s, const uint8_t run_id[WIRE_RUN_ID_BYTES]);
void store_leave(struct store *s);
bool store_has_source(struct store *s); /* some connection has entered */

/*
 * A connection with our extension speaks of digests of this kind, from here until store_hush().
 * Where the disk has others, all chunks with data become unknown, durably; only a source (has_run)
 * may do that to a disk of which any are known. -EBUSY with RECEIVER_BUSY while others speak of the
 * other kind; -EPERM.
 */
int store_speak(struct store *s, bool has_run, enum wire_digest_kind digest);
void store_hush(struct store *s);

/*
 * From here on writes, zeros and KEEP fail with EPERM and DISK_FROZEN; what had begun is over and
 * durable when it returns 0.
 */
int store_freeze(struct store *s);
void store_thaw(struct store *s);

/* A descriptor of its own, for reading; -errno. */
int store_open_for_reading(const struct store *s);

#endif
