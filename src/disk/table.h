/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Private to disk: the two readers of partition tables and what they share. */
#ifndef DISK_TABLE_H
#define DISK_TABLE_H

#include "disk/disk.h"

#define TABLE_MBR_ENTRIES	 4
#define TABLE_TYPE_GPT_PROTECT	 0xee
#define TABLE_MBR_BYTES		 512
#define TABLE_MBR_ENTRY_OFFSET	 446
#define TABLE_MBR_BOOTCODE_BYTES 440

/* One open disk while its table is read. */
struct table_source {
	struct arena *arena;
	int fd;
	const char *name;
	uint64_t disk_bytes;
	unsigned sector_bytes;
};

/* A slot of an MBR or EBR; lengths in sectors of the disk. */
struct table_slot {
	uint8_t flag;
	uint8_t type;
	uint32_t first;
	uint32_t count;
};

/* False when the sector does not end in the mark of a boot record. */
bool table_slots(const uint8_t sector[TABLE_MBR_BYTES], struct table_slot slots[TABLE_MBR_ENTRIES]);

int table_mbr_read(const struct table_source *s, const uint8_t mbr[TABLE_MBR_BYTES],
		   struct disk_table *out);
int table_gpt_read(const struct table_source *s, struct disk_table *out);

/* Claim a range for the table itself; order does not matter until table_meta_finish(). */
void table_meta_add(const struct table_source *s, struct disk_table *t, uint64_t offset_bytes,
		    uint64_t length_bytes);

/* The reason of a table that contradicts itself: -EINVAL, TABLE_INVALID. */
int table_invalid(const struct table_source *s, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
