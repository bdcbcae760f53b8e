/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fstab(5) as text: each line's fields, and the same text with some first fields replaced and every
 * other byte as it was.
 */
#ifndef PREPARE_PREP_FSTAB_H
#define PREPARE_PREP_FSTAB_H

#include <stddef.h>

#define FSTAB_MAX_BYTES	 ((size_t)1 << 20)
#define FSTAB_FIELD_MAX	 512
#define FSTAB_DEVICE_MAX 256

struct fstab_entry {
	unsigned line;		    /* from 1 */
	char spec[FSTAB_FIELD_MAX]; /* fields with their octal escapes undone */
	char file[FSTAB_FIELD_MAX];
	char type[FSTAB_FIELD_MAX];
	char options[FSTAB_FIELD_MAX];
};

/*
 * Called for each entry. Writing a new first field to fresh (FSTAB_FIELD_MAX bytes) and returning 1
 * replaces it, 0 keeps it, negative ends the rewrite.
 */
typedef int (*fstab_rewrite_fn)(void *ctx, const struct fstab_entry *entry, char *fresh);

/* *out is free()d by the caller; it equals the input when *changed is 0. */
int fstab_rewrite(const char *text, size_t bytes, fstab_rewrite_fn fn, void *ctx, char **out,
		  size_t *out_bytes, unsigned *changed);

enum fstab_ref_kind {
	FSTAB_STAYS,   /* UUID=, LABEL=, /dev/mapper, /dev/VG/LV, /dev/md, a network path, ... */
	FSTAB_BY_NAME, /* /dev/sda1: the order in which a kernel found disks */
	FSTAB_BY_ID,   /* /dev/disk/by-id: the hardware's own name */
	FSTAB_BY_PATH, /* /dev/disk/by-path: where it was plugged in */
};

/* A device that may have another name on the target. */
struct fstab_ref {
	enum fstab_ref_kind kind;
	char disk[FSTAB_DEVICE_MAX]; /* "sda", or the id or path without "-part1" */
	unsigned partition;	     /* 0 for the whole disk */
};

void fstab_ref_parse(const char *spec, struct fstab_ref *out);

#endif
