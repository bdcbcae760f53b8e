/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SHA-256 of both ways, with the CPU's instructions and without, against FIPS 180-4 and each other.
 */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/num.h"

static void assert_both(const void *data, size_t bytes, const char *expected)
{
	const struct iovec part = {.iov_base = (void *)data, .iov_len = bytes};
	uint8_t soft[HASH_SHA256_BYTES];
	char hex[HASH_SHA256_HEX_BYTES];

	hash_sha256_hex(data, bytes, hex);
	assert_string_equal(hex, expected);
	hash_sha256_soft(&part, 1, soft);
	hex_encode(soft, sizeof(soft), hex);
	assert_string_equal(hex, expected);
}

/* The examples that go with FIPS 180-4: one block, two blocks, a million letters; and nothing. */
static void sha256_gives_the_published_values(void **state)
{
	static char million[1000000];

	(void)state;
	assert_both("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	assert_both("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_both("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
		    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	assert_both("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
		    "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
		    112, "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
	memset(million, 'a', sizeof(million));
	assert_both(million, sizeof(million),
		    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

/* Every length over some blocks, and parts cut anywhere, empty ones included. */
static void both_ways_agree_on_all_lengths_and_cuts(void **state)
{
	static uint8_t data[70000];
	uint32_t seed = 20261122;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)next_random(&seed);
	for (unsigned turn = 0; turn < 2000; turn++) {
		size_t bytes = turn < 300 ? turn : next_random(&seed) % sizeof(data);
		const struct iovec whole = {.iov_base = data, .iov_len = bytes};
		struct iovec parts[8];
		size_t at = 0;
		uint8_t a[HASH_SHA256_BYTES], b[HASH_SHA256_BYTES];

		for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
			size_t left = bytes - at, n = next_random(&seed) % (left / 2 + 2);

			n = i + 1 == ARRAY_SIZE(parts) ? left : min_of(n, left);
			parts[i] = (struct iovec){.iov_base = data + at, .iov_len = n};
			at += n;
		}
		hash_sha256_parts(parts, ARRAY_SIZE(parts), a);
		hash_sha256_soft(&whole, 1, b);
		assert_memory_equal(a, b, sizeof(a));
	}
	if (!hash_sha256_is_fast())
		print_message(
			"this CPU has no SHA instructions: BearSSL was compared with itself\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sha256_gives_the_published_values),
		cmocka_unit_test(both_ways_agree_on_all_lengths_and_cuts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
