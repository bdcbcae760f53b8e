/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small disk images in memory for tests of what reads disks. Little-endian fields by hand. */
#ifndef UNIT_IMAGE_H
#define UNIT_IMAGE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct image {
	uint8_t *data;
	size_t bytes;
};

static inline struct image image_new(size_t bytes)
{
	return (struct image){.data = calloc(1, bytes), .bytes = bytes};
}

static inline void image_free(struct image *i)
{
	free(i->data);
}

#define CLEANUP_IMAGE CLEANUP(image_free)

/* The first n bytes as an open file; close() it. */
static inline int image_open(const struct image *i, size_t n)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, i->data, n), (ssize_t)n);
	return fd;
}

static inline void put_le(uint8_t *at, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		at[i] = (uint8_t)(v >> 8 * i);
}

/* Bit by bit, so that it owes nothing to the code under test. */
static inline uint32_t plain_crc(uint32_t crc, const void *data, size_t n)
{
	const uint8_t *p = data;

	for (; n; n--) {
		crc ^= *p++;
		for (int b = 0; b < 8; b++)
			crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
	}
	return crc;
}

#endif
