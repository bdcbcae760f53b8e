/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SHA-256; see hash.h. */
#include "base/hash.h"

#include <bearssl.h>
#include <errno.h>
#include <unistd.h>

#include "base/err.h"
#include "base/num.h"

void hash_sha256(const void *data, size_t bytes, uint8_t out[HASH_SHA256_BYTES])
{
	br_sha256_context c;

	br_sha256_init(&c);
	br_sha256_update(&c, data, bytes);
	br_sha256_out(&c, out);
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
