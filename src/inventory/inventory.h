/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inventory: what machine this is -> inventory.json. Reads sysfs, procfs and the disks, read-only;
 * starts nothing, mounts nothing, assembles nothing. What cannot be read is said in "problems", by
 * code and object, and does not stop the rest: the plan decides. The same machine gives the same
 * bytes. One thread.
 */
#ifndef INVENTORY_INVENTORY_H
#define INVENTORY_INVENTORY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

/* A file or device that stands for a disk of the machine. */
struct inventory_disk {
	const char *name; /* "sda" */
	const char *path;
	unsigned sector_bytes; /* 0: 512 */
};

struct inventory_options {
	const char *root; /* in front of /sys, /proc, /dev; NULL for none */
	const struct inventory_disk
		*disks; /* instead of those in /sys/block, when count is not 0 */
	size_t disk_count;
	const char *const *ignore; /* kernel names of disks that are not the source's */
	size_t ignore_count;
	bool sample; /* read some blocks to estimate how well the contents compress */
};

/* The volume label of our ISO: a disk that carries it is the boot medium, not a part of the source.
 */
#define INVENTORY_MEDIUM_LABEL "COLDLIFT"

/* *out is the caller's. */
int inventory_make(const struct inventory_options *options, json_t **out);

/* Serial number of a disk of this machine by the kernel's name, as the inventory has it; NULL when
 * it tells none. */
const char *inventory_serial(struct arena *a, const char *name);

/*
 * ---- inside the guest: plain files below dir, where its root file system and what its fstab names
 * are mounted read-only. Links of the guest never lead out of dir. Its code is not run. ----
 */

/* Whether dir holds a Linux root file system: an os-release or a distribution's own file, and an
 * init. */
bool inventory_is_root(const char *dir);

/* One line of an fstab. */
struct inventory_fstab {
	const char *spec;
	const char *mountpoint;
	const char *type;
	const char *options;
};

/* The entries of dir's /etc/fstab, in its order; none when there is no such file. */
int inventory_read_fstab(struct arena *a, const char *dir, struct inventory_fstab **list,
			 size_t *count);

/* The entries of fstab text. Lines that are no entries are left out, as mount(8) does. */
void inventory_parse_fstab(struct arena *a, const char *text, struct inventory_fstab **list,
			   size_t *count);

/*
 * OS release, kernels with the drivers that they have as modules or built in, initramfs images,
 * boot loader, fstab. Called once with the root alone or, better, with /boot and the rest mounted
 * too.
 */
int inventory_guest(const char *dir, json_t **out);

/*
 * Which partition ("sda3"), whole disk ("sdb") or volume ("vg0/root") of the inventory an fstab or
 * command line reference means: UUID=, LABEL=, PARTUUID=, PARTLABEL= (also as links below
 * /dev/disk), a mapper name, /dev/VG/LV, /dev/sda1. NULL when none does. Borrowed from the
 * inventory or the arena.
 */
const char *inventory_resolve(struct arena *a, const json_t *inventory, const char *spec);

/*
 * Put the guest (its reference is taken over) into the inventory, as found on root_device, and
 * resolve its fstab.
 */
int inventory_set_guest(json_t *inventory, const char *root_device, json_t *guest);

/*
 * Where a root file system may be: partitions, whole disks and volumes with a mountable content,
 * the likeliest first. *list is in the arena.
 */
struct inventory_candidate {
	const char *device; /* "sda3", "vg0/root" */
	const char *fs_type;
};
int inventory_candidates(struct arena *a, const json_t *inventory,
			 struct inventory_candidate **list, size_t *count);

#endif
