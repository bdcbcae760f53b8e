/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How much memory this machine can still give. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stdint.h>

/* What /proc/meminfo calls available; 0 when that cannot be read. */
uint64_t memory_available_bytes(void);

#endif
