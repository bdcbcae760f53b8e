/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The views of a plan's disks, partitions and plain volumes; see the picture in prepare.h. */
#ifndef PREPARE_PREP_VIEWS_H
#define PREPARE_PREP_VIEWS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "plan/plan.h"

#define VIEW_PREFIX "view-"
#define COW_PREFIX  "cow-"
#define RAW_PREFIX  "raw-"

/* Something with a content of its own: a partition, a volume, or a disk without partitions. */
struct view {
	const char *name; /* as in the plan: "sda1", "vg0/root" */
	const char *path; /* "/dev/mapper/view-sda1" */
	enum disk_content content;
	const char *fs_type;
	const char *fs_uuid;
};

struct views {
	struct arena *arena;
	struct view *list;
	size_t count;
};

/* Path of a disk's view: "/dev/mapper/view-sda". */
const char *view_disk_path(struct arena *a, const char *disk);

/* Make all views of the plan. -ESTALE with code SOURCE_CHANGED when a disk is not the plan's. */
int views_make(struct arena *a, const struct plan *plan, uint64_t cow_limit_bytes,
	       struct views *out);

/* NULL when the plan has no such content. */
const struct view *views_find(const struct views *v, const char *name);

/* What was changed is on the views' devices and no cache shows anything older; the views become
 * read-only. */
int views_settle(const struct plan *plan, const struct views *v);

/* Remove all views and their memory. */
int views_remove(void);

/* Of prep_quiesce.c: no hardware of the source; and one disk, with its partitions, made read-only.
 */
bool quiesce_is_virtual(const char *name);
int quiesce_disk(const char *name);

/* After the failure rc: tear everything down and return rc with the reason that stands, or COW_FULL
 * when that is what was behind it. */
int views_give_up(int rc, const char *guest_dir);

#endif
