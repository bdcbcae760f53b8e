/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AES-GCM on vectors of 512 bits: four blocks an instruction, thirty-two in flight, encrypted and
 * hashed in one pass. GHASH has its bits the other way round, so a product is one bit short of what
 * carry-less multiplication gives: shift by one, then reduce (Gueron and Kounavis, "Intel
 * Carry-Less Multiplication Instruction and its Usage for Computing the GCM Mode", 2010, algorithm
 * 5). Thirty-two blocks are multiplied by as many powers of H and reduced together.
 */
#include "wire/wire_gcm.h"

#ifdef __x86_64__
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "base/num.h"

#define WIDE	    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,vaes,vpclmulqdq")))
#define VECTOR	    ((size_t)64)
#define VECTORS	    8
#define STEP	    (VECTOR * VECTORS)
#define BLOCK	    ((size_t)16)
#define STEP_BLOCKS (STEP / BLOCK)
#define ROUNDS_MAX  14

/* Loops over the vectors of a step are unrolled: else gcc keeps these in memory. */
_Static_assert(STEP == GCM_POWERS_BYTES, "as many powers of H as blocks a step");

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

/* Nonce and counter of the next four blocks, the counters in the CPU's order of bytes. */
WIDE static __m512i first_counters(const uint8_t nonce[WIRE_GCM_NONCE_BYTES], uint32_t counter)
{
	uint32_t n[3];
	__m512i four;

	memcpy(n, nonce, sizeof(n));
	four = _mm512_broadcast_i32x4(_mm_set_epi32((int)counter, (int)n[2], (int)n[1], (int)n[0]));
	return _mm512_add_epi32(four,
				_mm512_set_epi32(3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0));
}

/* What the next 512 bytes are to be combined with. */
WIDE static inline __m512i next_pads(const struct schedule *s, __m512i counters,
				     __m512i pads[VECTORS])
{
	const __m512i big_endian = _mm512_broadcast_i32x4(
		_mm_set_epi8(12, 13, 14, 15, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
	const __m512i four = _mm512_broadcast_i32x4(_mm_set_epi32(4, 0, 0, 0));

#pragma GCC unroll 8
	for (int i = 0; i < VECTORS; i++) {
		pads[i] = _mm512_xor_si512(_mm512_shuffle_epi8(counters, big_endian), s->key[0]);
		counters = _mm512_add_epi32(counters, four);
	}
	for (unsigned r = 1; r < s->rounds; r++) {
		__m512i key = s->key[r];

#pragma GCC unroll 8
		for (int i = 0; i < VECTORS; i++)
			pads[i] = _mm512_aesenc_epi128(pads[i], key);
	}
#pragma GCC unroll 8
	for (int i = 0; i < VECTORS; i++)
		pads[i] = _mm512_aesenclast_epi128(pads[i], s->key[s->rounds]);
	return counters;
}

/* ---- GHASH ---- */

/* Products of 256 bits, four in a vector each, not yet shifted and reduced. */
struct product {
	__m512i low, middle, high;
};

#define XOR3(a, b, c) _mm512_ternarylogic_epi64(a, b, c, 0x96)

WIDE static inline void multiply_add(struct product *p, __m512i a, __m512i b)
{
	p->low = _mm512_xor_si512(p->low, _mm512_clmulepi64_epi128(a, b, 0x00));
	p->middle = XOR3(p->middle, _mm512_clmulepi64_epi128(a, b, 0x01),
			 _mm512_clmulepi64_epi128(a, b, 0x10));
	p->high = _mm512_xor_si512(p->high, _mm512_clmulepi64_epi128(a, b, 0x11));
}

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

WIDE static inline struct product no_product(void)
{
	return (struct product){_mm512_setzero_si512(), _mm512_setzero_si512(),
				_mm512_setzero_si512()};
}

WIDE static inline __m512i multiply(__m512i a, __m512i b)
{
	struct product p = no_product();

	multiply_add(&p, a, b);
	return reduce(&p);
}

WIDE static inline __m512i turn(__m512i v)
{
	return _mm512_shuffle_epi8(v,
				   _mm512_broadcast_i32x4(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
								       10, 11, 12, 13, 14, 15)));
}

/* The sum of the four lanes, in the lowest; the others are zero. */
WIDE static inline __m512i fold(__m512i v)
{
	__m256i half = _mm256_xor_si256(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));

	return _mm512_zextsi128_si512(
		_mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1)));
}

