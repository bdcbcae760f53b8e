/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of a store: store.c opens and reads, store_write.c writes, store_commit.c makes durable,
 * store_readback.c compares with the medium.
 */
#ifndef RECEIVER_STORE_PRIVATE_H
#define RECEIVER_STORE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "receiver/journal.h"
#include "receiver/store.h"

enum chunk_bits {
	CHUNK_KIND = 3, /* enum wire_chunk_state */
	CHUNK_BUSY = 4,
	CHUNK_PENDING = 8,     /* known, to be journaled by the next commit */
	CHUNK_COMMITTING = 16, /* its record is on its way */
	CHUNK_THIS_RUN = 32,
	CHUNK_JOURNALED = 64, /* the journal speaks of it: say UNKNOWN before overwriting */
	CHUNK_READING = 128,  /* read back from the medium: nobody overwrites it meanwhile */
};

#define STORE_ALIGN 4096 /* of memory, offset and length in direct writes */
#define STORE_BATCH 4096 /* records of one commit step */
#define STORE_AHEAD 256	 /* chunks that the journal may have forgotten ahead of a sync */

/* A chunk of which the journal has been told that it is unknown, by the first so many records. */
struct store_ahead {
	uint64_t chunk;
	uint64_t records;
};

struct store {
	unsigned disk;
	struct vault *vault;
	char path[VAULT_NAME_BYTES];
	int fd;
	_Atomic int direct_fd;	/* of the same, past the page cache; -1 where that does not work */
	int medium_fd;		/* of the same, for reading past the page cache; -1 likewise */
	_Atomic bool medium_ok; /* medium_fd is there and works */
	bool is_device;
	uint64_t size_bytes;
	uint64_t chunks;
	uint64_t commit_ms;
	struct journal *journal;

	pthread_mutex_t lock; /* of everything down to the blank line */
	pthread_cond_t changed;
	uint8_t *states; /* chunk_bits of each chunk; anonymous memory, touched when used */
	enum wire_digest_kind digest; /* changes only while speakers is 0 */
	size_t digest_bytes;
	uint8_t *digests;  /* digest_bytes of each */
	unsigned speakers; /* connections with our extension: they speak of these digests */
	uint64_t pending_from, pending_to; /* no PENDING chunk outside of this range */
	uint8_t run_id[WIRE_RUN_ID_BYTES];
	uint8_t entered_run_id[WIRE_RUN_ID_BYTES];
	unsigned entered;
	bool dirty;	 /* plain bytes were written since the last commit began */
	bool committing; /* records were gathered and are not durable yet */
	bool no_room;	 /* for the journal, at the last commit; said once */
	int error;	 /* sticky */
	bool frozen;	 /* nothing is written until it is thawed */
	uint64_t commits;
	bool stopping;
	struct store_ahead ahead[STORE_AHEAD]; /* the oldest gives way once it is synced */
	unsigned ahead_next;

	pthread_mutex_t cache_lock;   /* of long writes through a file's page cache */
	pthread_mutex_t commit_lock;  /* one commit at a time; taken before lock */
	struct journal_record *batch; /* STORE_BATCH, under commit_lock */
	pthread_t committer;
	bool committer_runs;
	pthread_cond_t wake; /* the committer, under lock */
	_Atomic uint64_t written_bytes;
	_Atomic uint64_t distrusted; /* chunks that the medium did not bear out */
};

uint64_t store_chunk_bytes(const struct store *s, uint64_t chunk);

/* A disk that failed stays failed. Takes the lock. Returns rc. */
int store_fail(struct store *s, int rc);

/* Under lock: where a chunk's digest is. */
static inline uint8_t *store_digest_at(const struct store *s, uint64_t chunk)
{
	return s->digests + chunk * s->digest_bytes;
}

/* The journal forgets [first, first + count), durably. */
int store_forget(struct store *s, uint64_t first, uint64_t count);

/* Under lock: how many records must be durable before any of these chunks is overwritten, as the
 * journal may say on the medium what was taken back since; 0: none. */
uint64_t store_ahead_records(const struct store *s, uint64_t first, uint64_t count);

int store_committer_start(struct store *s);
void store_committer_stop(struct store *s);

/* The connection's run id is the journal's; NULL and zeros are nobody's. */
bool store_same_run(const struct store *s, const uint8_t *run_id);

/* Under lock: chunks [first, first + count) are to be journaled. */
void store_mark_pending(struct store *s, uint64_t first, uint64_t count);

#endif
