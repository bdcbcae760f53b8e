/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Private to inventory: reading a guest's files below a directory that its links cannot leave, and
 * the parsers of what is in them. */
#ifndef INVENTORY_INV_GUEST_H
#define INVENTORY_INV_GUEST_H

#include "inventory/inv.h"

struct inv_guest {
	struct arena *arena;
	int dir_fd;
};

/* Any of these is quiet when the path is not there. path is absolute, as the guest sees it. */
bool inv_guest_has(const struct inv_guest *g, const char *path);
/* NUL-terminated, in the arena; NULL when it is not there, not a file, or larger. */
const char *inv_guest_text(const struct inv_guest *g, const char *path, size_t max_bytes);
/* Names in a directory, sorted, without those that begin with a dot. Returns their number. */
size_t inv_guest_names(const struct inv_guest *g, const char *path, const char ***names);

/* The value of KEY in the text of an os-release file, unquoted; NULL when it is not set. */
const char *inv_os_value(struct arena *a, const char *text, const char *key);

/* Whether the text of a modules.dep or modules.builtin names that module ('-' and '_' are one). */
bool inv_has_module(const char *text, const char *module);

/* The kernels that a grub.cfg boots, each once: [{"kernel", "args", "initrd"}]. */
json_t *inv_grub_entries(struct arena *a, const char *text);

/* [{"version", "image", "initramfs": [...], "modules": {"virtio_blk": "module", ...}}] */
json_t *inv_kernels(const struct inv_guest *g);

/* {"kind", "config", "entries", "efi": [paths]} */
json_t *inv_boot_loader(const struct inv_guest *g);

#endif