/* Add one block of at most 16 bytes to the sum. */
WIDE static inline __m512i hash_block(const struct wire_gcm *g, __m512i sum, const uint8_t *data,
				      size_t bytes)
{
	__m512i h = _mm512_zextsi128_si512(
		_mm_loadu_si128((const __m128i *)(g->powers + GCM_POWERS_BYTES - BLOCK)));
	__m512i block = _mm512_maskz_loadu_epi8((1ull << bytes) - 1, data);

	return multiply(_mm512_xor_si512(turn(block), sum), h);
}

WIDE void wire_gcm_wide_init(struct wire_gcm *g)
{
	__m512i h, power;

	memset(g->powers, 0, sizeof(g->powers));
	h = turn(_mm512_zextsi128_si512(_mm_loadu_si128((const __m128i *)g->h)));
	power = h;
	for (size_t i = 1; i <= STEP_BLOCKS; i++) {
		_mm_storeu_si128((__m128i *)(g->powers + GCM_POWERS_BYTES - i * BLOCK),
				 _mm512_castsi512_si128(power));
		power = multiply(power, h);
	}
}

/* ---- both in one pass ---- */

/* 512 bytes. */
WIDE static inline __m512i whole_step(const __m512i pads[VECTORS], const uint8_t *powers,
				      const uint8_t *from, uint8_t *to, bool opening, __m512i sum)
{
	struct product p = no_product();

#pragma GCC unroll 8
	for (size_t i = 0; i < VECTORS; i++) {
		__m512i in = _mm512_loadu_si512(from + VECTOR * i);
		__m512i out = _mm512_xor_si512(pads[i], in);
		__m512i block = turn(opening ? in : out);

		_mm512_storeu_si512(to + VECTOR * i, out);
		if (i == 0)
			block = _mm512_xor_si512(block, sum);
		multiply_add(&p, block, _mm512_loadu_si512(powers + VECTOR * i));
	}
	return fold(reduce(&p));
}

/* Fewer. Lanes behind the end are zero, and so are their products. */
WIDE static inline __m512i last_step(const __m512i pads[VECTORS], const uint8_t *powers,
				     const uint8_t *from, uint8_t *to, size_t bytes, bool opening,
				     __m512i sum)
{
	struct product p = no_product();

	powers += GCM_POWERS_BYTES - div_up(bytes, BLOCK) * BLOCK;
	for (size_t i = 0; VECTOR * i < bytes; i++) {
		size_t left = bytes - VECTOR * i;
		__mmask64 mask = left >= VECTOR ? ~0ull : (1ull << left) - 1;
		__m512i in = _mm512_maskz_loadu_epi8(mask, from + VECTOR * i);
		__m512i out = _mm512_maskz_mov_epi8(mask, _mm512_xor_si512(pads[i], in));
		__m512i block = turn(opening ? in : out);

		_mm512_mask_storeu_epi8(to + VECTOR * i, mask, out);
		if (i == 0)
			block = _mm512_xor_si512(block, sum);
		multiply_add(&p, block, _mm512_loadu_si512(powers + VECTOR * i));
	}
	return fold(reduce(&p));
}

WIDE void wire_gcm_wide_run(const struct wire_gcm *g, const struct wire_gcm_head *head,
			    const uint8_t *from, uint8_t *to, size_t bytes, bool opening,
			    uint8_t tag[WIRE_GCM_TAG_BYTES])
{
	uint64_t lengths[2] = {__builtin_bswap64(head->bytes * 8), __builtin_bswap64(bytes * 8)};
	__m512i counters = first_counters(head->nonce, 2), sum = _mm512_setzero_si512();
	__m512i pads[VECTORS];
	struct schedule s;
	size_t done = 0;

	spread_keys(&g->keys, &s);
	if (head->bytes)
		sum = hash_block(g, sum, head->data, head->bytes);
	for (; bytes - done >= STEP; done += STEP) {
		counters = next_pads(&s, counters, pads);
		sum = whole_step(pads, g->powers, from + done, to + done, opening, sum);
	}
	if (done < bytes) {
		next_pads(&s, counters, pads);
		sum = last_step(pads, g->powers, from + done, to + done, bytes - done, opening,
				sum);
	}
	sum = turn(hash_block(g, sum, (const uint8_t *)lengths, sizeof(lengths)));
	_mm_storeu_si128((__m128i *)tag, _mm512_castsi512_si128(sum));
	br_aes_x86ni_ctr_run(&g->keys, head->nonce, 1, tag, WIRE_GCM_TAG_BYTES);
}
#endif
