/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * GUID partition table, UEFI 2.10 sections 5.3.2 (header) and 5.3.3 (entries): reading from the
 * primary or, when that is damaged, the backup; and rewriting both for a larger disk.
 */
#include "disk/table.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"
#include "disk/crc.h"

#define HEADER_MIN_BYTES  92u
#define ENTRY_MIN_BYTES	  128u
#define ENTRIES_MAX_BYTES (4 * MIB)
#define PRIMARY_MAX_BYTES (16 * MIB)
#define NAME_UNITS	  36
#define GUID_BYTES	  16

struct gpt_header {
	uint32_t header_bytes;
	uint64_t my_lba;
	uint64_t alternate_lba;
	uint64_t first_usable_lba;
	uint64_t last_usable_lba;
	uint8_t disk_guid[GUID_BYTES];
	uint64_t entries_lba;
	uint32_t entry_count;
	uint32_t entry_bytes;
	uint32_t entries_crc;
	uint64_t entries_sectors; /* derived */
};

static uint64_t last_lba(const struct table_source *s)
{
	return s->disk_bytes / s->sector_bytes - 1;
}

/* NULL, or what is wrong with it. */
static const char *header_parse(const struct table_source *s, const uint8_t *sector, uint64_t lba,
				struct gpt_header *h)
{
	struct cursor c = cursor_of(sector, s->sector_bytes);
	static const uint8_t no_crc[4];
	uint32_t crc, sum;

	if (memcmp(cursor_bytes(&c, 8), "EFI PART", 8))
		return "it has no signature";
	cursor_skip(&c, 4);
	h->header_bytes = cursor_le32(&c);
	crc = cursor_le32(&c);
	cursor_skip(&c, 4);
	h->my_lba = cursor_le64(&c);
	h->alternate_lba = cursor_le64(&c);
	h->first_usable_lba = cursor_le64(&c);
	h->last_usable_lba = cursor_le64(&c);
	cursor_copy(&c, h->disk_guid, GUID_BYTES);
	h->entries_lba = cursor_le64(&c);
	h->entry_count = cursor_le32(&c);
	h->entry_bytes = cursor_le32(&c);
	h->entries_crc = cursor_le32(&c);
	if (h->header_bytes < HEADER_MIN_BYTES || h->header_bytes > s->sector_bytes)
		return "its size is impossible";
	sum = crc32_raw(~0u, sector, 16);
	sum = crc32_raw(sum, no_crc, sizeof(no_crc));
	sum = ~crc32_raw(sum, sector + 20, h->header_bytes - 20);
	if (sum != crc)
		return "its checksum is wrong";
	if (h->my_lba != lba)
		return "it belongs to another place";
	if (h->entry_bytes < ENTRY_MIN_BYTES || h->entry_bytes % 8 ||
	    (uint64_t)h->entry_bytes * h->entry_count > ENTRIES_MAX_BYTES)
		return "its list of partitions has an impossible size";
	h->entries_sectors =
		div_up((uint64_t)h->entry_bytes * h->entry_count, (uint64_t)s->sector_bytes);
	if (h->entries_lba < 2 || !range_ok(h->entries_lba, h->entries_sectors, last_lba(s) + 1))
		return "its list of partitions lies outside the disk";
	return NULL;
}

/*
 * Header and entries of the copy at lba. 0, or -EINVAL with *wrong set (a damaged copy, no reason
 * written), or another error with its reason.
 */
static int copy_read(const struct table_source *s, uint64_t lba, struct gpt_header *h,
		     const uint8_t **entries, const char **wrong)
{
	uint8_t sector[4096];
	uint8_t *list;
	size_t bytes;
	int rc = io_pread(s->fd, sector, s->sector_bytes, lba * s->sector_bytes, s->name);

	if (rc < 0)
		return rc;
	*wrong = header_parse(s, sector, lba, h);
	if (*wrong)
		return -EINVAL;
	bytes = (size_t)h->entry_bytes * h->entry_count;
	list = arena_alloc(s->arena, bytes);
	rc = io_pread(s->fd, list, bytes, h->entries_lba * s->sector_bytes, s->name);
	if (rc < 0)
		return rc;
	if (crc32_efi(list, bytes) != h->entries_crc) {
		*wrong = "the checksum of its list of partitions is wrong";
		return -EINVAL;
	}
	*entries = list;
	return 0;
}

/* Whichever copy is good; *primary_bad tells that it is the backup. */
static int either_read(const struct table_source *s, struct gpt_header *h, const uint8_t **entries,
		       bool *primary_bad)
{
	const char *wrong = NULL, *wrong_too = NULL;
	int rc = copy_read(s, 1, h, entries, &wrong);

	*primary_bad = false;
	if (rc == 0 || !wrong)
		return rc;
	*primary_bad = true;
	rc = copy_read(s, last_lba(s), h, entries, &wrong_too);
	if (rc < 0 && wrong_too)
		return table_invalid(s, "the GPT is damaged: its first copy (%s) and its last (%s)",
				     wrong, wrong_too);
	return rc;
}

