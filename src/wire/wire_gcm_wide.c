/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AES in counter mode and GHASH on vectors of 512 bits: four blocks an instruction, sixteen in
 * flight. GHASH has its bits the other way round, so a product is one bit short of what carry-less
 * multiplication gives: shift by one, then reduce (Gueron and Kounavis, "Intel Carry-Less
 * Multiplication Instruction and its Usage for Computing the GCM Mode", 2010, algorithm 5). Sixteen
 * blocks are multiplied by the sixteen powers of H and reduced together.
 */
#include "wire/wire_gcm.h"

#ifdef __x86_64__
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define WIDE	   __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,vaes,vpclmulqdq")))
#define WIDE_BYTES 256 /* sixteen blocks */
#define ROUNDS_MAX 14

/* ---- counter mode ---- */

struct schedule {
	__m512i key[ROUNDS_MAX + 1];
	unsigned rounds;
};

WIDE static void spread_keys(const br_aes_x86ni_ctr_keys *k, struct schedule *s)
{
	s->rounds = k->num_rounds;
	for (unsigned r = 0; r <= s->rounds; r++)
		s->key[r] = _mm512_broadcast_i32x4(
			_mm_loadu_si128((const __m128i *)(k->skey.skni + 16 * r)));
}

/* Sixteen counters from `counter` on, encrypted, over 256 bytes. */
WIDE static void sixteen(const struct schedule *s, __m512i counter, uint8_t *data)
{
	const __m512i big_endian = _mm512_broadcast_i32x4(
		_mm_set_epi8(12, 13, 14, 15, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
	const __m512i four = _mm512_broadcast_i32x4(_mm_set_epi32(4, 0, 0, 0));
	__m512i b[4];

	for (int i = 0; i < 4; i++) {
		b[i] = _mm512_xor_si512(_mm512_shuffle_epi8(counter, big_endian), s->key[0]);
		counter = _mm512_add_epi32(counter, four);
	}
	for (unsigned r = 1; r < s->rounds; r++)
		for (int i = 0; i < 4; i++)
			b[i] = _mm512_aesenc_epi128(b[i], s->key[r]);
	for (int i = 0; i < 4; i++) {
		b[i] = _mm512_aesenclast_epi128(b[i], s->key[s->rounds]);
		b[i] = _mm512_xor_si512(b[i], _mm512_loadu_si512(data + 64 * i));
		_mm512_storeu_si512(data + 64 * i, b[i]);
	}
}

WIDE static uint32_t run_ctr(const br_block_ctr_class *const *ctx, const void *iv, uint32_t cc,
			     void *data, size_t len)
{
	const br_aes_x86ni_ctr_keys *keys = (const void *)ctx;
	struct schedule s;
	uint8_t *at = data;
	uint32_t n[3];
	__m512i counter;

	if (len < WIDE_BYTES)
		return br_aes_x86ni_ctr_run(keys, iv, cc, data, len);
	memcpy(n, iv, sizeof(n));
	spread_keys(keys, &s);
	counter = _mm512_broadcast_i32x4(_mm_set_epi32((int)cc, (int)n[2], (int)n[1], (int)n[0]));
	counter = _mm512_add_epi32(
		counter, _mm512_set_epi32(3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0));
	for (; len >= WIDE_BYTES; len -= WIDE_BYTES, at += WIDE_BYTES, cc += 16) {
		sixteen(&s, counter, at);
		counter = _mm512_add_epi32(counter,
					   _mm512_broadcast_i32x4(_mm_set_epi32(16, 0, 0, 0)));
	}
	return len ? br_aes_x86ni_ctr_run(keys, iv, cc, at, len) : cc;
}

static void init_ctr(const br_block_ctr_class **ctx, const void *key, size_t len)
{
	br_aes_x86ni_ctr_init((br_aes_x86ni_ctr_keys *)(void *)ctx, key, len);
	*ctx = &wire_gcm_wide_ctr_vtable;
}

const br_block_ctr_class wire_gcm_wide_ctr_vtable = {
	.context_size = sizeof(br_aes_x86ni_ctr_keys),
	.block_size = 16,
	.log_block_size = 4,
	.init = init_ctr,
	.run = run_ctr,
};

/* ---- GHASH ---- */

/* Products of 256 bits, four in a vector each, not yet shifted and reduced. */
struct product {
	__m512i low, middle, high;
};

WIDE static inline void multiply_add(struct product *p, __m512i a, __m512i b)
{
	__m512i crossed = _mm512_xor_si512(_mm512_clmulepi64_epi128(a, b, 0x01),
					   _mm512_clmulepi64_epi128(a, b, 0x10));

	p->low = _mm512_xor_si512(p->low, _mm512_clmulepi64_epi128(a, b, 0x00));
	p->middle = _mm512_xor_si512(p->middle, crossed);
	p->high = _mm512_xor_si512(p->high, _mm512_clmulepi64_epi128(a, b, 0x11));
}

#define XOR3(a, b, c) _mm512_ternarylogic_epi64(a, b, c, 0x96)

WIDE static inline __m512i reduce(const struct product *p)
{
	__m512i low = _mm512_xor_si512(p->low, _mm512_bslli_epi128(p->middle, 8));
	__m512i high = _mm512_xor_si512(p->high, _mm512_bsrli_epi128(p->middle, 8));
	__m512i carry_low = _mm512_srli_epi32(low, 31), carry_high = _mm512_srli_epi32(high, 31);
	__m512i t, over;

	/* One bit to the left over all 256. */
	low = _mm512_or_si512(_mm512_slli_epi32(low, 1), _mm512_bslli_epi128(carry_low, 4));
	high = _mm512_or_si512(_mm512_slli_epi32(high, 1), _mm512_bslli_epi128(carry_high, 4));
	high = _mm512_or_si512(high, _mm512_bsrli_epi128(carry_low, 12));
	/* Modulo x^128 + x^7 + x^2 + x + 1. */
	t = XOR3(_mm512_slli_epi32(low, 31), _mm512_slli_epi32(low, 30),
		 _mm512_slli_epi32(low, 25));
	over = _mm512_bsrli_epi128(t, 4);
	low = _mm512_xor_si512(low, _mm512_bslli_epi128(t, 12));
	t = XOR3(_mm512_srli_epi32(low, 1), _mm512_srli_epi32(low, 2), _mm512_srli_epi32(low, 7));
	return _mm512_xor_si512(high, XOR3(low, t, over));
}

WIDE static inline __m512i multiply(__m512i a, __m512i b)
{
	struct product p = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};

	multiply_add(&p, a, b);
	return reduce(&p);
}

/* powers[0] holds H^16 to H^13, powers[3] H^4 to H^1, the highest in the lowest lane. */
WIDE static void make_powers(__m512i h, __m512i powers[4])
{
	__m512i h2 = multiply(h, h), h3 = multiply(h2, h), h4 = multiply(h2, h2);

	powers[3] = _mm512_mask_blend_epi64(0x03, h, h4);
	powers[3] = _mm512_mask_blend_epi64(0x0c, powers[3], h3);
	powers[3] = _mm512_mask_blend_epi64(0x30, powers[3], h2);
	for (int i = 2; i >= 0; i--)
		powers[i] = multiply(powers[i + 1], h4);
}

WIDE static __m128i fold(__m512i v)
{
	__m256i half = _mm256_xor_si256(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));

	return _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

WIDE void wire_gcm_wide_ghash(void *y, const void *h, const void *data, size_t len)
{
	const __m128i turn1 = _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
	const __m512i turn = _mm512_broadcast_i32x4(turn1);
	const uint8_t *at = data;
	__m512i powers[4];
	__m128i sum;

	if (len >= 2 * WIDE_BYTES) {
		sum = _mm_shuffle_epi8(_mm_loadu_si128(y), turn1);
		make_powers(_mm512_broadcast_i32x4(_mm_shuffle_epi8(_mm_loadu_si128(h), turn1)),
			    powers);
		for (; len >= WIDE_BYTES; len -= WIDE_BYTES, at += WIDE_BYTES) {
			struct product p = {_mm512_setzero_si512(), _mm512_setzero_si512(),
					    _mm512_setzero_si512()};

			for (int i = 0; i < 4; i++) {
				__m512i b =
					_mm512_shuffle_epi8(_mm512_loadu_si512(at + 64 * i), turn);

				if (i == 0)
					b = _mm512_xor_si512(b, _mm512_zextsi128_si512(sum));
				multiply_add(&p, b, powers[i]);
			}
			sum = fold(reduce(&p));
		}
		_mm_storeu_si128(y, _mm_shuffle_epi8(sum, turn1));
	}
	if (len)
		br_ghash_pclmul(y, h, at, len);
}
#endif
