/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TLS records that go around the engine: what stands at the start of any bytes; and one that was
 * sealed opens to what it was, but not when a byte of it is another. The first three bytes say
 * where and how.
 */
#include "wire/wire_record.c"

#include <assert.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/num.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool opens(struct record_direction *in, const uint8_t *record, size_t bytes, uint8_t *plain,
		  size_t *plain_bytes)
{
	/* No byte more than there is, so that a look behind it is seen. */
	CLEANUP_FREE uint8_t *copy = malloc(bytes ? bytes : 1);
	size_t record_bytes = 0;

	if (bytes)
		memcpy(copy, record, bytes);
	if (record_look(copy, bytes, &record_bytes, plain_bytes) != RECORD_WHOLE)
		return false;
	assert(record_bytes <= bytes && *plain_bytes + RECORD_EXTRA_BYTES == record_bytes);
	assert(*plain_bytes <= RECORD_PLAIN_MAX);
	return record_open(in, copy, *plain_bytes, plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t key[16] = {7}, salt[4] = {3};
	static uint8_t record[RECORD_PLAIN_MAX + RECORD_EXTRA_BYTES], plain[RECORD_PLAIN_MAX];
	static struct record_pair pair;
	size_t bytes, n, at;

	if (size < 3 || !wire_gcm_ok())
		return 0;
	pair.wide = wire_gcm_is_wide();
	begin(&pair.in, &pair, key, sizeof(key), salt);
	begin(&pair.out, &pair, key, sizeof(key), salt);
	assert(!opens(&pair.in, data + 3, size - 3, plain, &n));
	assert(pair.in.number == 0);

	n = min_of(size - 3, (size_t)RECORD_PLAIN_MAX);
	bytes = record_seal(&pair.out, data + 3, n, record);
	assert(bytes == n + RECORD_EXTRA_BYTES);
	at = (data[0] | data[1] << 8) % bytes;
	record[at] ^= data[2] | 1;
	assert(!opens(&pair.in, record, bytes, plain, &n));
	record[at] ^= data[2] | 1;
	assert(!opens(&pair.in, record, bytes - 1, plain, &n));
	assert(opens(&pair.in, record, bytes, plain, &n));
	assert(n == min_of(size - 3, (size_t)RECORD_PLAIN_MAX) && memcmp(plain, data + 3, n) == 0);
	/* Once. */
	assert(!opens(&pair.in, record, bytes, plain, &n));
	return 0;
}
