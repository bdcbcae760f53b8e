/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every refusal and warning of a plan, in one table: its code (stable, never reused), what the
 * operator can do, and whether a job may accept it. What was found is written where it is found.
 */
#include "plan/plan.h"

/* clang-format off */
const struct plan_rule plan_rules[] = {
	/* What ENS takes. A copy that is meant for something else may be larger. */
	{.code = "ENS_TOO_MANY_DATA_DISKS",
	 .advice = "ENS takes four data disks. Leave disks out with \"exclude_disks\" in the job, or allow this code if the copy is not meant for ENS.",
	 .allowable = true},
	{.code = "ENS_DATA_DISK_TOO_LARGE",
	 .advice = "ENS takes data disks of at most 500 GiB. Leave the disk out with \"exclude_disks\" in the job, or allow this code if the copy is not meant for ENS.",
	 .allowable = true},
	{.code = "ENS_SYSTEM_DISK_SIZE",
	 .advice = "ENS takes system disks of 20 to 2048 GiB. Make the source's disk smaller first, or allow this code if the copy is not meant for ENS.",
	 .allowable = true},
	{.code = "ENS_COMPRESSED_TOO_LARGE",
	 .advice = "ENS takes images of at most 1 TiB, compressed. Remove data or leave disks out, or allow this code if the copy is not meant for ENS.",
	 .allowable = true},

	/* What the source is. */
	{.code = "OS_NOT_LINUX",
	 .advice = "Only Linux systems can be migrated. Use another tool for this one."},
	{.code = "LINUX_ROOT_NOT_FOUND",
	 .advice = "No Linux system was found to prepare for its new hardware. If it is inside an encrypted volume or a RAID, allow this code: the disks are then copied as they are, and the copy boots only if its initramfs already has virtio drivers.",
	 .allowable = true},
	{.code = "ARCH_UNSUPPORTED",
	 .advice = "Only x86-64 systems can be migrated; allow this code for a 32-bit x86 system that you know to run on a 64-bit machine.",
	 .allowable = true},
	{.code = "SOURCE_HIBERNATED",
	 .advice = "The source was hibernated, not shut down: its file systems are not what is on the disks. Boot it, shut it down, and try again; or allow this code to give up what was in its memory.",
	 .allowable = true},
	{.code = "NO_DISKS",
	 .advice = "No disk was found. Check the controller's mode in the firmware set-up (AHCI instead of RAID), or ask for a kernel with its driver."},
	{.code = "DISK_UNREADABLE",
	 .advice = "See what the kernel says (dmesg, in the shell), check the disk's cables, or leave the disk out with \"exclude_disks\" in the job."},
	{.code = "TABLE_INVALID",
	 .advice = "Repair the partition table on the source with its own tools (sfdisk, gdisk), or leave the disk out with \"exclude_disks\" in the job."},
	{.code = "SECTOR_SIZE_DIFFERS",
	 .advice = "A partition table counts sectors, and cloud disks have sectors of 512 bytes: the copy's table would point to wrong places. Allow this code only if the target's disks have sectors of the source's size.",
	 .allowable = true},

	/* RAID and LVM. */
	{.code = "RAID_DEGRADED",
	 .advice = "Let the source repair the array and try again; or allow this code to copy the members that are there.",
	 .allowable = true},
	{.code = "RAID_DIRTY",
	 .advice = "The array was not stopped in order. Boot the source, let it finish its check, shut it down, and try again; or allow this code.",
	 .allowable = true},
	{.code = "RAID_INVALID",
	 .advice = "A RAID superblock cannot be read. Repair the array on the source, or allow this code to copy the member as it is.",
	 .allowable = true},
	{.code = "RAID_UNSUPPORTED",
	 .advice = "An array that is being reshaped: let the source finish that and try again. An array of whole disks with partitions inside cannot be migrated yet; use another tool for it."},
	{.code = "LVM_INVALID",
	 .advice = "LVM's metadata is damaged. Repair it on the source (vgck, vgcfgrestore), or allow this code to copy the whole volume as it is.",
	 .allowable = true},
	{.code = "LVM_PV_MISSING",
	 .advice = "A part of the volume group is not on this machine. Connect the disk, or remove it from the group on the source (vgreduce --removemissing); or allow this code to copy what is there.",
	 .allowable = true},
	{.code = "LVM_NAME_TWICE",
	 .advice = "Two volume groups have one name. Rename one of them on the source (vgrename)."},
	{.code = "DISK_EXCLUDED_IN_USE",
	 .advice = "The disk holds a part of a volume group or RAID of which other parts are migrated. Exclude all of them or none."},
	{.code = "DISK_EXCLUDED_UNKNOWN",
	 .advice = "Correct \"exclude_disks\" in the job: it names disks as the inventory does."},
	{.code = "SYSTEM_DISK_EXCLUDED",
	 .advice = "The system's own disk cannot be left out. Correct \"exclude_disks\" in the job."},

	/* What the target offers. */
	{.code = "TARGET_TOO_FEW_DISKS",
	 .advice = "Attach more disks to the intermediate instance, or leave disks out with \"exclude_disks\" in the job."},
	{.code = "TARGET_TOO_SMALL",
	 .advice = "Give the receiver a larger disk for this one, or leave the disk out with \"exclude_disks\" in the job."},
	{.code = "TARGET_HOLDS_OTHER",
	 .advice = "Give this machine a receiver of its own: an activation code is for one. Allow this code (\"allow\" in the job, coldlift.allow= on the kernel command line) if the other copy may be overwritten, or if you know that this is the same machine and its parts were replaced.",
	 .allowable = true},

	/* Warnings. */
	{.code = "MULTIPATH_ONE_PATH_USED",
	 .advice = "Nothing has to be done: the disk is read through its first path.", .warning = true},
	{.code = "CONTENT_ENCRYPTED",
	 .advice = "It is copied whole, free space too, and its passphrase stays as it is.", .warning = true},
	{.code = "CONTENT_COPIED_WHOLE",
	 .advice = "Nothing has to be done: all of it is copied, free space too.", .warning = true},
	{.code = "LVM_COPIED_WHOLE",
	 .advice = "Nothing has to be done: the volume is copied with all of its extents.", .warning = true},
	{.code = "FS_DIRTY",
	 .advice = "Nothing has to be done: its journal is replayed in a view, the source stays as it is.", .warning = true},
	{.code = "GPT_PRIMARY_DAMAGED",
	 .advice = "Nothing has to be done: the copy gets two good ones.", .warning = true},
	{.code = "BOOT_LOADER_NOT_FOUND",
	 .advice = "Check that the source boots from one of its own disks; a copy without a boot loader does not start.", .warning = true},
	{.code = "EFI_FALLBACK_MISSING",
	 .advice = "The target's firmware does not know the source's boot entries. Install the loader at the removable media path too (grub-install --removable), on the source or from the firmware's shell on the copy.",
	 .warning = true},
	{.code = "ENS_COMPRESSED_UNCERTAIN",
	 .advice = "Watch how much is sent; ENS takes at most 1 TiB, compressed.", .warning = true},
	{.code = NULL},
};
/* clang-format on */
