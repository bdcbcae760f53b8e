/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What stands on a disk, read from its bytes: partition tables, signatures, LVM metadata, and which
 * bytes of a file system are in use. Opens read-only, writes nothing, knows no network. Offsets and
 * sizes are in bytes unless a name says otherwise. Results live in the caller's arena. Any thread,
 * one arena each.
 */
#ifndef DISK_DISK_H
#define DISK_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

/* A byte range of one device. Lists are sorted by offset, do not overlap, and adjacent ranges are
 * joined. */
struct disk_extent {
	uint64_t offset_bytes;
	uint64_t length_bytes;
};

struct disk_extents {
	struct disk_extent *list;
	size_t count;
	uint64_t total_bytes;
};

/* Add behind the last range (offset at or behind its end), joining when adjacent. Length 0 adds
 * nothing. */
void disk_extents_add(struct arena *a, struct disk_extents *e, uint64_t offset_bytes,
		      uint64_t length_bytes);

/* ---- partition tables (UEFI 2.10 section 5 for GPT; the PC's MBR with extended partitions) ----
 */

enum disk_table_kind { DISK_TABLE_NONE, DISK_TABLE_MBR, DISK_TABLE_GPT };

struct disk_partition {
	unsigned number; /* as the kernel counts: sda<number> */
	uint64_t offset_bytes;
	uint64_t length_bytes;
	const char *type; /* GPT: GUID in lower case; MBR: "0x83" */
	const char
		*uuid; /* GPT: unique GUID; MBR: "<disk id>-<number, 2 hex digits>"; lower case */
	const char *label; /* GPT name as UTF-8, or NULL */
	bool bootable;	   /* MBR active flag, GPT legacy-BIOS attribute */
	bool extended; /* MBR container of logical partitions: holds a table, no content of its own
			*/
};

struct disk_table {
	enum disk_table_kind kind;
	unsigned sector_bytes;
	const char *id;			   /* GPT disk GUID, or MBR disk signature in hex */
	struct disk_partition *partitions; /* by offset */
	size_t count;
	struct disk_extents meta; /* every byte range that the table itself occupies: MBR, EBRs,
				     both GPT copies */
	uint64_t gpt_backup_lba;  /* as the primary header says; 0 unless GPT */
	bool gpt_primary_bad;	  /* read from the backup, as the primary's checksum is wrong */
	bool boot_code;		  /* the first 440 bytes of the disk are not all zero */
};

/*
 * Read the table of an open device or file. A disk with no table is kind NONE, not an error. A
 * table that contradicts itself (overlap, outside the disk, both GPT copies bad) is -EINVAL with
 * code TABLE_INVALID.
 */
int disk_table_read(struct arena *a, int fd, const char *name, uint64_t disk_bytes,
		    unsigned sector_bytes, struct disk_table *out);

/*
 * The bytes of a GPT for the same partitions on a disk of new_disk_bytes: primary_bytes at offset 0
 * and backup_bytes at *backup_offset_bytes. For growing the target only (new size >= old size).
 */
int disk_gpt_resized(struct arena *a, int fd, const char *name, const struct disk_table *table,
		     uint64_t new_disk_bytes, const void **primary, size_t *primary_bytes,
		     const void **backup, size_t *backup_bytes, uint64_t *backup_offset_bytes);

/* ---- signatures ---- */

enum disk_content {
	DISK_CONTENT_UNKNOWN, /* no signature that we know: copied whole */
	DISK_CONTENT_EMPTY, /* no signature at all and zero at the places where signatures stand */
	DISK_CONTENT_EXT,   /* ext2, ext3, ext4 */
	DISK_CONTENT_XFS,
	DISK_CONTENT_BTRFS,
	DISK_CONTENT_VFAT,
	DISK_CONTENT_SWAP,
	DISK_CONTENT_LVM,
	DISK_CONTENT_MD,
	DISK_CONTENT_LUKS,
	DISK_CONTENT_OTHER, /* named in fs.type, copied whole */
};

const char *disk_content_name(enum disk_content content);
int disk_content_parse(const char *name, enum disk_content *out);

