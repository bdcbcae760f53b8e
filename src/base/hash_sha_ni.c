/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SHA-256 (FIPS 180-4, section 6.2.2) with the SHA extensions of x86. An instruction does two
 * rounds, and wants the eight working variables as two vectors: a b e f, and c d g h.
 */
#include "base/hash_sha_ni.h"

#include <immintrin.h>

#define NI     __attribute__((target("sha,sse4.1")))
#define INLINE NI __attribute__((always_inline)) static inline

/* FIPS 180-4, section 4.2.2 */
static const uint32_t constants[64] __attribute__((aligned(16))) = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
	0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
	0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
	0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
	0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
	0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
	0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
	0xc67178f2};

struct working {
	__m128i abef, cdgh;
};

/* Four rounds with four words of the message schedule. */
INLINE void four_rounds(struct working *v, __m128i words, const uint32_t *k)
{
	__m128i sum = _mm_add_epi32(words, _mm_load_si128((const __m128i *)k));

	v->cdgh = _mm_sha256rnds2_epu32(v->cdgh, v->abef, sum);
	v->abef = _mm_sha256rnds2_epu32(v->abef, v->cdgh, _mm_shuffle_epi32(sum, 0x0e));
}

/* The four words of the schedule that follow the sixteen in a, b, c, d. */
INLINE __m128i next_words(__m128i a, __m128i b, __m128i c, __m128i d)
{
	__m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(a, b), _mm_alignr_epi8(d, c, 4));

	return _mm_sha256msg2_epu32(sum, d);
}

INLINE __m128i big_endian(const uint8_t *data)
{
	const __m128i order = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);

	return _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)data), order);
}

INLINE void one_block(struct working *v, const uint8_t *data)
{
	__m128i a = big_endian(data), b = big_endian(data + 16), c = big_endian(data + 32),
		d = big_endian(data + 48);
	const struct working before = *v;

	for (unsigned round = 0;; round += 16) {
		four_rounds(v, a, constants + round);
		four_rounds(v, b, constants + round + 4);
		four_rounds(v, c, constants + round + 8);
		four_rounds(v, d, constants + round + 12);
		if (round == 48)
			break;
		a = next_words(a, b, c, d);
		b = next_words(b, c, d, a);
		c = next_words(c, d, a, b);
		d = next_words(d, a, b, c);
	}
	v->abef = _mm_add_epi32(v->abef, before.abef);
	v->cdgh = _mm_add_epi32(v->cdgh, before.cdgh);
}

NI void hash_sha_ni_blocks(uint32_t state[8], const uint8_t *data, size_t blocks)
{
	struct working v = {
		.abef = _mm_set_epi32((int)state[0], (int)state[1], (int)state[4], (int)state[5]),
		.cdgh = _mm_set_epi32((int)state[2], (int)state[3], (int)state[6], (int)state[7])};
	uint32_t abef[4], cdgh[4];

	for (; blocks > 0; blocks--, data += 64)
		one_block(&v, data);
	_mm_storeu_si128((__m128i *)abef, v.abef);
	_mm_storeu_si128((__m128i *)cdgh, v.cdgh);
	state[0] = abef[3], state[1] = abef[2], state[4] = abef[1], state[5] = abef[0];
	state[2] = cdgh[3], state[3] = cdgh[2], state[6] = cdgh[1], state[7] = cdgh[0];
}
