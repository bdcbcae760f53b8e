/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verify.leaves, which comes from wherever the operator kept it. Its checksum would stop nearly
 * every input, so each is tried with a right one; what is found must be walked through safely.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "verify/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#define CHECK_BYTES 32
#define STEPS_MAX   100000

static volatile uint8_t sink;

static void walk(const struct leaves *l)
{
	struct leaf_cursor c;

	leaves_begin(l, &c);
	for (uint64_t i = 0; i < l->chunks && i < STEPS_MAX; i++) {
		const uint8_t *digest = leaves_next(&c);

		for (unsigned k = 0; digest && k < l->digest_bytes; k++)
			sink ^= digest[k];
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	uint8_t *copy = malloc(bytes + CHECK_BYTES);
	struct leaves l;

	if (!copy)
		return 0;
	if (bytes)
		memcpy(copy, data, bytes);
	if (leaves_find(copy, bytes, 0, &l) == 0)
		walk(&l);
	hash_sha256(copy, bytes, copy + bytes);
	if (leaves_find(copy, bytes + CHECK_BYTES, 0, &l) == 0)
		walk(&l);
	free(copy);
	return 0;
}