static const char *guid_text(struct arena *a, const uint8_t g[GUID_BYTES])
{
	return arena_printf(a,
			    "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
			    g[3], g[2], g[1], g[0], g[5], g[4], g[7], g[6], g[8], g[9], g[10],
			    g[11], g[12], g[13], g[14], g[15]);
}

static size_t utf8_put(char *out, uint32_t c)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 63));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 63));
		out[2] = (char)(0x80 | (c & 63));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 63));
	out[2] = (char)(0x80 | (c >> 6 & 63));
	out[3] = (char)(0x80 | (c & 63));
	return 4;
}

/* UTF-16LE to UTF-8; what is no character becomes U+FFFD, control characters too. NULL if empty. */
static const char *name_text(struct arena *a, const uint8_t *units)
{
	struct cursor c = cursor_of(units, 2 * NAME_UNITS);
	char text[4 * NAME_UNITS + 1];
	size_t used = 0;

	while (cursor_left(&c)) {
		uint32_t u = cursor_le16(&c);

		if (!u)
			break;
		if (u >= 0xd800 && u < 0xdc00 && cursor_left(&c)) {
			struct cursor ahead = c;
			uint32_t low = cursor_le16(&ahead);

			if (low >= 0xdc00 && low < 0xe000) {
				u = 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00);
				c = ahead;
			}
		}
		if ((u >= 0xd800 && u < 0xe000) || u < 0x20 || u == 0x7f)
			u = 0xfffd;
		used += utf8_put(text + used, u);
	}
	return used ? arena_strndup(a, text, used) : NULL;
}

static int add_entry(const struct table_source *s, struct disk_table *t, unsigned number,
		     const uint8_t *entry, const struct gpt_header *h)
{
	struct cursor c = cursor_of(entry, ENTRY_MIN_BYTES);
	const uint8_t *type = cursor_bytes(&c, GUID_BYTES);
	const uint8_t *unique = cursor_bytes(&c, GUID_BYTES);
	uint64_t first = cursor_le64(&c), last = cursor_le64(&c), flags = cursor_le64(&c);
	struct disk_partition *p;

	if (io_is_zero(type, GUID_BYTES))
		return 0;
	if (last < first || last > last_lba(s))
		return table_invalid(s,
				     "partition %u is said to take sectors %" PRIu64 " to %" PRIu64
				     " of a disk with %" PRIu64,
				     number, first, last, last_lba(s) + 1);
	if (first < h->first_usable_lba || last > h->last_usable_lba)
		return table_invalid(s, "partition %u lies outside the usable area", number);
	p = arena_push(s->arena, &t->partitions, &t->count);
	p->number = number;
	p->offset_bytes = first * s->sector_bytes;
	p->length_bytes = (last - first + 1) * s->sector_bytes;
	p->type = guid_text(s->arena, type);
	p->uuid = guid_text(s->arena, unique);
	p->label = name_text(s->arena, cursor_bytes(&c, 2 * NAME_UNITS));
	p->bootable = flags & 4;
	return 0;
}

static void claim(const struct table_source *s, struct disk_table *t, const struct gpt_header *h)
{
	table_meta_add(s, t, h->my_lba * s->sector_bytes, s->sector_bytes);
	table_meta_add(s, t, h->entries_lba * s->sector_bytes,
		       h->entries_sectors * s->sector_bytes);
}

int table_gpt_read(const struct table_source *s, struct disk_table *out)
{
	struct gpt_header h, other;
	const uint8_t *entries = NULL, *ignored = NULL;
	const char *wrong = NULL;
	int rc = either_read(s, &h, &entries, &out->gpt_primary_bad);

	if (rc < 0)
		return rc;
	out->kind = DISK_TABLE_GPT;
	out->id = guid_text(s->arena, h.disk_guid);
	out->gpt_backup_lba = out->gpt_primary_bad ? h.my_lba : h.alternate_lba;
	table_meta_add(s, out, 0, s->sector_bytes);
	claim(s, out, &h);
	for (uint32_t i = 0; i < h.entry_count; i++) {
		rc = add_entry(s, out, i + 1, entries + (size_t)i * h.entry_bytes, &h);
		if (rc < 0)
			return rc;
	}
	/* The other copy's place is the table's too; damaged, it is not worth a stop. */
	if (h.alternate_lba == h.my_lba || h.alternate_lba > last_lba(s))
		return 0;
	rc = copy_read(s, h.alternate_lba, &other, &ignored, &wrong);
	if (rc == 0)
		claim(s, out, &other);
	return rc < 0 && !wrong ? rc : 0;
}

/* ---- rewriting for a larger disk ---- */

struct gpt_layout {
	const struct table_source *s;
	const uint8_t *entries;
	size_t entries_bytes;
	struct gpt_header old;
	uint64_t new_last_lba;
	uint64_t backup_entries_lba;
};