struct disk_fs {
	enum disk_content content;
	const char *
		type; /* libblkid's name: "ext4", "xfs", "linux_raid_member", ...; NULL when none */
	const char *uuid;    /* as `blkid` prints it, or NULL */
	const char *label;   /* or NULL */
	uint64_t size_bytes; /* as the superblock says, 0 when it does not */
	uint64_t used_bytes; /* by the superblock's free counters; an estimate when dirty; 0 when
				unknown */
	unsigned block_bytes;
	const char **features; /* NULL-terminated feature flags by their mkfs names, or NULL */
	bool dirty;	       /* a journal or log that wants a replay, or not cleanly unmounted */
	bool hibernated;       /* swap that holds a suspended system */
};

/* What stands at [offset, offset + length) of an open device or file. Nothing found is success. */
int disk_probe(struct arena *a, int fd, const char *name, uint64_t offset_bytes,
	       uint64_t length_bytes, struct disk_fs *out);

/* A byte range of an open device or file; a volume is a list of them, in its own order. */
struct disk_piece {
	int fd;
	uint64_t offset_bytes;
	uint64_t length_bytes;
};

/* As disk_probe(), of a volume that lies in pieces: an LV before anything has activated it. */
int disk_probe_pieces(struct arena *a, const struct disk_piece *pieces, size_t count,
		      const char *name, struct disk_fs *out);

/* Read bytes of such a volume. -ERANGE, with no reason, when they are not all in it. */
int disk_pieces_read(const struct disk_piece *pieces, size_t count, const char *name, void *buf,
		     size_t bytes, uint64_t offset_bytes);

/* ---- Linux software RAID (drivers/md: superblocks 0.90, 1.0, 1.1, 1.2) ---- */

struct disk_md {
	const char *uuid;     /* of the array, as mdadm prints it */
	const char *name;     /* "host:0", or "" */
	const char *metadata; /* "1.2" */
	int level;	      /* 0, 1, 4, 5, 6, 10, -1 = linear, ... */
	unsigned raid_disks;
	unsigned active; /* members that were in use when this superblock was written */
	int role;	 /* of this member; -1 spare, -2 faulty or otherwise not in the array */
	bool clean;	 /* not being written and not resyncing at the time */
	bool reshaping;
	uint64_t events; /* members that agree on it were last written together */
	uint64_t data_offset_bytes;
	uint64_t data_bytes; /* 0 when the superblock does not tell */
};

/* The superblock of the member at [offset, offset + length). -ENOENT: none. -EINVAL, MD_INVALID: a
 * damaged one. */
int disk_md_read(struct arena *a, int fd, const char *name, uint64_t offset_bytes,
		 uint64_t length_bytes, struct disk_md *out);

/* ---- LVM2 text metadata (lvm2 lib/format_text: label_header, pv_header, mda_header) ---- */

struct disk_lvm_stripe {
	const char *pv_uuid;	  /* with dashes, as `pvs` prints it */
	uint64_t pv_offset_bytes; /* from the start of the PV device */
};

struct disk_lvm_segment {
	const char *type; /* "striped", "mirror", "raid1", "thin-pool", "thin", "snapshot", ... as
			     LVM says */
	uint64_t lv_offset_bytes;
	uint64_t length_bytes;
	uint64_t stripe_bytes; /* 0 when linear */
	struct disk_lvm_stripe *stripes;
	size_t stripe_count; /* 1 = linear; 0 for segment types that do not map to PVs */
};

struct disk_lvm_lv {
	const char *name;
	const char *uuid;
	bool visible;
	uint64_t size_bytes;
	struct disk_lvm_segment *segments;
	size_t segment_count;
	bool plain; /* every segment is striped or linear, so the disk offset of every byte is
		       known, and no other LV (snapshot, mirror, pool, cache) is built on it */
};

struct disk_lvm_pv {
	const char *uuid;
	uint64_t size_bytes;
	uint64_t pe_start_bytes;
	bool missing;
};

struct disk_lvm_vg {
	const char *name;
	const char *uuid;
	uint64_t seqno;
	uint64_t extent_bytes;
	struct disk_lvm_pv *pvs;
	size_t pv_count;
	struct disk_lvm_lv *lvs;
	size_t lv_count;
};

