/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What one core can do at most of each thing that a copy does, with the very code that the copy
 * uses: read a file, write it, seal it in TLS records, digest it, compress it. One JSON object.
 *
 *   bench-limits DISK FOLDER
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "wire/wire.h"
#include "wire/wire_gcm.h"

#define PART_BYTES   ((size_t)1 << 20)
#define SAMPLE_BYTES ((size_t)256 << 20)
#define RECORD_BYTES ((size_t)16384)

struct sample {
	uint8_t *data;
	size_t bytes;
};

static double rate(size_t bytes, uint64_t start_us)
{
	return (double)bytes / (double)(clock_us() - start_us) / 1e3; /* GB/s */
}

/* The data of the disk's middle: parts that hold something. */
static int take_sample(const char *path, struct sample *s, double *read_rate)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t at = 0;
	uint64_t start_us;
	size_t read_bytes = 0;

	s->data = malloc(SAMPLE_BYTES);
	if (fd < 0 || !s->data)
		return -1;
	memset(s->data, 1, SAMPLE_BYTES);
	start_us = clock_us();
	while (s->bytes + PART_BYTES <= SAMPLE_BYTES) {
		uint8_t bitmap[WIRE_BITMAP_BYTES];
		ssize_t n;

		at = lseek(fd, at, SEEK_DATA);
		n = at < 0 ? 0 : pread(fd, s->data + s->bytes, PART_BYTES, at);
		if (n <= 0)
			break;
		at += n;
		read_bytes += (size_t)n;
		if (wire_chunk_scan(s->data + s->bytes, (size_t)n, bitmap) == (size_t)n)
			s->bytes += (size_t)n;
	}
	*read_rate = rate(read_bytes, start_us);
	close(fd);
	return s->bytes ? 0 : -1;
}

static double write_rate(const struct sample *s, const char *folder)
{
	char path[4096];
	uint64_t start_us;
	double result = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/limits.tmp", folder);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return 0;
	start_us = clock_us();
	for (size_t at = 0; at < s->bytes; at += PART_BYTES)
		if (pwrite(fd, s->data + at, PART_BYTES, (off_t)at) != (ssize_t)PART_BYTES)
			goto out;
	if (fdatasync(fd) == 0)
		result = rate(s->bytes, start_us);
out:
	close(fd);
	unlink(path);
	return result;
}

static double cipher_rate(const struct sample *s)
{
	static const uint8_t key[16];
	uint8_t record[RECORD_BYTES], tag[WIRE_GCM_TAG_BYTES];
	uint64_t start_us = clock_us();
	struct wire_gcm gcm;

	wire_gcm_init(&gcm, key, sizeof(key), wire_gcm_is_wide());
	for (size_t at = 0; at < s->bytes; at += RECORD_BYTES) {
		const struct wire_gcm_head head = {.bytes = 13};

		wire_gcm_seal(&gcm, &head, s->data + at, record, RECORD_BYTES, tag);
	}
	return rate(s->bytes, start_us);
}

static double digest_rate(const struct sample *s)
{
	uint64_t start_us = clock_us();
	uint8_t digest[WIRE_DIGEST_MAX];

	for (size_t at = 0; at < s->bytes; at += PART_BYTES)
		wire_digest(s->data + at, PART_BYTES, digest);
	return rate(s->bytes, start_us);
}

static double sha256_rate(const struct sample *s,
			  void (*hash)(const struct iovec *, size_t, uint8_t *))
{
	uint64_t start_us = clock_us();
	uint8_t digest[HASH_SHA256_BYTES];

	for (size_t at = 0; at < s->bytes; at += PART_BYTES) {
		const struct iovec part = {.iov_base = s->data + at, .iov_len = PART_BYTES};

		hash(&part, 1, digest);
	}
	return rate(s->bytes, start_us);
}

static double zstd_rate(const struct sample *s, int level)
{
	size_t room = ZSTD_compressBound(PART_BYTES);
	uint8_t *out = malloc(room);
	ZSTD_CCtx *context = ZSTD_createCCtx();
	uint64_t start_us = clock_us();

	for (size_t at = 0; out && context && at < s->bytes; at += PART_BYTES)
		ZSTD_compressCCtx(context, out, room, s->data + at, PART_BYTES, level);
	ZSTD_freeCCtx(context);
	free(out);
	return rate(s->bytes, start_us);
}

int main(int argc, char **argv)
{
	struct sample s = {0};
	double read_rate;

	if (argc != 3 || take_sample(argv[1], &s, &read_rate) < 0) {
		fprintf(stderr, "usage: bench-limits DISK FOLDER\n");
		return 2;
	}
	printf("{\"read\": %.3f, \"write\": %.3f, \"cipher\": %.3f, \"xxh3\": %.3f, "
	       "\"sha256\": %.3f, \"sha256_soft\": %.3f, \"zstd1\": %.3f, \"zstd3\": %.3f}\n",
	       read_rate, write_rate(&s, argv[2]), cipher_rate(&s), digest_rate(&s),
	       sha256_rate(&s, hash_sha256_parts), sha256_rate(&s, hash_sha256_soft),
	       zstd_rate(&s, 1), zstd_rate(&s, 3));
	free(s.data);
	return 0;
}
