/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Space for what is changed in the views: one compressed RAM disk (zram), thin, with a limit on the
 * memory that it takes.
 */
#ifndef PREPARE_PREP_COW_H
#define PREPARE_PREP_COW_H

#include <stdbool.h>
#include <stdint.h>

/* What the views may take of this machine's memory. */
uint64_t cow_limit_by_memory(void);

/* A new RAM disk of size_bytes that takes at most limit_bytes of memory; *number of /dev/zram<n>.
 */
int cow_make(uint64_t size_bytes, uint64_t limit_bytes, unsigned *number);

/* The device with this device number, if it is a zram. */
bool cow_is(unsigned major_number, unsigned minor_number, unsigned *number);

int cow_drop(unsigned number);

/* Memory taken now, and whether a write has failed for want of it. */
int cow_state(unsigned number, uint64_t *used_bytes, bool *overflown);

#endif
