/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * copy: executes a map. Reads what its entries name, digests, compresses and sends it to the
 * receiver's disks, in chunks of WIRE_CHUNK_BYTES aligned on the target, and ends when all of it is
 * durable there. What the receiver already holds is not sent again. It writes nowhere but to the
 * receiver. All memory for data is taken before the first byte moves.
 */
#ifndef COPY_COPY_H
#define COPY_COPY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "map/map.h"
#include "wire/wire.h"

#define COPY_COMPRESSION_MAX	 10 /* SMC's scale; 0 sends plain */
#define COPY_COMPRESSION_DEFAULT 7
#define COPY_CONNECTIONS_DEFAULT 4
#define COPY_CONNECTIONS_MAX	 32 /* so many the receiver serves, of all disks together */

/* Orders to a running copy. Any thread may store at any time. */
struct copy_control {
	_Atomic uint64_t
		rate_mbit;	  /* million bits a second on the wire, all connections; 0: none */
	atomic_uint step_and_one; /* compression from the next chunk on, 0..COPY_COMPRESSION_MAX,
				   * and one; 0: as the options say */
	atomic_bool paused;	  /* what is on its way arrives, nothing new is begun */
	atomic_bool cancelled;	  /* end soon with -ECANCELED, code COPY_CANCELLED */
};

/* Where one disk of the map goes. Strings and the pin are the caller's and outlive the run. */
struct copy_target {
	const char *host;
	uint16_t port;
	const char *unix_path;	 /* instead of host and port; NULL otherwise */
	const char *export_name; /* "TOKEN/diskN", or what a foreign server calls it */
	const uint8_t *pin;	 /* WIRE_PIN_BYTES; NULL only for foreign servers */
	bool plain_ok;		 /* go on without TLS where the server has none */
};

enum copy_phase {
	COPY_CONNECTING, /* also waiting for a receiver that went away */
	COPY_COMPARING,	 /* asking what the receiver has */
	COPY_RUNNING,
	COPY_SETTLING, /* all is sent, and becomes durable */
	COPY_DONE,
};

const char *copy_phase_name(enum copy_phase phase);

/* One disk, as it stands now. Counted when the receiver has answered, never when merely sent. */
struct copy_progress {
	unsigned disk; /* index in the map */
	const char *name;
	enum copy_phase phase;
	uint64_t total_bytes;	/* what the map takes from sources and literals */
	uint64_t done_bytes;	/* of these: received, or known to be there */
	uint64_t durable_bytes; /* of these: on the receiver's medium, as far as it has told */
	uint64_t zero_bytes;	/* of done: only zeros, so not sent */
	uint64_t skipped_bytes; /* of done: were there before this run began */
	uint64_t wire_bytes;	/* sent on the connections of this disk, TLS and all */
	uint64_t hole_bytes;	/* of done: could not be read and are zeros */
};

struct copy_status {
	const struct copy_progress *disks;
	size_t disk_count;
	unsigned current;	   /* the disk that is being copied */
	uint64_t read_bytes_per_s; /* of the source, over the last seconds */
	uint64_t wire_bytes_per_s;
	uint64_t left_ms;     /* estimate for all disks; UINT64_MAX while unknown */
	unsigned compression; /* in use now; moves when adaptive */
	bool reconnecting;    /* the receiver went away; message says why */
	const char *message;  /* "" or a line for people */
};

/* Called about every interval_ms for each disk under way, from threads of the copy, never from two
 * at once. */
typedef void (*copy_status_fn)(void *ctx, const struct copy_status *status);

/* What could not be read of a source, with all patience: these bytes are zero on the target. */
struct copy_hole {
	unsigned source; /* index in the map */
	uint64_t source_offset_bytes;
	uint64_t offset_bytes; /* on the target */
	uint64_t length_bytes;
	int error; /* positive errno */
};

/* An errno of a read in words that fit a disk. */
const char *copy_error_text(int error);

/*
 * Asked once all good areas of a disk are durable and the bad ones were tried: all holes that were
 * found, by target offset. 0: they may be zeros; the caller has taken note of them, as a later call
 * of copy_run() with the same run id does not look there again. Negative: the run ends with it.
 */
typedef int (*copy_judge_fn)(void *ctx, unsigned disk, const struct copy_hole *holes, size_t count);

/*
 * Asked now and then while a source does not answer: bring it back, as by looking for the disk
 * under another name. Its path must stay what it is. Whether that worked shows when it is read
 * again. Any thread, one call at a time for a disk of the map.
 */
typedef void (*copy_revive_fn)(void *ctx, unsigned source);

