/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Private to disk: from LVM's metadata text to the structs of disk.h. */
#ifndef DISK_LVM_H
#define DISK_LVM_H

#include "disk/disk.h"

#define LVM_SECTOR_BYTES 512
#define LVM_UUID_CHARS	 32

/* The reason of metadata that cannot be followed: -EINVAL, LVM_INVALID. */
int lvm_invalid(const char *name, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* NAME of the PV is for the reason. */
int lvm_vg_parse(struct arena *a, const char *text, size_t bytes, const char *name,
		 struct disk_lvm_vg **out);

#endif
