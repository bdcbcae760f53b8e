/* SPDX-License-Identifier: GPL-2.0-or-later */
/* AES-GCM gives what BearSSL's portable code gives, for every length, key and head. */
#include <stdint.h>
#include <string.h>

#include "unit.h"
#include "wire/wire_gcm.h"

#define BYTES 20000

static const uint8_t key[32] = {1, 2, 3, 250, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17};
static uint8_t plain[BYTES], sealed[BYTES + 64], opened[BYTES + 64], want[BYTES];

static void need(bool wide)
{
	if (!wire_gcm_ok() || (wide && !wire_gcm_is_wide()))
		skip();
	for (size_t i = 0; i < BYTES; i++)
		plain[i] = (uint8_t)(i * 131 + (i >> 7) * 29);
}

/* Lengths around every boundary, and long ones. */
static size_t next_length(size_t n)
{
	return n < 1100 ? n + 1 : n + 997;
}

static void portable(size_t key_bytes, const struct wire_gcm_head *head, size_t bytes,
		     uint8_t tag[16])
{
	br_aes_ct64_ctr_keys keys;
	br_gcm_context gcm;

	br_aes_ct64_ctr_init(&keys, key, key_bytes);
	br_gcm_init(&gcm, &keys.vtable, br_ghash_ctmul64);
	br_gcm_reset(&gcm, head->nonce, sizeof(head->nonce));
	br_gcm_aad_inject(&gcm, head->data, head->bytes);
	br_gcm_flip(&gcm);
	memcpy(want, plain, bytes);
	br_gcm_run(&gcm, 1, want, bytes);
	br_gcm_get_tag(&gcm, tag);
}

static void one(const struct wire_gcm *g, size_t key_bytes, size_t bytes)
{
	struct wire_gcm_head head = {.nonce = {9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 255, 254},
				     .data = {250, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13},
				     .bytes = bytes % 17};
	uint8_t tag[16], want_tag[16];

	head.nonce[11] = (uint8_t)bytes;
	portable(key_bytes, &head, bytes, want_tag);
	memset(sealed, 0xee, sizeof(sealed));
	memset(opened, 0xee, sizeof(opened));
	wire_gcm_seal(g, &head, plain, sealed, bytes, tag);
	assert_memory_equal(sealed, want, bytes);
	assert_memory_equal(tag, want_tag, sizeof(tag));
	assert_int_equal(sealed[bytes], 0xee);
	assert_true(wire_gcm_open(g, &head, sealed, opened, bytes, tag));
	assert_memory_equal(opened, plain, bytes);
	assert_int_equal(opened[bytes], 0xee);
	/* And where it stands. */
	assert_true(wire_gcm_open(g, &head, sealed, sealed, bytes, tag));
	assert_memory_equal(sealed, plain, bytes);
	wire_gcm_seal(g, &head, sealed, sealed, bytes, tag);
	assert_memory_equal(sealed, want, bytes);
	/* One bit anywhere, and it is not that. */
	tag[bytes % 16] ^= 1;
	assert_false(wire_gcm_open(g, &head, sealed, opened, bytes, tag));
	tag[bytes % 16] ^= 1;
	if (bytes > 0) {
		sealed[bytes - 1] ^= 128;
		assert_false(wire_gcm_open(g, &head, sealed, opened, bytes, tag));
		sealed[bytes - 1] ^= 128;
	}
	if (head.bytes > 0) {
		head.data[head.bytes - 1] ^= 2;
		assert_false(wire_gcm_open(g, &head, sealed, opened, bytes, tag));
	}
}

static void all(bool wide)
{
	need(wide);
	for (size_t key_bytes = 16; key_bytes <= 32; key_bytes += 8) {
		struct wire_gcm g;

		wire_gcm_init(&g, key, key_bytes, wide);
		for (size_t n = 0; n <= BYTES; n = next_length(n))
			one(&g, key_bytes, n);
	}
}

static void it_is_that_of_portable_code(void **state)
{
	(void)state;
	all(false);
}

static void wide_it_is_that_of_portable_code(void **state)
{
	(void)state;
	all(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_that_of_portable_code),
		cmocka_unit_test(wide_it_is_that_of_portable_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
