/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The text form of a map: whatever the bytes are, an answer, and a finished map obeys its rules. */
#include "map/text.c"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct map *m)
{
	for (size_t i = 0; i < m->disk_count; i++) {
		const struct map_disk *d = &m->disks[i];
		uint64_t end = 0;

		for (size_t k = 0; k < d->count; k++) {
			assert(d->entries[k].offset_bytes >= end);
			end = d->entries[k].offset_bytes + d->entries[k].length_bytes;
			assert(end <= d->size_bytes);
		}
	}
}

/* The checksum would hide the parser from the fuzzer, so it is put right before parsing. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_FREE char *text = malloc(size + 80);
	CLEANUP_FREE struct sum *sum = calloc(1, sizeof(*sum));
	CLEANUP_FCLOSE FILE *file = NULL;
	struct map *m = NULL;
	char hex[65];
	int n;

	for (size_t at = 0; at < size;) {
		const uint8_t *newline = memchr(data + at, '\n', size - at);
		size_t bytes = newline ? (size_t)(newline - data) - at + 1 : size - at;

		if (bytes >= LINE_MAX_BYTES)
			return 0;
		sum_line(sum, (const char *)data + at, bytes);
		at += bytes;
	}
	if (size)
		memcpy(text, data, size);
	hex_encode(sum->bytes, HASH_SHA256_BYTES, hex);
	n = sprintf(text + size, "end %s\n", hex);
	file = fmemopen(text, size + (size_t)n, "r");
	if (file && map_read_file(a, file, "fuzz", &m) == 0)
		check(m);
	return 0;
}
