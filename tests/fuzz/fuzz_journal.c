/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A journal of any bytes: records that are believed lie inside the disk. */
#include "receiver/journal.c"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct journal_subject subject = {.disk = 0, .disk_bytes = 100 << 20};

static int take(void *ctx, const struct journal_record *r)
{
	(void)ctx;
	assert(r->kind == JOURNAL_RUN || r->chunk + r->count <= 100);
	return 0;
}

/* Half of the time the sums are put right, or they would hide what comes after them. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_FREE uint8_t *copy = malloc(size + 1);
	size_t good;

	if (size)
		memcpy(copy, data, size);
	if (size >= JOURNAL_HEAD_BYTES && data[0] != 'C') {
		encode_head(&subject, 5, copy);
		for (uint64_t i = 0; JOURNAL_HEAD_BYTES + (i + 1) * JOURNAL_RECORD_BYTES <= size;
		     i++) {
			uint8_t *raw = copy + JOURNAL_HEAD_BYTES + i * JOURNAL_RECORD_BYTES;
			struct writer w = writer_of(raw + 4, 4);

			if (raw[4] % 8 != 7)
				writer_be(&w, record_sum(raw, 5, i), 4);
		}
	}
	if (journal_replay(copy, size, &subject, "fuzz", take, NULL, &good) == 0)
		assert(good <= size);
	return 0;
}
