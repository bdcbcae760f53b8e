/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Private to inventory: one run's state, and helpers that turn what is found into JSON. */
#ifndef INVENTORY_INV_H
#define INVENTORY_INV_H

#include <limits.h>

#include "disk/disk.h"
#include "inventory/inventory.h"

struct inv_disk {
	const char *name;
	const char *path;
	int fd;
	uint64_t size_bytes;
	unsigned sector_bytes;
	const char *wwid; /* or NULL */
	json_t *json;	  /* borrowed from the inventory */
};

/* A PV and the md member share this: a stretch of a disk with a name. */
struct inv_place {
	const char *device; /* "sda5" */
	size_t disk;	    /* index */
	uint64_t offset_bytes;
	uint64_t length_bytes;
	struct disk_lvm_label label; /* of a PV */
	struct disk_md md;	     /* of an md member */
};

struct inv {
	struct arena *arena;
	const struct inventory_options *options;
	const char *root; /* "" when there is none */
	json_t *json;
	json_t *problems; /* borrowed */
	struct inv_disk *disks;
	size_t disk_count;
	struct inv_place *pvs;
	size_t pv_count;
	struct inv_place *members;
	size_t member_count;
};

/* root + the rest into a buffer of PATH_MAX; "" when it does not fit. */
const char *inv_path(const struct inv *inv, char buf[PATH_MAX], const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* First line of that file, blanks at both ends cut; NULL when there is none or it is empty. */
const char *inv_line(const struct inv *inv, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
bool inv_number(const struct inv *inv, uint64_t *out, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Foreign text as a JSON string: what is not UTF-8 or is a control character becomes '?'. NULL
 * gives null. */
json_t *inv_text(const char *text);
json_t *inv_extents(const struct disk_extents *e);

/* Note what is wrong with an object; the reason and code of the last fail() when what is NULL. */
void inv_problem(struct inv *inv, const char *code, const char *object, const char *what);

json_t *inv_content(const struct disk_fs *fs);

/* Each fills in its keys of inv->json. Errors are those that make an inventory worthless. */
int inv_machine(struct inv *inv);
int inv_nics(struct inv *inv);
int inv_disks(struct inv *inv);
int inv_lvm(struct inv *inv);
int inv_md(struct inv *inv);
int inv_sample(struct inv *inv);

/* Table, partitions and contents of one open disk into its json. */
int inv_disk_contents(struct inv *inv, struct inv_disk *d);

#endif
