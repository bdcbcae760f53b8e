/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CRC-64/XZ and MD5 against published values; joining sums is the same as summing joined bytes. */
#include "unit.h"

#include <string.h>

#include "base/crc64.h"
#include "base/hash.h"

static void crc64_gives_the_published_check_value(void **state)
{
	(void)state;
	assert_true(crc64(0, "123456789", 9) == 0x995dc9bbdf1939faULL);
	assert_true(crc64(0, "", 0) == 0);
}

static void crc64_goes_on_and_joins_at_every_place(void **state)
{
	uint8_t data[1000];
	uint64_t whole;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * i + 7);
	whole = crc64(0, data, sizeof(data));
	for (size_t cut = 0; cut <= sizeof(data); cut++) {
		uint64_t first = crc64(0, data, cut);
		uint64_t second = crc64(0, data + cut, sizeof(data) - cut);

		assert_true(crc64(first, data + cut, sizeof(data) - cut) == whole);
		assert_true(crc64_join(first, second, sizeof(data) - cut) == whole);
	}
}

/* RFC 1321, section A.5 */
static void md5_gives_the_published_values(void **state)
{
	char hex[HASH_MD5_HEX_BYTES];

	(void)state;
	hash_md5_hex("", 0, hex);
	assert_string_equal(hex, "D41D8CD98F00B204E9800998ECF8427E");
	hash_md5_hex("message digest", 14, hex);
	assert_string_equal(hex, "F96B697D7CB7938D525A2F31AAF161D0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crc64_gives_the_published_check_value),
		cmocka_unit_test(crc64_goes_on_and_joins_at_every_place),
		cmocka_unit_test(md5_gives_the_published_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
