/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A job's journal of any bytes: it is read or refused, and a job whose records are believed can be
 * shown. */
#include "pipeline/pipe_job.c"

#include "base/hash.h"

#include <assert.h>

#include "pipeline/pipe_show.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each line gets its sum and its number, or nothing behind them would ever be reached. */
static char *with_sums(const uint8_t *data, size_t size, size_t *bytes)
{
	char *out = NULL;
	FILE *f = open_memstream(&out, bytes);
	uint64_t n = 0;

	for (size_t i = 0; i < size;) {
		const uint8_t *end = memchr(data + i, '\n', size - i);
		size_t length = end ? (size_t)(end - data) - i : size - i;
		CLEANUP_JSON json_t *record = json_loadb((const char *)data + i, length, 0, NULL);
		CLEANUP_FREE char *text = NULL;
		uint8_t digest[HASH_SHA256_BYTES];
		char sum[17];

		i += length + 1;
		if (!json_is_object(record))
			continue;
		json_object_set_new(record, "n", json_u64(n++));
		text = json_dumps(record, JSON_COMPACT);
		if (!text)
			continue;
		hash_sha256(text, strlen(text), digest);
		hex_encode(digest, 8, sum);
		fprintf(f, "%s %s\n", sum, text);
	}
	fclose(f);
	return out;
}

static void read_and_show(const void *data, size_t size)
{
	struct pipe_job j = {.lock_fd = -1, .journal.fd = -1};
	CLEANUP_JSON json_t *status = NULL;
	CLEANUP_JSON json_t *jobs = NULL;
	CLEANUP_FREE char *table = NULL;
	CLEANUP_FREE char *page = NULL;
	uint64_t count;
	size_t good;
	int rc;

	j.facts = json_object();
	j.images = json_array();
	j.dir = strdup("/x");
	rc = pipe_journal_replay(data, size, "fuzz", take_record, &j, &good, &count);
	assert(good <= size);
	if (rc == 0 && j.options) {
		status = pipe_job_status(&j, true);
		jobs = json_pack("[O*]", status);
		table = pipe_show_table(jobs, 80);
		page = pipe_show_html(jobs);
	}
	pipe_job_close(&j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_FREE char *text = NULL;
	size_t bytes;

	read_and_show(data, size);
	text = with_sums(data, size, &bytes);
	read_and_show(text, bytes);
	return 0;
}
