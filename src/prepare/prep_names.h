/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From device names in the guest's configuration to what stands there now. */
#ifndef PREPARE_PREP_NAMES_H
#define PREPARE_PREP_NAMES_H

#include "plan/plan.h"
#include "prepare/prep_fstab.h"
#include "prepare/prep_guest.h"
#include "prepare/prep_report.h"

/*
 * Says where an ext file system was last mounted, as its superblock has it; "" when it does not.
 * Evidence for which of several partitions an entry means.
 */
typedef void (*names_last_mounted_fn)(void *ctx, const char *part, char *out, size_t out_bytes);

struct names {
	const struct plan *plan;
	names_last_mounted_fn last_mounted;
	void *ctx;
};

enum names_verdict {
	NAMES_FOUND,	 /* by serial number, by its place and type alone, or with evidence */
	NAMES_BY_NAME,	 /* several would fit and the kernel's name decided */
	NAMES_UNKNOWN,	 /* nothing fits */
	NAMES_AMBIGUOUS, /* several fit and nothing tells them apart */
};

/* The content that an fstab entry with a device name means. */
enum names_verdict names_resolve(const struct names *n, const struct fstab_ref *ref,
				 const struct fstab_entry *entry, const struct plan_part **out);

/* Rewrite the guest's /etc/fstab so that no entry goes by device name; see prep_fstab.h. */
int fstab_repair(struct guest *g, const struct names *n, struct prep_report *r);

#endif
