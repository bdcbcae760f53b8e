/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The wide AES-GCM gives what BearSSL's portable code gives, for every length and split. */
#include <stdint.h>
#include <string.h>

#include "unit.h"
#include "wire/wire_gcm.h"

#define BYTES 20000

static uint8_t plain[BYTES], got[BYTES], want[BYTES];

static void need_wide(void)
{
	if (!wire_gcm_is_wide())
		skip();
	for (size_t i = 0; i < BYTES; i++)
		plain[i] = (uint8_t)(i * 131 + (i >> 7) * 29);
}

/* Lengths around every boundary, and long ones. */
static size_t next_length(size_t n)
{
	return n < 1100 ? n + 1 : n + 997;
}

static void counter_mode_is_that_of_portable_code(void **state)
{
	static const uint8_t key[32] = {1,  2,	3,  250, 5,  6,	 7,  8, 9,
					10, 11, 12, 13,	 14, 15, 16, 17};
	static const uint8_t iv[12] = {9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 255, 254};

	(void)state;
	need_wide();
	for (size_t key_bytes = 16; key_bytes <= 32; key_bytes += 8) {
		br_aes_x86ni_ctr_keys wide;
		br_aes_ct64_ctr_keys portable;
		const br_block_ctr_class *const *run = (const void *)&wide;

		wire_gcm_wide_ctr_vtable.init((const br_block_ctr_class **)(void *)&wide, key,
					      key_bytes);
		assert_ptr_equal(*run, &wire_gcm_wide_ctr_vtable);
		br_aes_ct64_ctr_init(&portable, key, key_bytes);
		for (size_t n = 0; n <= BYTES; n = next_length(n)) {
			uint32_t cc = n % 3 ? 2 : UINT32_MAX - 20; /* it wraps */

			memcpy(got, plain, BYTES);
			memcpy(want, plain, BYTES);
			cc = (*run)->run(run, iv, cc, got, n);
			assert_int_equal(cc,
					 br_aes_ct64_ctr_run(&portable, iv,
							     n % 3 ? 2 : UINT32_MAX - 20, want, n));
			assert_memory_equal(got, want, BYTES);
		}
	}
}

static void ghash_is_that_of_portable_code(void **state)
{
	uint8_t h[16], a[16], b[16];

	(void)state;
	need_wide();
	for (size_t n = 0; n <= BYTES; n = next_length(n)) {
		for (size_t i = 0; i < 16; i++) {
			h[i] = (uint8_t)(n * 7 + i * 91 + 128);
			a[i] = b[i] = (uint8_t)(n + i * 3);
		}
		wire_gcm_wide_ghash(a, h, plain, n);
		br_ghash_ctmul64(b, h, plain, n);
		assert_memory_equal(a, b, sizeof(a));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counter_mode_is_that_of_portable_code),
		cmocka_unit_test(ghash_is_that_of_portable_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
