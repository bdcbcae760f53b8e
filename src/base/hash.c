/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SHA-256; see hash.h. */
#include "base/hash.h"

#include <bearssl.h>
#include <cpuid.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/hash_sha_ni.h"
#include "base/num.h"

#define BLOCK_BYTES 64

/*
 * Intel's manual, CPUID leaf 7; not every compiler's own check knows this one. Remembered, as the
 * instruction is slow where the machine is a virtual one.
 */
bool hash_sha256_is_fast(void)
{
	static atomic_int answer; /* 0: not asked yet */
	unsigned a, b, c, d;
	bool fast;

	if (atomic_load_explicit(&answer, memory_order_relaxed))
		return atomic_load_explicit(&answer, memory_order_relaxed) == 1;
	fast = __builtin_cpu_supports("sse4.1") && __get_cpuid_count(7, 0, &a, &b, &c, &d) &&
	       b & 1u << 29;
	atomic_store_explicit(&answer, fast ? 1 : 2, memory_order_relaxed);
	return fast;
}

/* What was taken in so far, less than a block of it not yet worked off. */
struct sha_ni {
	uint32_t state[8];
	uint64_t bytes;
	uint8_t rest[2 * BLOCK_BYTES]; /* the padding may take it over one block */
	size_t rest_bytes;
};

static void take_part(struct sha_ni *h, const uint8_t *data, size_t bytes)
{
	h->bytes += bytes;
	if (h->rest_bytes) {
		size_t n = min_of(bytes, BLOCK_BYTES - h->rest_bytes);

		memcpy(h->rest + h->rest_bytes, data, n);
		h->rest_bytes += n;
		data += n;
		bytes -= n;
		if (h->rest_bytes < BLOCK_BYTES)
			return;
		hash_sha_ni_blocks(h->state, h->rest, 1);
		h->rest_bytes = 0;
	}
	hash_sha_ni_blocks(h->state, data, bytes / BLOCK_BYTES);
	h->rest_bytes = bytes % BLOCK_BYTES;
	if (h->rest_bytes)
		memcpy(h->rest, data + bytes - h->rest_bytes, h->rest_bytes);
}

/* Section 5.1.1: a one, zeros, and the length in bits. */
static void finish(struct sha_ni *h, uint8_t out[HASH_SHA256_BYTES])
{
	size_t blocks = h->rest_bytes < BLOCK_BYTES - 8 ? 1 : 2;
	struct writer length = writer_of(h->rest + blocks * BLOCK_BYTES - 8, 8);
	struct writer w = writer_of(out, HASH_SHA256_BYTES);

	memset(h->rest + h->rest_bytes, 0, sizeof(h->rest) - h->rest_bytes);
	h->rest[h->rest_bytes] = 0x80;
	writer_be(&length, h->bytes * 8, 8);
	hash_sha_ni_blocks(h->state, h->rest, blocks);
	for (size_t i = 0; i < ARRAY_SIZE(h->state); i++)
		writer_be(&w, h->state[i], 4);
}

void hash_sha256_soft(const struct iovec *parts, size_t count, uint8_t out[HASH_SHA256_BYTES])
{
	br_sha256_context c;

	br_sha256_init(&c);
	for (size_t i = 0; i < count; i++)
		br_sha256_update(&c, parts[i].iov_base, parts[i].iov_len);
	br_sha256_out(&c, out);
}

void hash_sha256_parts(const struct iovec *parts, size_t count, uint8_t out[HASH_SHA256_BYTES])
{
	/* Section 5.3.3 */
	struct sha_ni h = {.state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
				     0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};

	if (!hash_sha256_is_fast()) {
		hash_sha256_soft(parts, count, out);
		return;
	}
	for (size_t i = 0; i < count; i++)
		if (parts[i].iov_len)
			take_part(&h, parts[i].iov_base, parts[i].iov_len);
	finish(&h, out);
}

void hash_sha256(const void *data, size_t bytes, uint8_t out[HASH_SHA256_BYTES])
{
	const struct iovec part = {.iov_base = (void *)data, .iov_len = bytes};

	hash_sha256_parts(&part, 1, out);
}

void hash_sha256_hex(const void *data, size_t bytes, char out[HASH_SHA256_HEX_BYTES])
{
	uint8_t sum[HASH_SHA256_BYTES];

	hash_sha256(data, bytes, sum);
	hex_encode(sum, sizeof(sum), out);
}

void hash_md5_hex(const void *data, size_t bytes, char out[HASH_MD5_HEX_BYTES])
{
	static const char digits[] = "0123456789ABCDEF";
	uint8_t sum[br_md5_SIZE];
	br_md5_context md5;

	br_md5_init(&md5);
	br_md5_update(&md5, data, bytes);
	br_md5_out(&md5, sum);
	for (size_t i = 0; i < sizeof(sum); i++) {
		out[2 * i] = digits[sum[i] >> 4];
		out[2 * i + 1] = digits[sum[i] & 15];
	}
	out[2 * sizeof(sum)] = '\0';
}

int hash_sha256_fd(int fd, const char *name, uint8_t out[HASH_SHA256_BYTES])
{
	br_sha256_context c;
	uint8_t buf[16384];
	ssize_t n;

	br_sha256_init(&c);
	while ((n = read(fd, buf, sizeof(buf))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(errno, "read %s", name);
		br_sha256_update(&c, buf, (size_t)n);
	}
	br_sha256_out(&c, out);
	return 0;
}
