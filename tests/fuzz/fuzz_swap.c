/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Swap spaces: the superblock reader's idea of one (is it suspended?), and giving a suspended
 * system up, which must not touch a byte outside of the signature.
 */
#include "prepare/prep_swap.c"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "disk/probe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define IMAGE_BYTES (3 * PAGE_BYTES)

/* The fuzzer's bytes are the header's end, where the marks are, then what comes before it. */
static void lay_out(const uint8_t *data, size_t size, uint8_t image[IMAGE_BYTES])
{
	size_t marks = min_of(size, (size_t)2 * SIGNATURE_BYTES);

	memset(image, 0, IMAGE_BYTES);
	if (marks)
		memcpy(image + SIGNATURE_AT - SIGNATURE_BYTES, data, marks);
	if (size > marks)
		memcpy(image + 1024, data + marks, min_of(size - marks, (size_t)512));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_CLOSE int fd = memfd_create("swap", MFD_CLOEXEC);
	static uint8_t before[IMAGE_BYTES], after[IMAGE_BYTES];
	struct disk_piece piece = {.fd = fd, .length_bytes = IMAGE_BYTES};
	struct probe_source s = {
		.pieces = &piece, .count = 1, .name = "fuzz", .length_bytes = IMAGE_BYTES};
	struct disk_fs fs = {0};
	int rc;

	lay_out(data, size, before);
	if (write(fd, before, IMAGE_BYTES) != IMAGE_BYTES)
		return 0;
	(void)super_swap(a, &s, &fs);
	rc = give_up(fd, "fuzz");
	assert(rc == 0 || rc == 1);
	assert(pread(fd, after, IMAGE_BYTES, 0) == IMAGE_BYTES);
	assert(memcmp(before, after, SIGNATURE_AT) == 0);
	assert(memcmp(before + PAGE_BYTES, after + PAGE_BYTES, IMAGE_BYTES - PAGE_BYTES) == 0);
	assert(rc == 1 || memcmp(before, after, PAGE_BYTES) == 0);
	/* What was given up is swap again, and stays so. */
	assert(rc == 0 || is_swap((const char *)after + SIGNATURE_AT));
	assert(give_up(fd, "fuzz") == 0);
	return 0;
}
