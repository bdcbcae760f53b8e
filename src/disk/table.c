/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which partition table a disk has, and the checks that hold for every kind: nothing outside the
 * disk, nothing overlapping. The kernel is more lenient; we copy by this table, so doubt is a stop.
 */
#include "disk/table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"

int table_invalid(const struct table_source *s, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return fail_code(EINVAL, "TABLE_INVALID", "partition table of %s: %s", s->name, text);
}

bool table_slots(const uint8_t sector[TABLE_MBR_BYTES], struct table_slot slots[TABLE_MBR_ENTRIES])
{
	struct cursor c = cursor_of(sector, TABLE_MBR_BYTES);

	cursor_skip(&c, TABLE_MBR_ENTRY_OFFSET);
	for (int i = 0; i < TABLE_MBR_ENTRIES; i++) {
		slots[i].flag = cursor_u8(&c);
		cursor_skip(&c, 3);
		slots[i].type = cursor_u8(&c);
		cursor_skip(&c, 3);
		slots[i].first = cursor_le32(&c);
		slots[i].count = cursor_le32(&c);
	}
	return cursor_le16(&c) == 0xaa55;
}

void table_meta_add(const struct table_source *s, struct disk_table *t, uint64_t offset_bytes,
		    uint64_t length_bytes)
{
	if (range_ok(offset_bytes, length_bytes, s->disk_bytes) && length_bytes)
		*arena_push(s->arena, &t->meta.list, &t->meta.count) = (struct disk_extent){
			.offset_bytes = offset_bytes, .length_bytes = length_bytes};
}

static int by_offset(const void *a, const void *b)
{
	const struct disk_extent *x = a, *y = b;

	return (x->offset_bytes > y->offset_bytes) - (x->offset_bytes < y->offset_bytes);
}

static int partition_by_offset(const void *a, const void *b)
{
	const struct disk_partition *x = a, *y = b;

	/* A container sorts before the logical partition that starts where it starts. */
	if (x->offset_bytes == y->offset_bytes)
		return (int)y->extended - (int)x->extended;
	return x->offset_bytes > y->offset_bytes ? 1 : -1;
}

/* Into the order and form that struct disk_extents promises. */
static void meta_finish(const struct table_source *s, struct disk_table *t)
{
	struct disk_extents raw = t->meta, *out = &t->meta;

	*out = (struct disk_extents){0};
	if (raw.count)
		qsort(raw.list, raw.count, sizeof(*raw.list), by_offset);
	for (size_t i = 0; i < raw.count; i++) {
		uint64_t start = raw.list[i].offset_bytes, end = start + raw.list[i].length_bytes;
		uint64_t have = 0;

		if (out->count)
			have = out->list[out->count - 1].offset_bytes +
			       out->list[out->count - 1].length_bytes;
		start = max_of(start, have);
		if (end > start)
			disk_extents_add(s->arena, out, start, end - start);
	}
}

static int check_overlap(const struct table_source *s, const struct disk_table *t)
{
	const struct disk_partition *last = NULL, *box = NULL;

	for (size_t i = 0; i < t->count; i++) {
		const struct disk_partition *p = &t->partitions[i];

		if (!range_ok(p->offset_bytes, p->length_bytes, s->disk_bytes))
			return table_invalid(s, "partition %u ends behind the end of the disk",
					     p->number);
		if (last && p->offset_bytes < last->offset_bytes + last->length_bytes)
			return table_invalid(s, "partitions %u and %u overlap", last->number,
					     p->number);
		if (box && p->offset_bytes < box->offset_bytes + box->length_bytes &&
		    (p->number <= TABLE_MBR_ENTRIES ||
		     p->offset_bytes + p->length_bytes > box->offset_bytes + box->length_bytes))
			return table_invalid(s, "partition %u overlaps the end of the extended one",
					     p->number);
		if (p->extended)
			box = p;
		else
			last = p;
	}
	return 0;
}

/* The table's own sectors must not lie in a partition, or the copy of the one would be the other.
 */
static int check_meta(const struct table_source *s, const struct disk_table *t)
{
	for (size_t i = 0; i < t->count; i++) {
		const struct disk_partition *p = &t->partitions[i];

		for (size_t k = 0; !p->extended && k < t->meta.count; k++) {
			const struct disk_extent *m = &t->meta.list[k];

			if (m->offset_bytes < p->offset_bytes + p->length_bytes &&
			    p->offset_bytes < m->offset_bytes + m->length_bytes)
				return table_invalid(s, "partition %u covers a part of the table",
						     p->number);
		}
	}
	return 0;
}

/* A protective entry anywhere in the MBR makes the disk a GPT one, as for the kernel; hybrids too.
 */
static bool has_protective(const struct table_slot slots[TABLE_MBR_ENTRIES])
{
	for (int i = 0; i < TABLE_MBR_ENTRIES; i++)
		if (slots[i].type == TABLE_TYPE_GPT_PROTECT)
			return true;
	return false;
}

int disk_table_read(struct arena *a, int fd, const char *name, uint64_t disk_bytes,
		    unsigned sector_bytes, struct disk_table *out)
{
	struct table_source s = {.arena = a,
				 .fd = fd,
				 .name = name,
				 .disk_bytes = disk_bytes,
				 .sector_bytes = sector_bytes};
	struct table_slot slots[TABLE_MBR_ENTRIES];
	uint8_t mbr[TABLE_MBR_BYTES];
	int rc;

	*out = (struct disk_table){.kind = DISK_TABLE_NONE, .sector_bytes = sector_bytes};
	if (sector_bytes < 512 || sector_bytes > 4096 || (sector_bytes & (sector_bytes - 1)))
		return fail(EINVAL, "%s has sectors of %u bytes", name, sector_bytes);
	if (disk_bytes < 2 * (uint64_t)sector_bytes)
		return 0;
	rc = io_pread(fd, mbr, sizeof(mbr), 0, name);
	if (rc < 0)
		return rc;
	out->boot_code = !io_is_zero(mbr, TABLE_MBR_BOOTCODE_BYTES);
	if (!table_slots(mbr, slots))
		return 0;
	rc = has_protective(slots) ? table_gpt_read(&s, out) : table_mbr_read(&s, mbr, out);
	if (rc < 0)
		return rc;
	meta_finish(&s, out);
	if (out->count)
		qsort(out->partitions, out->count, sizeof(*out->partitions), partition_by_offset);
	rc = check_overlap(&s, out);
	return rc < 0 ? rc : check_meta(&s, out);
}
