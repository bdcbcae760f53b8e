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

#define COW_PATH_BYTES 32

/*
 * A new RAM disk of size_bytes that takes at most limit_bytes of memory. *path is a loop device in
 * front of it: zram has sectors of 4096 bytes, and on top of that neither a disk of 512 could be
 * mapped nor its file systems be mounted. The loop device lives until it is closed: by the caller,
 * who gets *fd, and by whoever else has it open.
 */
int cow_make(uint64_t size_bytes, uint64_t limit_bytes, char path[COW_PATH_BYTES], int *fd);

/* Which zram is behind the loop device of this number. */
bool cow_below(unsigned major_number, unsigned minor_number, unsigned *zram);

/* Waits a moment for the loop device to go. */
int cow_drop(unsigned zram);

/* Memory taken now, and whether a write has failed for want of it. */
int cow_state(unsigned zram, uint64_t *used_bytes, bool *overflown);

#endif