/* A header of the new disk into its sector, from a good old one. */
static void header_build(const struct gpt_layout *l, const uint8_t *old_sector, uint64_t my_lba,
			 uint64_t alternate_lba, uint64_t entries_lba, uint8_t *sector)
{
	unsigned sector_bytes = l->s->sector_bytes;
	struct writer w;

	memcpy(sector, old_sector, sector_bytes);
	w = writer_of(sector, sector_bytes);
	w.at += 16;
	writer_le(&w, 0, 4);
	w.at += 4;
	writer_le(&w, my_lba, 8);
	writer_le(&w, alternate_lba, 8);
	w.at += 8;
	writer_le(&w, l->backup_entries_lba - 1, 8);
	w.at += GUID_BYTES;
	writer_le(&w, entries_lba, 8);
	w.at = sector + 16;
	writer_le(&w, crc32_efi(sector, l->old.header_bytes), 4);
}

/* The protective entry covers the whole disk; those of a hybrid MBR stay as they are. */
static void protect(uint8_t *mbr, uint64_t new_last_lba)
{
	struct table_slot slots[TABLE_MBR_ENTRIES];

	table_slots(mbr, slots);
	for (int i = 0; i < TABLE_MBR_ENTRIES; i++) {
		struct writer w = writer_of(mbr, TABLE_MBR_BYTES);

		w.at += TABLE_MBR_ENTRY_OFFSET + 16 * i + 12;
		if (slots[i].type == TABLE_TYPE_GPT_PROTECT && slots[i].first == 1)
			writer_le(&w, min_of(new_last_lba, (uint64_t)UINT32_MAX), 4);
	}
}

static int primary_build(const struct gpt_layout *l, const uint8_t *header, uint64_t entries_lba,
			 uint8_t **out, size_t *bytes)
{
	const struct table_source *s = l->s;
	uint64_t sectors = entries_lba + l->old.entries_sectors;
	uint8_t *primary;
	int rc;

	*bytes = sectors * s->sector_bytes;
	if (*bytes > PRIMARY_MAX_BYTES)
		return table_invalid(s, "the list of partitions stands %" PRIu64 " sectors in",
				     entries_lba);
	/* What stands between header and entries is kept as it is. */
	primary = arena_alloc(s->arena, *bytes);
	rc = io_pread(s->fd, primary, *bytes, 0, s->name);
	if (rc < 0)
		return rc;
	protect(primary, l->new_last_lba);
	header_build(l, header, 1, l->new_last_lba, entries_lba, primary + s->sector_bytes);
	memcpy(primary + entries_lba * s->sector_bytes, l->entries, l->entries_bytes);
	*out = primary;
	return 0;
}

/* Both copies must find room beside the partitions; on a larger disk they always do. */
static int check_room(const struct gpt_layout *l, const struct disk_table *table, bool primary_bad)
{
	uint64_t end = primary_bad ? 2 + l->old.entries_sectors : 0;

	for (size_t i = 0; i < table->count; i++) {
		const struct disk_partition *p = &table->partitions[i];
		uint64_t first = p->offset_bytes / l->s->sector_bytes;

		if (first < end ||
		    first + p->length_bytes / l->s->sector_bytes > l->backup_entries_lba)
			return table_invalid(l->s, "partition %u leaves no room for the table",
					     p->number);
	}
	return 0;
}

int disk_gpt_resized(struct arena *a, int fd, const char *name, const struct disk_table *table,
		     uint64_t new_disk_bytes, const void **primary, size_t *primary_bytes,
		     const void **backup, size_t *backup_bytes, uint64_t *backup_offset_bytes)
{
	struct table_source s = {
		.arena = a, .fd = fd, .name = name, .sector_bytes = table->sector_bytes};
	struct gpt_layout l = {.s = &s};
	uint8_t header[4096], *front = NULL, *back;
	bool primary_bad = false;
	int rc = io_size(fd, name, &s.disk_bytes);

	if (rc < 0)
		return rc;
	rc = either_read(&s, &l.old, &l.entries, &primary_bad);
	if (rc < 0)
		return rc;
	if (new_disk_bytes < s.disk_bytes || new_disk_bytes % s.sector_bytes)
		return fail(EINVAL, "resize the GPT of %s to %" PRIu64 " bytes", name,
			    new_disk_bytes);
	rc = io_pread(fd, header, s.sector_bytes, l.old.my_lba * s.sector_bytes, name);
	if (rc < 0)
		return rc;
	l.entries_bytes = (size_t)l.old.entry_bytes * l.old.entry_count;
	l.new_last_lba = new_disk_bytes / s.sector_bytes - 1;
	l.backup_entries_lba = l.new_last_lba - l.old.entries_sectors;
	rc = check_room(&l, table, primary_bad);
	if (rc < 0)
		return rc;
	rc = primary_build(&l, header, primary_bad ? 2 : l.old.entries_lba, &front, primary_bytes);
	if (rc < 0)
		return rc;
	*backup_bytes = (l.old.entries_sectors + 1) * s.sector_bytes;
	back = arena_alloc(a, *backup_bytes);
	memcpy(back, l.entries, l.entries_bytes);
	header_build(&l, header, l.new_last_lba, 1, l.backup_entries_lba,
		     back + l.old.entries_sectors * s.sector_bytes);
	*primary = front;
	*backup = back;
	*backup_offset_bytes = l.backup_entries_lba * s.sector_bytes;
	return 0;
}
