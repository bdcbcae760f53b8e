/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An initramfs image of the guest, through the walker, the unpackers and the survey. */
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "base/num.h"
#include "prepare/prep_boot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct memory {
	const uint8_t *data;
	size_t bytes;
};

static int64_t read_memory(void *ctx, uint64_t offset_bytes, void *buf, size_t bytes)
{
	const struct memory *m = ctx;
	size_t n = offset_bytes >= m->bytes ? 0 : min_of(bytes, m->bytes - (size_t)offset_bytes);

	if (n)
		memcpy(buf, m->data + offset_bytes, n);
	return (int64_t)n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct memory m = {.data = data, .bytes = size};
	struct initrd_input input = {.read = read_memory, .ctx = &m, .name = "image"};
	struct arena *a = arena_new();
	struct boot_survey survey;

	boot_survey(a, &input, "6.1", &survey);
	arena_free(a);
	return 0;
}
