/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How much memory this machine can still give, and memory that is there once it was given. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* What /proc/meminfo calls available; 0 when that cannot be read. */
uint64_t memory_available_bytes(void);

/*
 * Take the pages of this memory now, and not when a machine that is short of them is busy; what
 * stands in it stays. memory_take() is aligned_alloc(4096, bytes) with that.
 */
void memory_populate(void *memory, size_t bytes);
void *memory_take(size_t bytes);

#endif
