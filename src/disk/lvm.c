/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A physical volume on disk (lvm2: lib/format_text/layout.h, lib/label/label.h): a label in one of
 * the first four sectors, and metadata areas, each a ring of text behind a header of one sector.
 *
 *   label sector: "LABELONE" sector crc offset "LVM2 001" | pv uuid, size, data areas, metadata
 *                                                           areas, extension with bootloader areas
 *   area header:  crc, magic, version, start, size | offset, size, crc, flags of the text
 */
#include "disk/lvm.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"
#include "disk/crc.h"

#define LABEL_SECTORS	 4
#define CRC_SEED	 0xf597a6cfu
#define AREA_HEAD_BYTES	 512
#define AREAS_MAX	 16
#define TEXT_MAX_BYTES	 (16 * MIB)
#define LOCATION_IGNORED 1
#define AREA_MAGIC	 "\040\114\126\115\062\040\170\133\065\101\045\162\060\116\052\076"

struct lvm_pv_source {
	struct arena *arena;
	int fd;
	const char *name;
	uint64_t offset_bytes;
	uint64_t length_bytes;
};

int lvm_invalid(const char *name, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return fail_code(EINVAL, "LVM_INVALID", "LVM metadata of %s: %s", name, text);
}

/* "iapJ3w-..." from the 32 characters that stand in binary headers. */
static const char *uuid_text(struct arena *a, const uint8_t raw[LVM_UUID_CHARS])
{
	const char *r = (const char *)raw;

	return arena_printf(a, "%.6s-%.4s-%.4s-%.4s-%.4s-%.4s-%.6s", r, r + 6, r + 10, r + 14,
			    r + 18, r + 22, r + 26);
}

static bool uuid_ok(const uint8_t raw[LVM_UUID_CHARS])
{
	for (int i = 0; i < LVM_UUID_CHARS; i++)
		if (raw[i] <= ' ' || raw[i] >= 0x7f)
			return false;
	return true;
}

static int pv_read(const struct lvm_pv_source *s, void *buf, size_t bytes, uint64_t at)
{
	if (!range_ok(at, bytes, s->length_bytes))
		return lvm_invalid(s->name, "it points behind the end of the volume");
	return io_pread(s->fd, buf, bytes, s->offset_bytes + at, s->name);
}

/* The label sector, or -EINVAL. */
static int find_label(const struct lvm_pv_source *s, uint8_t sector[LVM_SECTOR_BYTES],
		      size_t *header_offset)
{
	for (uint64_t i = 0; i < LABEL_SECTORS; i++) {
		struct cursor c = cursor_of(sector, LVM_SECTOR_BYTES);
		uint32_t crc;
		int rc = pv_read(s, sector, LVM_SECTOR_BYTES, i * LVM_SECTOR_BYTES);

		if (rc < 0)
			return rc;
		if (memcmp(cursor_bytes(&c, 8), "LABELONE", 8))
			continue;
		if (cursor_le64(&c) != i)
			continue;
		crc = cursor_le32(&c);
		if (crc32_raw(CRC_SEED, sector + 20, LVM_SECTOR_BYTES - 20) != crc)
			return lvm_invalid(s->name, "the checksum of its label is wrong");
		*header_offset = cursor_le32(&c);
		if (memcmp(cursor_bytes(&c, 8), "LVM2 001", 8))
			return lvm_invalid(s->name, "its label is of an unknown kind");
		if (*header_offset < 32 || *header_offset > LVM_SECTOR_BYTES)
			return lvm_invalid(s->name, "its label has no room for a header");
		return 0;
	}
	return lvm_invalid(s->name, "there is no label");
}

/* A list of {offset, size} that ends in a pair of zeros. */
static size_t read_areas(struct cursor *c, struct disk_extent list[AREAS_MAX])
{
	size_t count = 0;

	while (cursor_ok(c)) {
		uint64_t offset = cursor_le64(c), size = cursor_le64(c);

		if (!offset && !size)
			break;
		if (count == AREAS_MAX)
			cursor_fail(c);
		else
			list[count++] = (struct disk_extent){offset, size};
	}
	return count;
}

/* The text of one area as a VG. *vg stays NULL when the area holds none. */
static int read_text(const struct lvm_pv_source *s, const struct disk_extent *area,
		     struct cursor location, struct disk_lvm_vg **vg)
{
	uint64_t offset = cursor_le64(&location), size = cursor_le64(&location);
	uint32_t crc = cursor_le32(&location), flags = cursor_le32(&location);
	uint64_t first, ring = area->length_bytes - AREA_HEAD_BYTES;
	CLEANUP_FREE char *text = NULL;
	int rc;

	if (!offset || !size || flags & LOCATION_IGNORED)
		return 0;
	if (offset < AREA_HEAD_BYTES || offset >= area->length_bytes || size > ring ||
	    size > TEXT_MAX_BYTES)
		return lvm_invalid(s->name, "its text is said to be outside its area");
	text = malloc(size);
	if (!text)
		return fail(ENOMEM, "LVM metadata of %s", s->name);
	first = min_of(size, area->length_bytes - offset);
	rc = pv_read(s, text, first, area->offset_bytes + offset);
	if (rc == 0 && size > first)
		rc = pv_read(s, text + first, size - first, area->offset_bytes + AREA_HEAD_BYTES);
	if (rc < 0)
		return rc;
	if (crc32_raw(CRC_SEED, text, size) != crc)
		return lvm_invalid(s->name, "the checksum of its text is wrong");
	return lvm_vg_parse(s->arena, text, strnlen(text, size), s->name, vg);
}

