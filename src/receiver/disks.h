/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The disks that a receiver offers: its devices, or files that a plan makes. Of a plan it reads the
 * target sizes and nothing else. Disks are only ever added. Private to receiver. Any thread.
 */
#ifndef RECEIVER_DISKS_H
#define RECEIVER_DISKS_H

#include <jansson.h>

#include "receiver/store.h"

#define DISKS_MAX      32
#define DISK_MAX_BYTES ((uint64_t)64 << 40) /* and of all disks of a plan together */

struct disks;

struct disks_options {
	struct vault *vault; /* has them and their journals */
	size_t device_count; /* 0: files */
	uint64_t commit_ms;
};

int disks_open(const struct disks_options *o, struct disks **out);
void disks_close(struct disks *d);

/*
 * Make or check the disks of a plan: disks[] with index and target_bytes. Everything is checked
 * before anything is made. Codes: PLAN_BAD, TARGET_TOO_SMALL, TARGET_SIZE_DIFFERS, TARGET_FULL.
 */
int disks_apply_plan(struct disks *d, const json_t *plan);

/* NULL when there is none. Stays valid until disks_close(). */
struct store *disks_get(struct disks *d, unsigned index);

/* A source is connected that writes to one of them. */
bool disks_have_source(struct disks *d);

bool disks_are_files(const struct disks *d);

/* Free space for files; for devices 0. */
uint64_t disks_free_bytes(const struct disks *d);

#endif
