/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checked arithmetic on lengths, rounding, and the units that sizes are counted in. */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define TIB ((uint64_t)1 << 40)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define min_of(a, b)                               \
	({                                         \
		typeof(a) min_a_ = (a);            \
		typeof(b) min_b_ = (b);            \
		min_a_ < min_b_ ? min_a_ : min_b_; \
	})
#define max_of(a, b)                               \
	({                                         \
		typeof(a) max_a_ = (a);            \
		typeof(b) max_b_ = (b);            \
		max_a_ > max_b_ ? max_a_ : max_b_; \
	})

/* False when the result does not fit; *out is then unspecified. */
static inline bool add_ok(uint64_t a, uint64_t b, uint64_t *out)
{
	return !__builtin_add_overflow(a, b, out);
}

static inline bool mul_ok(uint64_t a, uint64_t b, uint64_t *out)
{
	return !__builtin_mul_overflow(a, b, out);
}

/* True when [offset, offset + length) lies in [0, limit). */
static inline bool range_ok(uint64_t offset, uint64_t length, uint64_t limit)
{
	return length <= limit && offset <= limit - length;
}

/* unit is a power of two. Rounding up saturates at the largest multiple that fits. */
static inline uint64_t round_down(uint64_t n, uint64_t unit)
{
	return n & ~(unit - 1);
}

static inline uint64_t round_up(uint64_t n, uint64_t unit)
{
	return n > UINT64_MAX - (unit - 1) ? round_down(UINT64_MAX, unit)
					   : round_down(n + unit - 1, unit);
}

static inline uint64_t div_up(uint64_t n, uint64_t d)
{
	return n / d + (n % d != 0);
}

/* Decimal number, whole string, within [min, max]. -EINVAL or -ERANGE without a reason text. */
int num_parse(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/* "12.3 GiB" and the like into buf; returns buf. */
const char *num_bytes_text(uint64_t bytes, char *buf, size_t buf_bytes);

/* Lower-case hex of data into out, which holds 2 * data_bytes + 1. */
void hex_encode(const void *data, size_t data_bytes, char *out);

/* Exactly out_bytes of hex, whole string. -EINVAL otherwise. */
int hex_decode(const char *text, void *out, size_t out_bytes);

#endif
