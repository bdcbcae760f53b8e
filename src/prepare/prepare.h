/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * prepare: from a plan to a map that the copy engine can execute. The source's disks are read-only
 * and stay so; every change (journal replay, repairs) is made in a view of a disk that keeps what
 * is changed in memory. A failed preparation is torn down and made again in seconds. One thread;
 * root.
 *
 *   /dev/sda  (read-only) --- raw-sda (dm-linear) --- view-sda (dm-snapshot, changes on zram)
 *                                 |--- view-sda1, view-sda2 ...   (dm-linear: partitions)
 *                                 `--- view-vg0-root ...          (dm-linear: plain LVM volumes)
 */
#ifndef PREPARE_PREPARE_H
#define PREPARE_PREPARE_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "map/map.h"
#include "plan/plan.h"

/*
 * Make every hardware disk and partition read-only and verify it: -EROFS and others with code
 * SOURCE_NOT_READONLY. Refuse (-EBUSY, SOURCE_ASSEMBLED) when md, LVM, LUKS or multipath is active
 * on top of them. Cheap; call it first of all, and again whenever disks may have appeared (this
 * project's kernel starts late ones read-only by itself). Not for the receiver role.
 */
int prepare_quiesce(void);

struct prepare_options {
	const char *guest_dir;	  /* where the guest is mounted; NULL: PREPARE_GUEST_DIR */
	const char *allow;	  /* codes that are warnings instead of failures; may be NULL */
	uint64_t cow_limit_bytes; /* memory for changes at most; 0: by what is available */

	/* Told before each step, for a console; may be NULL. */
	void (*step)(void *ctx, const char *what, const char *object);
	void *ctx;
};

#define PREPARE_GUEST_DIR "/run/coldlift/guest"

/*
 * Look into the guest before there is a plan: views of all disks of the draft (plan_draft()),
 * journals replayed in them, each likely file system mounted read-only in turn until one is a Linux
 * root; then what inventory_guest() says of it with its /boot and /usr. The views are gone
 * afterwards. No root found is success with *root_device and *guest NULL. *guest is the caller's.
 */
int prepare_look(const struct plan *draft, const json_t *inventory,
		 const struct prepare_options *options, struct arena *a, const char **root_device,
		 json_t **guest);

/*
 * All of it: quiesce, views, replay, the guest mounted and repaired, unmounted, and the map made.
 * What an earlier run left is torn down first. On success the views stand (read-only) until
 * prepare_teardown(), *map is in the arena, and *report is prepare.json (the caller's). On failure
 * everything is torn down again. Codes: SOURCE_NOT_READONLY, SOURCE_ASSEMBLED, SOURCE_CHANGED,
 * COW_FULL, FS_REPLAY_FAILED, FS_DAMAGED, GUEST_BOOT_FULL, GUEST_NO_VIRTIO, INITRAMFS_FORMAT,
 * INITRAMFS_DAMAGED.
 */
int prepare_make(const struct plan *plan, const struct prepare_options *options, struct arena *a,
		 struct map **map, json_t **report);

/*
 * Remove mounts, views and their memory, whoever made them; nothing to remove is success. The
 * source is as it was.
 */
int prepare_teardown(const char *guest_dir);

/* Where the view of a partition (or a disk) of the plan stands, and that of a volume. */
const char *prepare_view_path(struct arena *a, const char *part);
const char *prepare_volume_view_path(struct arena *a, const char *vg, const char *lv);

#define PREPARE_PRINT_BYTES 32

/* What tells a disk of the plan from others, and from itself after somebody has used it. */
struct prepare_hold {
	int fd;				    /* of the disk itself; -1: none */
	uint8_t print[PREPARE_PRINT_BYTES]; /* SHA-256 of its superblocks and metadata */
	char name[64];			    /* that it has now: "sda" */
};

/*
 * Open the disk beneath the view of plan->disks[disk] and take its print, for as long as the views
 * stand. prepare_release() in every case.
 */
int prepare_hold(const struct plan *plan, unsigned disk, struct prepare_hold *out);
void prepare_release(struct prepare_hold *hold);

/*
 * When that disk has left the machine: look for it under any name, make it read-only and lay its
 * view over it again. It must have the same size and print, and where another disk of the plan has
 * these too, the same serial number. The holds are of all disks of the plan, in its order. 1: done;
 * 0: it has not left, or has not come back. One call at a time; may run beside a copy that reads
 * the views.
 */
int prepare_reattach(const struct plan *plan, unsigned disk, struct prepare_hold *holds);

/* Whether each disk beneath the views is there. Any thread. */
bool prepare_disks_are_there(void);

/*
 * Whether the views still hold: -ENOSPC with code COW_FULL when their memory ran out, which makes
 * what they show invalid. Any thread; the copy asks at its end and when a read fails.
 */
int prepare_check(void);

#endif
