/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The journal of a job; see pipe_journal.h. */
#include "pipeline/pipe_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/json.h"
#include "base/num.h"

#define SUM_CHARS 16

static void sum_of(const void *text, size_t bytes, char out[SUM_CHARS + 1])
{
	uint8_t digest[HASH_SHA256_BYTES];

	hash_sha256(text, bytes, digest);
	hex_encode(digest, SUM_CHARS / 2, out);
}

/* One line without its newline, or NULL when it is not what we wrote. */
static json_t *line_parse(struct cursor line, uint64_t number)
{
	const uint8_t *sum = cursor_bytes(&line, SUM_CHARS);
	const uint8_t *blank = cursor_bytes(&line, 1);
	size_t left = cursor_left(&line);
	const uint8_t *text = cursor_bytes(&line, left);
	char want[SUM_CHARS + 1];
	json_t *record;
	uint64_t n;

	if (!cursor_ok(&line) || *blank != ' ')
		return NULL;
	sum_of(text, left, want);
	if (memcmp(sum, want, SUM_CHARS) != 0)
		return NULL;
	record = json_loadb((const char *)text, left, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(record) || json_get_u64(record, "n", &n) < 0 || n != number) {
		json_decref(record);
		return NULL;
	}
	return record;
}

int pipe_journal_replay(const void *data, size_t bytes, const char *name, pipe_record_fn fn,
			void *ctx, size_t *good, uint64_t *count)
{
	struct cursor all = cursor_of(data, bytes);

	*good = 0;
	*count = 0;
	while (cursor_left(&all)) {
		const uint8_t *newline = memchr(all.at, '\n', cursor_left(&all));
		CLEANUP_JSON json_t *record = NULL;
		int rc;

		/* Without a newline it was being written when the machine stopped. */
		if (!newline)
			return 0;
		record = line_parse(cursor_sub(&all, (size_t)(newline - all.at)), *count);
		cursor_skip(&all, 1);
		if (!record && !cursor_left(&all))
			return 0; /* blocks of one append need not reach the disk in order */
		if (!record)
			return fail_code(EBADMSG, "JOB_JOURNAL_DAMAGED",
					 "%s: record %llu is damaged", name,
					 (unsigned long long)*count);
		rc = fn(ctx, record);
		if (rc < 0)
			return fail_in(rc, "%s: record %llu", name, (unsigned long long)*count);
		++*count;
		*good = bytes - cursor_left(&all);
	}
	return 0;
}

int pipe_journal_read(const char *path, pipe_record_fn fn, void *ctx)
{
	CLEANUP_FREE char *text = NULL;
	size_t bytes = 0, good;
	uint64_t count;
	int rc = io_read_file(path, PIPE_JOURNAL_MAX_BYTES, &text, &bytes);

	return rc < 0 ? rc : pipe_journal_replay(text, bytes, path, fn, ctx, &good, &count);
}

int pipe_journal_open(const char *path, pipe_record_fn fn, void *ctx, struct pipe_journal *out)
{
	CLEANUP_CLOSE int fd = io_open(path, O_RDWR | O_CREAT | O_APPEND, 0600);
	CLEANUP_FREE char *text = NULL;
	size_t bytes = 0, good = 0;
	int rc;

	*out = (struct pipe_journal){.fd = -1};
	if (fd < 0)
		return fd;
	rc = io_read_file(path, PIPE_JOURNAL_MAX_BYTES, &text, &bytes);
	if (rc == 0)
		rc = pipe_journal_replay(text, bytes, path, fn, ctx, &good, &out->next);
	if (rc < 0)
		return rc;
	if (good != bytes && (ftruncate(fd, (off_t)good) < 0 || fsync(fd) < 0))
		return fail(errno, "%s: cut off a record that was not finished", path);
	out->path = strdup(path);
	if (!out->path)
		return fail(ENOMEM, "%s", path);
	out->fd = steal_fd(&fd);
	return 0;
}

int pipe_journal_append(struct pipe_journal *j, json_t *record)
{
	CLEANUP_JSON json_t *owned = record;
	CLEANUP_FREE char *text = NULL;
	CLEANUP_FREE char *line = NULL;
	char now[CLOCK_TEXT_BYTES], sum[SUM_CHARS + 1];
	size_t n;
	off_t at;
	int rc;

	if (!owned || json_object_set_new(owned, "n", json_u64(j->next)) < 0 ||
	    json_object_set_new(owned, "t", json_string(clock_text(now))) < 0)
		return fail(ENOMEM, "%s", j->path);
	text = json_dumps(owned, JSON_COMPACT | JSON_SORT_KEYS);
	n = text ? strlen(text) : 0;
	line = text ? malloc(SUM_CHARS + n + 3) : NULL;
	if (!line)
		return fail(ENOMEM, "%s", j->path);
	sum_of(text, n, sum);
	memcpy(line, sum, SUM_CHARS);
	line[SUM_CHARS] = ' ';
	memcpy(line + SUM_CHARS + 1, text, n);
	line[SUM_CHARS + 1 + n] = '\n';
	at = lseek(j->fd, 0, SEEK_END);
	rc = io_write(j->fd, line, SUM_CHARS + n + 2, j->path);
	if (rc == 0 && fsync(j->fd) < 0)
		rc = fail(errno, "sync %s", j->path);
	/* Half a line must not be followed by a whole one. */
	if (rc < 0 && ftruncate(j->fd, at) < 0)
		return fail_in(rc, "and it cannot be cut back");
	if (rc == 0)
		j->next++;
	return rc;
}

void pipe_journal_close(struct pipe_journal *j)
{
	if (j->path && j->fd >= 0)
		close(j->fd);
	free(j->path);
	*j = (struct pipe_journal){.fd = -1};
}
