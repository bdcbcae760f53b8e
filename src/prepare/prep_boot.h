/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Repair of what a guest boots with: every bootable kernel gets the drivers of the target (virtio,
 * NVMe) into its initramfs, from the guest's own /lib/modules, as one more cpio segment.
 */
#ifndef PREPARE_PREP_BOOT_H
#define PREPARE_PREP_BOOT_H

#include "prepare/prep_guest.h"
#include "prepare/prep_initrd.h"
#include "prepare/prep_modules.h"
#include "prepare/prep_report.h"

#define BOOT_IMAGES_MAX 4

struct boot_kernel {
	const char *version;
	const char *path;		     /* of the kernel in the guest */
	const char *images[BOOT_IMAGES_MAX]; /* its initramfs images */
	size_t image_count;
};

struct boot_kernels {
	struct boot_kernel *list;
	size_t count;
};

/* Every kernel that the guest can boot, from where distributions put them. */
int boot_kernels_find(struct arena *a, const struct guest *g, struct prep_report *r,
		      struct boot_kernels *out);

/* What an initramfs image holds of one kernel version's modules. */
struct boot_file {
	const char *data; /* NULL when the image has no such file; NUL-terminated */
	size_t bytes;
};

struct boot_survey {
	struct arena *arena;
	const char *version;
	const char *prefix; /* "usr/lib/modules" or "lib/modules", as the image has it */
	bool has_version_dir;
	bool has_lib_dir;
	bool has_lib_link;
	bool has_usr_lib;
	bool has_loader;	 /* modprobe or kmod */
	struct module_tree have; /* list: name and path of each module; unsorted until the end */
	struct boot_file dep, dep_bin, alias, alias_bin, softdep;
	struct initrd_shape shape;
};

int boot_survey(struct arena *a, const struct initrd_input *input, const char *version,
		struct boot_survey *out);

/* Drivers for the target that the image lacks, needs first, in *missing. False when the kernel
 * itself lacks what booting takes; *lacks then names it. */
bool boot_missing(const struct module_tree *tree, const struct boot_survey *survey,
		  struct name_list *missing, const char **lacks);

/* Gives the bytes of one module file of the guest; free() them. */
typedef int (*boot_read_fn)(void *ctx, const char *path, char **data, size_t *bytes);

/* The segment that adds the missing modules and indexes that know both them and what was there. */
int boot_segment(const struct module_tree *tree, const struct boot_survey *survey,
		 const struct name_list *missing, boot_read_fn read_module, void *ctx,
		 struct cpio_writer *out);

/* All kernels, all images. Idempotent. */
int boot_repair(struct guest *g, struct prep_report *r);

#endif