struct copy_options {
	const struct map *map;		   /* finished */
	const struct copy_target *targets; /* one for each disk of the map */
	uint8_t run_id[WIRE_RUN_ID_BYTES]; /* same id: what is durable is skipped unread */
	enum wire_digest_kind digest;	   /* 0: XXH3-128 */
	unsigned compression;		   /* 0..COPY_COMPRESSION_MAX */
	bool adaptive;			   /* move compression with the load, at most to 10 */
	bool changeable;		   /* take memory for compression that is ordered later */
	unsigned connections;		   /* per disk, if they fit; 0: default */
	unsigned readers;		   /* 0: by the kind of source */
	unsigned workers;		   /* 0: one per processor */
	uint64_t memory_bytes;		   /* for buffers; 0: by the memory that is free */
	uint64_t timeout_ms;		   /* of a connection without any progress; 0: 30 s */
	uint64_t patience_ms;	      /* go on trying to reach a lost receiver so long; 0: do not */
	bool no_extension;	      /* behave as with a foreign server; for tests */
	struct copy_control *control; /* NULL: no orders, no limit */
	copy_status_fn status;	      /* may be NULL */
	void *status_ctx;
	unsigned interval_ms; /* 0: 500 */
	/* Test hook in place of pread() on a source; NULL otherwise. Any thread. */
	ssize_t (*read)(void *ctx, unsigned source, void *buf, size_t bytes, uint64_t offset_bytes);
	void *read_ctx;
	copy_judge_fn judge; /* NULL: what cannot be read is fatal */
	void *judge_ctx;
	copy_revive_fn revive; /* may be NULL */
	void *revive_ctx;
	uint64_t read_limit_ms; /* a read of a device may take so long; 0: 60 s */
	uint64_t rescue_ms;	/* waiting for one disk's bad places to get better; 0: 5 min */
};

/* What is known of a chunk at the end. */
enum copy_chunk {
	COPY_CHUNK_DATA = 1, /* holds a byte that is not zero */
	COPY_CHUNK_OURS = 2, /* read by this call; else by an earlier one, as the receiver says */
};

struct copy_disk_result {
	uint64_t chunks;	   /* of the target */
	uint64_t read_bytes;	   /* from sources */
	uint64_t sent_chunks;	   /* with data */
	uint64_t sent_plain_bytes; /* of these: bytes before compression, zero blocks left out */
	uint64_t skipped_chunks;   /* unread, as durable under the same run id */
	uint64_t kept_chunks;	   /* read, and the receiver's digest was equal */
	uint64_t zero_chunks;	   /* told as zero */
	uint64_t patched_chunks;   /* of the sent ones: only the blocks that differ */
	uint64_t wire_bytes;	   /* sent, TLS and all */
	uint64_t received_bytes;   /* answers: digests, and marks of blocks */
	bool verified_digests;	   /* the receiver keeps digests: false with a foreign server */
	/* For each chunk: wire_digest_bytes(). Meaningful where data[i] is set; the others are
	 * zero. */
	uint8_t *digests;
	uint8_t *data;		 /* one byte a chunk: holds a byte that is not zero */
	struct copy_hole *holes; /* by offset; of this call of copy_run() */
	size_t hole_count;
};

struct copy_result {
	struct copy_disk_result disks[MAP_DISKS_MAX];
	size_t disk_count;
	uint64_t elapsed_ms;
	uint64_t running_ms; /* of these: chunks moved; not connecting, comparing, settling */
	unsigned reconnects;
};

/*
 * Run the whole map. 0 when everything is durable at the receiver. Otherwise the first reason, with
 * a code: SOURCE_READ_ERROR (disk and sector named), SOURCE_LOST, TARGET_TOO_SMALL, TARGET_FULL,
 * TARGET_WRITE_ERROR, CHUNK_CORRUPTED, RECEIVER_LOST_CHUNKS, COPY_CANCELLED, COPY_NO_MEMORY, or one
 * of wire_nbd_open(). A run that failed can be run again and goes on from what is durable. The
 * result is filled as far as it got; copy_result_fini() frees it in every case.
 */
int copy_run(const struct copy_options *options, struct copy_result *result);

/*
 * One chunk as the map makes it, read again from the sources: for looking closer at one that went
 * wrong. buf is WIRE_CHUNK_BYTES long, aligned on a page. -errno, with a reason or without.
 */
int copy_read_chunk(const struct copy_options *options, unsigned disk, uint64_t chunk,
		    uint64_t target_bytes, uint8_t *buf);
void copy_result_fini(struct copy_result *result);

/* Whether a failure, with the reason that stands, is that of a receiver which may come back. */
bool copy_is_lost(int rc);

#endif