struct disk_lvm_label {
	const char *pv_uuid;
	struct disk_extents meta; /* label sector and metadata areas, from the start of the PV */
	struct disk_lvm_vg *vg;	  /* NULL for a PV that is in no VG, or holds no metadata copy */
};

/* Read the PV at [offset, offset + length). A bad checksum or unreadable text is -EINVAL,
 * LVM_INVALID. */
int disk_lvm_read(struct arena *a, int fd, const char *name, uint64_t offset_bytes,
		  uint64_t length_bytes, struct disk_lvm_label *out);

/* ---- used bytes ---- */

/*
 * The ranges of [0, size) of the device or file at path that a faithful copy needs, by content: EXT
 * by libext2fs block bitmaps, XFS by its free-space trees, SWAP its signature page, everything else
 * whole. The file system must be clean (its journal replayed): -EUCLEAN with code FS_DIRTY
 * otherwise, as a bitmap cannot be trusted then. Reads only.
 */
int disk_used(struct arena *a, const char *path, enum disk_content content,
	      struct disk_extents *out);

/* The same for content at [offset, offset + length) of path; ranges count from the content's start.
 * XFS is then copied whole, as xfs_db reads from the start of a device only. */
int disk_used_at(struct arena *a, const char *path, uint64_t offset_bytes, uint64_t length_bytes,
		 enum disk_content content, struct disk_extents *out);

/* ---- what a byte belongs to ---- */

/* Something with a content of its own, and where it lies. Of one disk, or a volume in pieces. */
struct disk_region {
	const char *name; /* "sda1", "vg0/root"; for the others what it is */
	const char *path; /* device or file to look into; NULL: `name` is all there is to say */
	uint64_t path_offset_bytes; /* where in it the content begins */
	uint64_t length_bytes;
	enum disk_content content;
	struct disk_region_piece {
		unsigned disk; /* the caller's numbering */
		uint64_t disk_offset_bytes;
		uint64_t region_offset_bytes;
		uint64_t length_bytes;
	} * pieces;
	size_t piece_count;
};

/* All that is known of some disks. What no region covers is unused. A region that has a path is
 * asked before one that has none. */
struct disk_layout {
	struct disk_region *list;
	size_t count;
};

enum disk_place_kind {
	DISK_PLACE_UNKNOWN, /* what says why */
	DISK_PLACE_UNUSED,
	DISK_PLACE_FILE, /* contents of a file that is no directory, or what belongs to it alone */
	DISK_PLACE_METADATA, /* directories, too; more than one file may be lost with it */
};

struct disk_place {
	unsigned disk;
	uint64_t offset_bytes; /* on the disk */
	uint64_t length_bytes;
	const char *region; /* "sda1"; NULL: outside of all */
	enum disk_place_kind kind;
	const char *what;   /* "file", "directory", "journal", "inode table of group 3", ... */
	uint64_t inode;	    /* 0: none */
	const char **names; /* paths from the root of its file system; NULL-terminated, or NULL.
			       Printable: what is not UTF-8, and control characters, are \xNN */
};

struct disk_places {
	struct disk_place *list;
	size_t count;
};

/* The caller's disk numbers and byte ranges; sorted, without overlap. */
struct disk_range {
	unsigned disk;
	uint64_t offset_bytes;
	uint64_t length_bytes;
};

/*
 * What stands at these ranges, in their order, cut where the answer changes: ext2/3/4 through
 * libext2fs (every inode is looked at once, however many ranges there are), XFS through xfs_db,
 * which needs a byte of memory for each block. A file system that cannot be looked into gives
 * UNKNOWN; this never fails for that. Slow; reads only.
 */
int disk_locate(struct arena *a, const struct disk_layout *layout, const struct disk_range *ranges,
		size_t count, struct disk_places *out);

/* "sda1: /etc/passwd (file, inode 131)", "sda: unused", for people. */
const char *disk_place_text(struct arena *a, const struct disk_place *place);

const char *disk_place_kind_name(enum disk_place_kind kind);

#endif
