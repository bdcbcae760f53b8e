/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The journal of one disk: which chunks are known to stand on it, and with what digest.
 * Append-only, checked records of a fixed size. What it says is true at every moment, also after
 * kill -9 or loss of power, because of the order in which its user works: a chunk is written, the
 * disk is synced, then its record is appended and the journal synced; before a chunk that has a
 * record is overwritten, an UNKNOWN record is appended and synced. Private to receiver. Any thread,
 * once open.
 *
 * File: a head, then records, then zeros (room made ahead); integers big-endian.
 *
 *   head, JOURNAL_HEAD_BYTES:
 *     magic 8 "CLFTJRNL" | version 4 | disk 4 | disk bytes 8 | disk identity 8
 *     | chunk bytes 4 | digest kind 4 | journal id 8 | zeros | check 8 over all before
 *
 *   record, JOURNAL_RECORD_BYTES:
 *     kind 1 | zeros 3 | check 4 | batch 4 | count 4 | chunk 8 | digest or run id 32
 *
 * A record's check covers the record, its place in the file and the journal id, so that neither
 * old bytes nor another journal's can pass for it. batch counts the syncs that were over when it
 * was appended.
 */
#ifndef RECEIVER_JOURNAL_H
#define RECEIVER_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JOURNAL_HEAD_BYTES   128
#define JOURNAL_RECORD_BYTES 56
#define JOURNAL_VERSION	     1
#define JOURNAL_VALUE_BYTES  32

enum journal_kind {
	JOURNAL_DATA = 1,     /* chunk has this digest; count is 1 */
	JOURNAL_ZERO = 2,     /* count chunks are all zero */
	JOURNAL_UNKNOWN = 3,  /* count chunks are about to be overwritten */
	JOURNAL_RUN = 4,      /* what follows belongs to this run id; chunk and count are 0 */
	JOURNAL_OLD_DATA = 5, /* as DATA and ZERO, from a run before the last RUN; by compaction */
	JOURNAL_OLD_ZERO = 6,
	/* Digests are of this kind (value[0]) from here on: no chunk with data is known any more.
	 * Chunk and count are 0. */
	JOURNAL_DIGEST = 7,
};

struct journal_record {
	enum journal_kind kind;
	uint32_t count;
	uint64_t chunk;
	uint8_t value[JOURNAL_VALUE_BYTES]; /* digest or run id */
};

/* What a journal is about; one that is about something else is refused. */
struct journal_subject {
	uint32_t disk;
	uint64_t disk_bytes;
	uint64_t disk_identity; /* inode number of a file; 0 for a device */
	/* Of a journal that is begun, enum wire_digest_kind; 0: XXH3-128. One that is there has its
	 * own. */
	uint32_t digest;
};

struct journal;

/* Called for each record in order while opening; its error ends the opening. A journal whose head
 * names another digest than XXH3-128 begins with a DIGEST record, in what is told here. */
typedef int (*journal_apply_fn)(void *ctx, const struct journal_record *r);

/*
 * Open the journal in the file fd, which is owned even on error; an empty one is begun. Torn
 * records of the last batch are cut off. name is for reasons, which carry JOURNAL_FOREIGN (of
 * another disk, or no journal) or JOURNAL_DAMAGED (records are missing from its middle).
 */
int journal_open(int fd, const char *name, const struct journal_subject *subject,
		 journal_apply_fn apply, void *ctx, struct journal **out);
void journal_close(struct journal *j); /* accepts NULL */

/*
 * Append records; they are durable when journal_sync() has returned 0 after. -ENOSPC of append
 * says that there is no room for them and nothing has changed; it may be called again. After any
 * other error of either the journal takes nothing more.
 */
int journal_append(struct journal *j, const struct journal_record *records, size_t count);
int journal_sync(struct journal *j);

/*
 * How many records there are; then a later sync may be for these alone, and costs nothing when
 * another one has made them durable meanwhile.
 */
uint64_t journal_records(struct journal *j);
int journal_sync_to(struct journal *j, uint64_t records);
bool journal_is_synced(const struct journal *j, uint64_t records);

/* Parse the bytes of a journal: what journal_open() does once it has read them. For tests. *good is
 * the number of bytes that stand. NAME is for the reason. */
int journal_replay(const void *data, size_t bytes, const struct journal_subject *subject,
		   const char *name, journal_apply_fn apply, void *ctx, size_t *good);

#endif
