/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CRC-64/XZ, eight bytes a step; see crc64.h. */
#include "base/crc64.h"

#include <endian.h>
#include <pthread.h>
#include <string.h>

#define POLYNOMIAL 0xc96c5795d7870f42u

static uint64_t table[8][256]; /* constant once it is made */
static pthread_once_t table_made = PTHREAD_ONCE_INIT;

static void make_table(void)
{
	for (unsigned i = 0; i < 256; i++) {
		table[0][i] = i;
		for (unsigned bit = 0; bit < 8; bit++)
			table[0][i] = table[0][i] >> 1 ^ (table[0][i] & 1 ? POLYNOMIAL : 0);
	}
	for (unsigned k = 1; k < 8; k++)
		for (unsigned i = 0; i < 256; i++)
			table[k][i] = table[0][table[k - 1][i] & 0xff] ^ table[k - 1][i] >> 8;
}

uint64_t crc64(uint64_t crc, const void *data, size_t bytes)
{
	const uint8_t *p = data;

	pthread_once(&table_made, make_table);
	crc = ~crc;
	for (; bytes >= 8; bytes -= 8, p += 8) {
		uint64_t word;

		memcpy(&word, p, sizeof(word));
		crc ^= le64toh(word);
		crc = table[7][crc & 0xff] ^ table[6][crc >> 8 & 0xff] ^
		      table[5][crc >> 16 & 0xff] ^ table[4][crc >> 24 & 0xff] ^
		      table[3][crc >> 32 & 0xff] ^ table[2][crc >> 40 & 0xff] ^
		      table[1][crc >> 48 & 0xff] ^ table[0][crc >> 56];
	}
	for (; bytes > 0; bytes--)
		crc = table[0][(crc ^ *p++) & 0xff] ^ crc >> 8;
	return ~crc;
}

/* A linear map over bits, as the images of the single bits. */
struct map {
	uint64_t of[64];
};

static uint64_t apply(const struct map *m, uint64_t bits)
{
	uint64_t out = 0;

	for (unsigned i = 0; bits; i++, bits >>= 1)
		out ^= bits & 1 ? m->of[i] : 0;
	return out;
}

static struct map twice(const struct map *m)
{
	struct map out;

	for (unsigned i = 0; i < 64; i++)
		out.of[i] = apply(m, m->of[i]);
	return out;
}

/* What second_bytes of zeros do to a sum, by repeated squaring of what one zero bit does. */
uint64_t crc64_join(uint64_t first, uint64_t second, uint64_t second_bytes)
{
	struct map zeros = {.of = {POLYNOMIAL}};

	for (unsigned i = 1; i < 64; i++)
		zeros.of[i] = (uint64_t)1 << (i - 1);
	for (unsigned i = 0; i < 3; i++)
		zeros = twice(&zeros); /* of a byte */
	for (; second_bytes; second_bytes >>= 1, zeros = twice(&zeros))
		if (second_bytes & 1)
			first = apply(&zeros, first);
	return first ^ second;
}
