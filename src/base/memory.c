/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See memory.h. */
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/num.h"

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
