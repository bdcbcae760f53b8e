/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See memory.h. */
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/num.h"

#define PAGE_BYTES 4096u

/* Linux 5.14; older headers lack it, and older kernels refuse it. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

uint64_t memory_available_bytes(void)
{
	CLEANUP_FREE char *text = NULL;
	unsigned long long kib;
	const char *line;

	if (io_read_file("/proc/meminfo", 64 * KIB, &text, NULL) < 0)
		return 0;
	line = strstr(text, "MemAvailable:");
	if (!line || sscanf(line, "MemAvailable: %llu kB", &kib) != 1)
		return 0;
	return (uint64_t)kib * KIB;
}

void memory_populate(void *memory, size_t bytes)
{
	size_t before = (uintptr_t)memory % PAGE_BYTES;
	volatile uint8_t *at = memory;

	if (madvise((uint8_t *)memory - before, round_up(bytes + before, PAGE_BYTES),
		    MADV_POPULATE_WRITE) == 0)
		return;
	for (size_t i = 0; i < bytes; i += PAGE_BYTES)
		at[i] = at[i];
}

void *memory_take(size_t bytes)
{
	void *memory = aligned_alloc(PAGE_BYTES, round_up(bytes, PAGE_BYTES));

	if (memory)
		memory_populate(memory, bytes);
	return memory;
}
