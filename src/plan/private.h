/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Private to plan: the inventory as structs, and the refusals that pile up while a plan is made. */
#ifndef PLAN_PRIVATE_H
#define PLAN_PRIVATE_H

#include "plan/plan.h"

#define PLAN_SYSTEM_MIN_BYTES (20 * GIB)
#define PLAN_SYSTEM_MAX_BYTES (2048 * GIB)
#define PLAN_DATA_MAX_BYTES   (500 * GIB)
#define PLAN_DATA_DISKS_MAX   4
#define PLAN_IMAGE_MAX_BYTES  TIB

struct source_content {
	enum disk_content kind;
	const char *type; /* or NULL */
	const char *uuid; /* or NULL */
	uint64_t used_bytes;
	bool dirty;
	bool hibernated;
	bool sampled;
	uint64_t ratio_permille;
	uint64_t error_permille;
};

struct source_part {
	const char *name;
	const char *type;
	uint64_t offset_bytes;
	uint64_t length_bytes;
	bool bootable;
	bool extended;
	struct source_content content;
};

struct source_disk {
	const char *name;
	const char *serial;
	uint64_t size_bytes;
	unsigned sector_bytes;
	const char *path_of;	/* another path to that disk; or NULL */
	const char *table_kind; /* or NULL */
	struct disk_extents meta;
	bool primary_bad;
	bool boot_code;
	uint64_t backup_lba;
	bool broken; /* a problem was noted: nothing is known of its contents */
	bool whole;  /* no table: parts has the one whole-disk content */
	struct source_part *parts;
	size_t part_count;
	bool excluded;
	unsigned index; /* in the plan; UINT_MAX when not in it */
	uint64_t target_bytes;
};

struct source_stripe {
	const char *pv_uuid;
	uint64_t pv_offset_bytes;
};

struct source_segment {
	const char *type;
	uint64_t lv_offset_bytes;
	uint64_t length_bytes;
	uint64_t stripe_bytes;
	struct source_stripe *stripes;
	size_t stripe_count;
};

struct source_lv {
	const char *name;
	uint64_t size_bytes;
	bool visible;
	bool plain;
	bool as_volume; /* decided by the plan */
	struct source_segment *segments;
	size_t segment_count;
	struct source_content content;
};

struct source_vg {
	const char *name;
	const char *uuid;
	struct source_pv *pvs;
	size_t pv_count;
	struct source_lv *lvs;
	size_t lv_count;
};

/* A PV that is on a disk. */
struct source_pv {
	const char *uuid;
	const char *device; /* NULL when it is missing */
	struct disk_extents meta;
	struct source_disk *disk;
	struct source_part *part;
};

struct source_mount {
	const char *mountpoint;
	const char *device; /* or NULL */
	const char *type;
	const char *options;
};

struct source {
	const char *firmware;
	struct source_disk *disks;
	size_t disk_count;
	struct source_pv *pvs; /* found on disks, with their metadata ranges */
	size_t pv_count;
	struct source_vg *vgs;
	size_t vg_count;
	const char *root_device; /* NULL: no guest was found */
	const char *architecture;
	const char *os_name;
	const char *boot_loader;
	const json_t *efi; /* paths of loaders, or NULL */
	struct source_mount *mounts;
	size_t mount_count;
	const json_t *problems;
	const json_t *suspended_files; /* swap files of the guest with a hibernated system */
	const json_t *md;
};

/* One run of plan_make(). */
struct planner {
	struct arena *arena;
	struct source source;
	struct plan_job job;
	const json_t *target; /* or NULL */
	const char *allow;    /* comma list, or NULL */
	json_t *refusals;
	json_t *warnings;
	struct source_disk **order; /* disks of the plan, the system disk first */
	size_t order_count;
};

int plan_source_read(struct arena *a, const json_t *inventory, struct source *out);

/* -EINVAL, TARGET_INVALID: what the receiver says is not in the form of GET /v1/target. May be
 * NULL. */
int plan_target_check(const json_t *target);

/* How a part of two machines compares. */
enum plan_likeness {
	PLAN_CANNOT_TELL,
	PLAN_ALIKE,
	PLAN_DIFFERENT,
};

struct plan_likenesses {
	enum plan_likeness board;
	enum plan_likeness cards;
	enum plan_likeness disks;
};

/*
 * Whether two inventories, of any version, are of one machine: when all disks of one with a serial
 * number are among the other's; else by most of board (UUID, serial number), network cards and
 * disks, a draw counting as yes; by the host name only where none of the three can be compared.
 */
bool plan_is_same_machine(const json_t *a, const json_t *b, struct plan_likenesses *out);

/* Refuse to overwrite what came from another machine: "holds" of the target. */
void plan_check_holder(struct planner *p, const json_t *inventory);

/* Note a refusal, or a warning when its code is allowed or is only a warning. */
void plan_note(struct planner *p, const char *code, const char *object, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Decide which disks are migrated, in which order, and how large their targets are. */
void plan_order(struct planner *p);
void plan_size_targets(struct planner *p);

/* Decide which LVs are volumes; then their JSON, and the ranges of a PV that are kept as they are.
 */
void plan_lvm_decide(struct planner *p);
json_t *plan_volumes_json(struct planner *p);
json_t *plan_lvm_keep(struct planner *p, const struct source_disk *d,
		      const struct source_part *part);

/* All that can be refused once disks and volumes are decided. */
void plan_check(struct planner *p);
void plan_estimate(struct planner *p, uint64_t *used_bytes, uint64_t *packed_bytes,
		   uint64_t *error_bytes);

json_t *plan_disks_json(struct planner *p);
json_t *plan_extents_json(const struct disk_extents *e);

/* Sorted and joined, from ranges in any order; what is double is taken once. */
void plan_extents_tidy(struct arena *a, struct disk_extents *e);

struct source_disk *plan_find_disk(struct source *s, const char *name);
/* The partition or whole-disk content of that name, and its disk. NULL when there is none. */
struct source_part *plan_find_part(struct source *s, const char *name, struct source_disk **disk);
/* The disk where a partition or volume begins. */
struct source_disk *plan_disk_of(struct source *s, const char *device);
struct source_pv *plan_find_pv(struct source *s, const char *uuid);

#endif