static int read_area(const struct lvm_pv_source *s, const struct disk_extent *area,
		     struct disk_lvm_vg **vg)
{
	uint8_t head[AREA_HEAD_BYTES] = {0};
	struct cursor c = cursor_of(head, sizeof(head));
	uint32_t crc;
	int rc;

	if (area->length_bytes <= AREA_HEAD_BYTES ||
	    !range_ok(area->offset_bytes, area->length_bytes, s->length_bytes))
		return lvm_invalid(s->name, "a metadata area lies outside the volume");
	rc = pv_read(s, head, sizeof(head), area->offset_bytes);
	if (rc < 0)
		return rc;
	crc = cursor_le32(&c);
	if (crc32_raw(CRC_SEED, head + 4, sizeof(head) - 4) != crc)
		return lvm_invalid(s->name, "the checksum of a metadata area is wrong");
	if (memcmp(cursor_bytes(&c, 16), AREA_MAGIC, 16) || cursor_le32(&c) != 1)
		return lvm_invalid(s->name, "a metadata area is of an unknown kind");
	if (cursor_le64(&c) != area->offset_bytes || cursor_le64(&c) != area->length_bytes)
		return lvm_invalid(s->name, "a metadata area belongs to another place");
	return read_text(s, area, c, vg);
}

static int by_offset(const void *a, const void *b)
{
	const struct disk_extent *x = a, *y = b;

	return (x->offset_bytes > y->offset_bytes) - (x->offset_bytes < y->offset_bytes);
}

/* Label sectors and areas, without overlap. */
static int claim_meta(const struct lvm_pv_source *s, struct disk_extent *areas, size_t count,
		      struct disk_extents *meta)
{
	uint64_t end = min_of((uint64_t)LABEL_SECTORS * LVM_SECTOR_BYTES, s->length_bytes);

	disk_extents_add(s->arena, meta, 0, end);
	qsort(areas, count, sizeof(*areas), by_offset);
	for (size_t i = 0; i < count; i++) {
		uint64_t start = max_of(areas[i].offset_bytes, end), area_end;

		if (!range_ok(areas[i].offset_bytes, areas[i].length_bytes, s->length_bytes))
			return lvm_invalid(s->name, "an area lies outside the volume");
		area_end = areas[i].offset_bytes + areas[i].length_bytes;
		if (area_end > start)
			disk_extents_add(s->arena, meta, start, area_end - start);
		end = max_of(end, area_end);
	}
	return 0;
}

/*
 * Of several areas the newest text counts; a damaged one beside a good one is LVM's own problem to
 * mend, and is copied as it is.
 */
static int read_newest(const struct lvm_pv_source *s, const struct disk_extent *areas, size_t count,
		       struct disk_lvm_vg **out)
{
	int failed = 0;

	for (size_t i = 0; i < count; i++) {
		struct disk_lvm_vg *vg = NULL;
		int rc = read_area(s, &areas[i], &vg);

		if (rc == -EINVAL)
			failed = rc;
		else if (rc < 0)
			return rc;
		if (vg && (!*out || vg->seqno > (*out)->seqno))
			*out = vg;
	}
	return *out ? 0 : failed;
}

int disk_lvm_read(struct arena *a, int fd, const char *name, uint64_t offset_bytes,
		  uint64_t length_bytes, struct disk_lvm_label *out)
{
	struct lvm_pv_source s = {.arena = a,
				  .fd = fd,
				  .name = name,
				  .offset_bytes = offset_bytes,
				  .length_bytes = length_bytes};
	struct disk_extent data[AREAS_MAX], areas[3 * AREAS_MAX];
	uint8_t sector[LVM_SECTOR_BYTES] = {0}, uuid[LVM_UUID_CHARS];
	size_t header = 0, texts, all;
	struct cursor c;
	int rc = find_label(&s, sector, &header);

	*out = (struct disk_lvm_label){0};
	if (rc < 0)
		return rc;
	c = cursor_of(sector + header, LVM_SECTOR_BYTES - header);
	cursor_copy(&c, uuid, sizeof(uuid));
	cursor_skip(&c, 8);
	read_areas(&c, data);
	texts = read_areas(&c, areas);
	if (!cursor_ok(&c) || !uuid_ok(uuid))
		return lvm_invalid(name, "its header makes no sense");
	out->pv_uuid = uuid_text(a, uuid);
	rc = read_newest(&s, areas, texts, &out->vg);
	if (rc < 0)
		return rc;
	/* The extension is younger than the format; without it there are zeros or nothing. */
	all = texts;
	if (cursor_le32(&c) >= 1) {
		cursor_skip(&c, 4);
		all += read_areas(&c, areas + texts);
	}
	return claim_meta(&s, areas, all, &out->meta);
}
