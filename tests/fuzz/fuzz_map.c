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
	CLEANUP_FREE char *text = malloc(size + 64);
	CLEANUP_FCLOSE FILE *file = NULL;
	XXH128_canonical_t sum;
	struct map *m = NULL;
	char hex[33];
	int n;

	if (size)
		memcpy(text, data, size);
	XXH128_canonicalFromHash(&sum, XXH3_128bits(data, size));
	hex_encode(sum.digest, sizeof(sum.digest), hex);
	n = sprintf(text + size, "end %s\n", hex);
	file = fmemopen(text, size + (size_t)n, "r");
	if (file && map_read_file(a, file, "fuzz", &m) == 0)
		check(m);
	return 0;
}
