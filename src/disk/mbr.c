/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PC's partition table: four slots in sector 0, and a chain of extended boot records, one for
 * each logical partition. There is no specification; the kernel's block/partitions/msdos.c is what
 * counts, as it gave the partitions their numbers on the source.
 */
#include "disk/table.h"

#include <inttypes.h>

#include "base/cursor.h"
#include "base/io.h"
#include "base/num.h"

#define CHAIN_MAX \
	256 /* the kernel stops at far fewer partitions; this bounds a chain with a loop */

static bool is_extended(uint8_t type)
{
	return type == 0x05 || type == 0x0f || type == 0x85;
}

/* A file system on the whole disk has the same two bytes at the end of its first sector. */
static bool is_file_system(const struct table_source *s, const uint8_t *mbr,
			   const struct table_slot *slots)
{
	uint64_t sectors = s->disk_bytes / s->sector_bytes;
	bool jumps = mbr[0] == 0xeb || mbr[0] == 0xe9;

	for (int i = 0; i < TABLE_MBR_ENTRIES; i++) {
		if (slots[i].flag & 0x7f)
			return true;
		if (jumps && slots[i].type && slots[i].first >= sectors)
			return true;
	}
	return false;
}

static void add(const struct table_source *s, struct disk_table *t, unsigned number,
		const struct table_slot *slot, uint64_t first)
{
	struct disk_partition *p = arena_push(s->arena, &t->partitions, &t->count);

	p->number = number;
	p->offset_bytes = first * s->sector_bytes;
	p->length_bytes = (uint64_t)slot->count * s->sector_bytes;
	p->type = arena_printf(s->arena, "0x%02x", slot->type);
	p->uuid = arena_printf(s->arena, "%s-%02x", t->id, number);
	p->bootable = slot->flag == 0x80;
	p->extended = number <= TABLE_MBR_ENTRIES && is_extended(slot->type);
}

/*
 * One extended boot record: of its four slots one is a logical partition, counted from this record,
 * and one leads to the next record, counted from the start of the extended partition.
 */
static int read_ebr(const struct table_source *s, struct disk_table *t, uint64_t base, uint64_t at,
		    uint64_t *next, unsigned *number)
{
	struct table_slot slots[TABLE_MBR_ENTRIES];
	uint8_t ebr[TABLE_MBR_BYTES];
	int rc = io_pread(s->fd, ebr, sizeof(ebr), at * s->sector_bytes, s->name);

	*next = 0;
	if (rc < 0)
		return rc;
	if (!table_slots(ebr, slots))
		return at == base ? 0
				  : table_invalid(s,
						  "no boot record at sector %" PRIu64
						  ", where the chain of logical partitions leads",
						  at);
	table_meta_add(s, t, at * s->sector_bytes, s->sector_bytes);
	for (int i = 0; i < TABLE_MBR_ENTRIES; i++) {
		if (!slots[i].count || !slots[i].type)
			continue;
		if (!is_extended(slots[i].type))
			add(s, t, (*number)++, &slots[i], at + slots[i].first);
		else if (!*next)
			*next = base + slots[i].first;
	}
	return 0;
}

static int read_chain(const struct table_source *s, struct disk_table *t, uint64_t base,
		      uint64_t count, unsigned *number)
{
	uint64_t sectors = s->disk_bytes / s->sector_bytes;
	uint64_t at = base;

	for (int i = 0; at; i++) {
		uint64_t next = 0;
		int rc;

		if (at < base || at - base >= count || at >= sectors)
			return table_invalid(s,
					     "the chain of logical partitions leads out of the "
					     "extended one, to sector %" PRIu64,
					     at);
		if (i == CHAIN_MAX)
			return table_invalid(s, "the chain of logical partitions has no end");
		rc = read_ebr(s, t, base, at, &next, number);
		if (rc < 0)
			return rc;
		at = next;
	}
	return 0;
}

int table_mbr_read(const struct table_source *s, const uint8_t mbr[TABLE_MBR_BYTES],
		   struct disk_table *out)
{
	struct table_slot slots[TABLE_MBR_ENTRIES];
	struct cursor c = cursor_of(mbr, TABLE_MBR_BYTES);
	unsigned number = TABLE_MBR_ENTRIES + 1;
	uint32_t id;

	table_slots(mbr, slots);
	if (is_file_system(s, mbr, slots))
		return 0;
	cursor_skip(&c, TABLE_MBR_BOOTCODE_BYTES);
	id = cursor_le32(&c);
	out->id = arena_printf(s->arena, "%08x", id);
	for (int i = 0; i < TABLE_MBR_ENTRIES; i++)
		if (slots[i].type && slots[i].count)
			add(s, out, (unsigned)i + 1, &slots[i], slots[i].first);
	/* Only the mark and no entry: the first sector of something else. */
	if (!out->count && !id) {
		out->id = NULL;
		return 0;
	}
	out->kind = DISK_TABLE_MBR;
	table_meta_add(s, out, 0, s->sector_bytes);
	for (int i = 0; i < TABLE_MBR_ENTRIES; i++) {
		int rc = 0;

		if (slots[i].count && is_extended(slots[i].type))
			rc = read_chain(s, out, slots[i].first, slots[i].count, &number);
		if (rc < 0)
			return rc;
	}
	return 0;
}
