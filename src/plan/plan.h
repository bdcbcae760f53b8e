/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plan: inventory + job + target limits in; a plan, or all refusals at once, out. Pure: opens
 * nothing, asks the machine nothing, the same input gives the same bytes. The plan is what an
 * operator approves.
 */
#ifndef PLAN_PLAN_H
#define PLAN_PLAN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "disk/disk.h"

/* One whole-disk part of the source with a meaning of its own. Parts cover the disk without a gap.
 */
enum plan_part_kind {
	PLAN_PART_TABLE,   /* partition table bytes, copied */
	PLAN_PART_BOOT,	   /* gap before the first partition, BIOS boot partition: copied whole */
	PLAN_PART_GAP,	   /* unallocated: not read */
	PLAN_PART_CONTENT, /* a partition or whole-disk content, copied by what it is */
	PLAN_PART_LVM,	   /* a PV: label and metadata copied; its LVs are volumes below */
};

struct plan_part {
	enum plan_part_kind kind;
	const char *name; /* "sda1", or "sda" for a whole-disk content; NULL for table and gaps */
	uint64_t offset_bytes;
	uint64_t length_bytes;
	enum disk_content content;
	const char *fs_type; /* "ext4"; NULL when none */
	const char *fs_uuid;
	struct disk_extents keep; /* TABLE, LVM: the ranges of the disk that are copied */
};

struct plan_disk {
	unsigned index;	    /* target export disk<index>; 0 is the system disk */
	const char *source; /* kernel name of the source disk: "sda" */
	const char *serial; /* or "" */
	uint64_t source_bytes;
	uint64_t target_bytes; /* >= source_bytes */
	unsigned sector_bytes;
	bool gpt_move_backup; /* both copies of the GPT are written anew for the target's size */
	struct plan_part *parts;
	size_t part_count;
};

/* A byte range of a volume on a disk. */
struct plan_segment {
	uint64_t volume_offset_bytes;
	uint64_t length_bytes;
	unsigned disk; /* index into plan.disks */
	uint64_t disk_offset_bytes;
};

/* An LV. Not plain: all of its bytes on the disks are kept in the LVM part's `keep`, and it is not
 * in here. */
struct plan_volume {
	const char *vg;
	const char *lv;
	uint64_t size_bytes;
	enum disk_content content;
	const char *fs_type;
	const char *fs_uuid;
	struct plan_segment
		*segments; /* linear pieces, stripes already resolved; by volume offset */
	size_t segment_count;
};

/* Where a file system of the guest's fstab lives. */
struct plan_mount {
	const char *mountpoint; /* "/", "/boot", ... */
	const char *device;	/* partition "sda3" or volume "vg0/root" */
	const char *fs_type;
	const char *options;
};

struct plan_copy {
	unsigned compression; /* 0-10 */
	bool adaptive;
	uint64_t rate_mbit; /* 0 = no limit */
	const char *digest; /* "xxh3-128" or "sha-256" */
	bool unverified;    /* what arrived is not read back */
	unsigned connections;
	uint64_t rescue_s;	    /* patience with a disk that does not read; 0 = copy's own */
	uint64_t holes_max;	    /* so many places of the source may be unreadable */
	const char **holes_outside; /* only in files outside of these paths; NULL-ended, or NULL */
};

struct plan {
	const char *digest; /* SHA-256 hex of the plan's bytes, computed when written or read */
	const char *job_name;
	const char *firmware; /* "bios" or "uefi" */
	struct plan_disk *disks;
	size_t disk_count;
	struct plan_volume *volumes;
	size_t volume_count;
	struct plan_mount *mounts; /* of the guest, in mount order; empty when no root was found */
	size_t mount_count;
	const char **suspended_files; /* swap files of the guest that hold a suspended system */
	size_t suspended_file_count;
	struct plan_copy copy;
	const char *allow; /* codes that were accepted, by job or operator, separated by commas */
	const char *exit;  /* "poweroff", "reboot", "shell", or NULL: as the command line says */
	/* What will be read, and what that is likely to become when compressed; for people. */
	uint64_t used_bytes;
	uint64_t compressed_bytes;
};

struct plan_refusal {
	const char *code;   /* ENS_TOO_MANY_DATA_DISKS */
	const char *object; /* "sdc", or "" */
	const char *what;   /* what was found */
	const char *advice; /* what the operator can do */
};

/*
 * Make the plan's JSON from inventory, job (may be NULL: all defaults) and target limits (the
 * receiver's GET /v1/target, and in "holds" the inventory of the machine whose copy it has, if any;
 * may be NULL: unlimited). Refusals whose code the job or ALLOW (comma list, may be NULL) names are
 * reported as warnings instead where they are of the kind that can be allowed. 0: *out is the plan.
 * -EPERM with code PLAN_REFUSED: *out holds {"refusals": [...]}. -EINVAL: bad input; JOB_INVALID
 * and TARGET_INVALID where it is the job's or the target's.
 */
int plan_make(const json_t *inventory, const json_t *job, const json_t *target, const char *allow,
	      json_t **out);

/*
 * The layout of all disks of an inventory as a plan that is not checked: no targets, no guest, no
 * refusals. For making views of the disks (prepare_look()), as the guest must be seen before there
 * can be a plan. plan_read() reads it.
 */
int plan_draft(const json_t *inventory, json_t **out);

/* Read a plan (or report its refusal). Everything is in the arena. */
int plan_read(struct arena *a, const json_t *json, struct plan **out);

/* Every code with which a plan can be refused or warned, for documents, tests and the console. Ends
 * at code NULL. */
struct plan_rule {
	const char *code;
	const char *advice;
	bool allowable; /* a job or an operator may accept it: then it is a warning */
	bool warning;	/* never refuses */
};
extern const struct plan_rule plan_rules[];

/* The job file: all keys optional, unknown ones are JOB_INVALID. Strings borrowed from the JSON. */
struct plan_job {
	const char *name;
	const char *description;
	const char *activation; /* or NULL */
	const char *exit;	/* "poweroff", "reboot", "shell", or NULL */
	struct plan_copy copy;
	const json_t *allow;	     /* list of codes, or NULL */
	const json_t *exclude_disks; /* list of kernel names, or NULL */
	const json_t
		*holes_outside; /* list of paths, or NULL; copy.holes_outside is not set here */
};

/* job may be NULL: the defaults. -EINVAL with code JOB_INVALID and the key named. */
int plan_job_read(const json_t *job, struct plan_job *out);

/* SHA-256 in hex of json_text(plan). */
int plan_digest(const json_t *plan, char hex[65]);

#endif
