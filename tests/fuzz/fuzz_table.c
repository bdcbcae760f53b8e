/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Partition tables: whatever the bytes are, an answer; and a table that is taken obeys its rules.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/num.h"
#include "disk/crc.h"
#include "disk/disk.h"

#define DISK_MAX_BYTES (64 * KIB)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t le32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put_le32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

/* Checksums would hide the parser from the fuzzer, so they are put right before parsing. */
static void seal(uint8_t *disk, size_t bytes, size_t at)
{
	uint8_t *h = disk + at;
	uint64_t list, length;

	if (at + 512 > bytes || memcmp(h, "EFI PART", 8))
		return;
	list = (uint64_t)le32(h + 72) * 512;
	length = (uint64_t)le32(h + 80) * le32(h + 84);
	if (range_ok(list, length, bytes))
		put_le32(h + 88, crc32_efi(disk + list, length));
	put_le32(h + 16, 0);
	if (le32(h + 12) >= 92 && le32(h + 12) <= 512)
		put_le32(h + 16, crc32_efi(h, le32(h + 12)));
}

static void check(const struct disk_table *t, uint64_t bytes)
{
	uint64_t end = 0;

	for (size_t i = 0; i < t->meta.count; i++) {
		assert(t->meta.list[i].offset_bytes >= end);
		end = t->meta.list[i].offset_bytes + t->meta.list[i].length_bytes;
		assert(end <= bytes);
	}
	end = 0;
	for (size_t i = 0; i < t->count; i++) {
		const struct disk_partition *p = &t->partitions[i];

		assert(range_ok(p->offset_bytes, p->length_bytes, bytes));
		if (p->extended)
			continue;
		assert(p->offset_bytes >= end);
		end = p->offset_bytes + p->length_bytes;
	}
}

static void resize(struct arena *a, int fd, const struct disk_table *t, uint64_t bytes)
{
	const void *primary, *backup;
	size_t primary_bytes, backup_bytes;
	uint64_t at, grown = round_down(bytes, 512) + 4096;

	if (disk_gpt_resized(a, fd, "fuzz", t, grown, &primary, &primary_bytes, &backup,
			     &backup_bytes, &at) == 0)
		assert(at + backup_bytes == grown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_CLOSE int fd = memfd_create("disk", MFD_CLOEXEC);
	CLEANUP_FREE uint8_t *disk = malloc(size + 1);
	struct disk_table t;

	if (size > DISK_MAX_BYTES || size < 512)
		return 0;
	memcpy(disk, data, size);
	seal(disk, size, 512);
	seal(disk, size, (size / 512 - 1) * 512);
	if (write(fd, disk, size) != (ssize_t)size)
		return 0;
	if (disk_table_read(a, fd, "fuzz", size, 512, &t) < 0)
		return 0;
	check(&t, size);
	if (t.kind == DISK_TABLE_GPT)
		resize(a, fd, &t, size);
	return 0;
}
