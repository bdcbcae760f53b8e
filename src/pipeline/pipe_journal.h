/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The journal of a job: one text file of lines, only ever appended to, each synced before what it
 * announces is done. A line is 16 hex digits (the first half of the SHA-256 of the rest), a blank
 * and a JSON object whose "n" counts from 0. A line that a crash cut short is dropped; damage
 * anywhere else is an error, as what a job made in the cloud must not be forgotten.
 */
#ifndef PIPELINE_PIPE_JOURNAL_H
#define PIPELINE_PIPE_JOURNAL_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define PIPE_JOURNAL_MAX_BYTES (64u << 20)

struct pipe_journal {
	int fd; /* -1: closed */
	uint64_t next;
	char *path;
};

/* Called with each record in order, borrowed. A negative result ends the reading with it. */
typedef int (*pipe_record_fn)(void *ctx, const json_t *record);

/*
 * Read a journal's bytes. *good is how many of them hold whole records, *count how many records.
 * Code JOB_JOURNAL_DAMAGED. Pure.
 */
int pipe_journal_replay(const void *data, size_t bytes, const char *name, pipe_record_fn fn,
			void *ctx, size_t *good, uint64_t *count);

/* Read the file at path, then open it for appending, behind its last whole record; made when it is
 * missing. The caller holds the job's lock. */
int pipe_journal_open(const char *path, pipe_record_fn fn, void *ctx, struct pipe_journal *out);

/* Only read; another process may be appending. */
int pipe_journal_read(const char *path, pipe_record_fn fn, void *ctx);

/* Append and sync. Takes the record over, adds "n" and the time "t". */
int pipe_journal_append(struct pipe_journal *j, json_t *record);

void pipe_journal_close(struct pipe_journal *j);

#endif
