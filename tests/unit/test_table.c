/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Partition tables: what is read, what is refused, and that no damage goes unnoticed or crashes. */
#include <errno.h>

#include "unit.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"
#include "base/run.h"
#include "disk/disk.h"
#include "image.h"

#define SECTORS	      4096
#define ENTRY(i)      (2 * 512 + 128 * (i))
#define BACKUP_LIST   ((SECTORS - 33) * 512)
#define BACKUP_HEADER ((SECTORS - 1) * 512)

static int read_cut(struct arena *a, const struct image *i, size_t n, struct disk_table *t)
{
	CLEANUP_CLOSE int fd = image_open(i, n);

	return disk_table_read(a, fd, "sdx", n, 512, t);
}

static int read_image(struct arena *a, const struct image *i, struct disk_table *t)
{
	return read_cut(a, i, i->bytes, t);
}

/* ---- MBR ---- */

static void put_slot(uint8_t *sector, int slot, uint8_t flag, uint8_t type, uint32_t first,
		     uint32_t count)
{
	uint8_t *at = sector + 446 + 16 * slot;

	at[0] = flag;
	at[4] = type;
	put_le(at + 8, first, 4);
	put_le(at + 12, count, 4);
	put_le(sector + 510, 0xaa55, 2);
}

/* Two primaries, one of them active, and an extended partition with two logical ones. */
static struct image mbr_image(void)
{
	struct image i = image_new(SECTORS * 512);

	put_le(i.data + 440, 0xdeadbeef, 4);
	memset(i.data, 0x90, 100);
	put_slot(i.data, 0, 0x80, 0x83, 64, 512);
	put_slot(i.data, 1, 0, 0x82, 576, 128);
	put_slot(i.data, 2, 0, 0x05, 1024, 2048);
	put_slot(i.data + 1024 * 512, 0, 0, 0x83, 64, 512);
	put_slot(i.data + 1024 * 512, 1, 0, 0x05, 1024, 1024);
	put_slot(i.data + 2048 * 512, 0, 0, 0x8e, 64, 960);
	return i;
}

static void mbr_with_logical_partitions_is_read(void **state)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_IMAGE struct image i = mbr_image();
	struct disk_table t;

	(void)state;
	assert_int_equal(read_image(a, &i, &t), 0);
	assert_int_equal(t.kind, DISK_TABLE_MBR);
	assert_string_equal(t.id, "deadbeef");
	assert_true(t.boot_code);
	assert_int_equal(t.count, 5);
	assert_int_equal(t.partitions[0].number, 1);
	assert_true(t.partitions[0].bootable);
	assert_string_equal(t.partitions[0].type, "0x83");
	assert_string_equal(t.partitions[0].uuid, "deadbeef-01");
	assert_true(t.partitions[2].extended);
	assert_int_equal(t.partitions[3].number, 5);
	assert_int_equal(t.partitions[3].offset_bytes, 1088 * 512);
	assert_int_equal(t.partitions[4].number, 6);
	assert_int_equal(t.partitions[4].offset_bytes, 2112 * 512);
	assert_string_equal(t.partitions[4].uuid, "deadbeef-06");
	assert_int_equal(t.meta.count, 3);
	assert_int_equal(t.meta.list[1].offset_bytes, 1024 * 512);
	assert_int_equal(t.meta.list[2].offset_bytes, 2048 * 512);
	assert_int_equal(t.meta.total_bytes, 3 * 512);
}

static void assert_invalid(const struct image *i)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	struct disk_table t;

	assert_int_equal(read_image(a, i, &t), -EINVAL);
	assert_string_equal(err_code(), "TABLE_INVALID");
}

static void mbr_that_contradicts_itself_is_refused(void **state)
{
	CLEANUP_IMAGE struct image loop = mbr_image();
	CLEANUP_IMAGE struct image overlap = mbr_image();
	CLEANUP_IMAGE struct image outside = mbr_image();
	CLEANUP_IMAGE struct image escape = mbr_image();
	CLEANUP_IMAGE struct image covers = mbr_image();

	(void)state;
	put_slot(loop.data + 2048 * 512, 1, 0, 0x05, 1024, 1024);
	assert_invalid(&loop);
	put_slot(overlap.data, 1, 0, 0x82, 575, 128);
	assert_invalid(&overlap);
	put_slot(outside.data, 1, 0, 0x82, 4000, 128);
	assert_invalid(&outside);
	put_slot(escape.data + 1024 * 512, 1, 0, 0x05, 4096, 1024);
	assert_invalid(&escape);
	put_slot(covers.data, 0, 0x80, 0x83, 0, 512);
	assert_invalid(&covers);
}

static void sectors_without_a_table_are_no_error(void **state)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_IMAGE struct image empty = image_new(SECTORS * 512);
	CLEANUP_IMAGE struct image fat = image_new(SECTORS * 512);
	struct disk_table t;

	(void)state;
	assert_int_equal(read_image(a, &empty, &t), 0);
	assert_int_equal(t.kind, DISK_TABLE_NONE);
	/* A boot sector of FAT: a jump, and text where a table would be. */
	memcpy(fat.data, "\xeb\x3c\x90mkfs.fat", 11);
	memset(fat.data + 446, 'x', 64);
	put_le(fat.data + 510, 0xaa55, 2);
	assert_int_equal(read_image(a, &fat, &t), 0);
	assert_int_equal(t.kind, DISK_TABLE_NONE);
}

/* ---- GPT ---- */

static void gpt_seal(struct image *i, size_t header)
{
	uint8_t *h = i->data + header;
	size_t list = 0;

	memcpy(&list, h + 72, 4);
	put_le(h + 88, ~plain_crc(~0u, i->data + list * 512, 128 * 128), 4);
	put_le(h + 16, 0, 4);
	put_le(h + 16, ~plain_crc(~0u, h, 92), 4);
}

static void gpt_header(struct image *i, size_t at, uint64_t my, uint64_t other, uint64_t list)
{
	uint8_t *h = i->data + at;

	memcpy(h, "EFI PART", 8);
	put_le(h + 8, 0x10000, 4);
	put_le(h + 12, 92, 4);
	put_le(h + 24, my, 8);
	put_le(h + 32, other, 8);
	put_le(h + 40, 34, 8);
	put_le(h + 48, SECTORS - 34, 8);
	for (int b = 0; b < 16; b++)
		h[56 + b] = (uint8_t)b;
	put_le(h + 72, list, 8);
	put_le(h + 80, 128, 4);
	put_le(h + 84, 128, 4);
}

static void gpt_entry(struct image *i, int entry, uint64_t first, uint64_t last, const char *name)
{
	uint8_t *e = i->data + ENTRY(entry);

	memset(e, 0xaa, 16);
	memset(e + 16, entry + 1, 16);
	put_le(e + 32, first, 8);
	put_le(e + 40, last, 8);
	for (size_t n = 0; name[n]; n++)
		put_le(e + 56 + 2 * n, (uint8_t)name[n], 2);
}

static void gpt_finish(struct image *i)
{
	memcpy(i->data + BACKUP_LIST, i->data + ENTRY(0), 128 * 128);
	gpt_seal(i, 512);
	gpt_seal(i, BACKUP_HEADER);
}

static struct image gpt_image(void)
{
	struct image i = image_new(SECTORS * 512);

	put_slot(i.data, 0, 0, 0xee, 1, SECTORS - 1);
	gpt_header(&i, 512, 1, SECTORS - 1, 2);
	gpt_header(&i, BACKUP_HEADER, SECTORS - 1, 1, SECTORS - 33);
	gpt_entry(&i, 0, 64, 127, "boot");
	gpt_entry(&i, 5, 2048, SECTORS - 34, "data");
	gpt_entry(&i, 2, 128, 1023, "");
	put_le(i.data + ENTRY(2) + 48, 4, 8);
	/* U+00E4, then U+1F427 as a pair, then half a pair. */
	put_le(i.data + ENTRY(2) + 56, 0xd83d00e4, 4);
	put_le(i.data + ENTRY(2) + 60, 0xd800dc27, 4);
	gpt_finish(&i);
	return i;
}

static void gpt_is_read(void **state)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_IMAGE struct image i = gpt_image();
	struct disk_table t;

	(void)state;
	assert_int_equal(read_image(a, &i, &t), 0);
	assert_int_equal(t.kind, DISK_TABLE_GPT);
	assert_false(t.gpt_primary_bad);
	assert_false(t.boot_code);
	assert_string_equal(t.id, "03020100-0504-0706-0809-0a0b0c0d0e0f");
	assert_int_equal(t.gpt_backup_lba, SECTORS - 1);
	assert_int_equal(t.count, 3);
	assert_int_equal(t.partitions[0].number, 1);
	assert_string_equal(t.partitions[0].label, "boot");
	assert_int_equal(t.partitions[0].offset_bytes, 64 * 512);
	assert_int_equal(t.partitions[0].length_bytes, 64 * 512);
	assert_int_equal(t.partitions[1].number, 3);
	assert_true(t.partitions[1].bootable);
	assert_string_equal(t.partitions[1].label, "\xc3\xa4\xf0\x9f\x90\xa7\xef\xbf\xbd");
	assert_int_equal(t.partitions[2].number, 6);
	assert_int_equal(t.meta.count, 2);
	assert_int_equal(t.meta.list[0].length_bytes, 34 * 512);
	assert_int_equal(t.meta.list[1].offset_bytes, BACKUP_LIST);
	assert_int_equal(t.meta.list[1].length_bytes, 33 * 512);
}

static void a_damaged_primary_gives_way_to_the_backup(void **state)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	struct disk_table t;

	(void)state;
	for (size_t at = 512; at < 512 + 92; at++) {
		CLEANUP_IMAGE struct image i = gpt_image();

		i.data[at] ^= 0x40;
		assert_int_equal(read_image(a, &i, &t), 0);
		assert_true(t.gpt_primary_bad);
		assert_int_equal(t.count, 3);
	}
	for (size_t at = ENTRY(0); at < ENTRY(3); at += 7) {
		CLEANUP_IMAGE struct image i = gpt_image();

		i.data[at] ^= 1;
		assert_int_equal(read_image(a, &i, &t), 0);
		assert_true(t.gpt_primary_bad);
	}
}

static void gpt_that_contradicts_itself_is_refused(void **state)
{
	CLEANUP_IMAGE struct image both = gpt_image();
	CLEANUP_IMAGE struct image overlap = gpt_image();
	CLEANUP_IMAGE struct image outside = gpt_image();
	CLEANUP_IMAGE struct image backwards = gpt_image();
	CLEANUP_IMAGE struct image huge = gpt_image();

	(void)state;
	both.data[512] ^= 1;
	both.data[BACKUP_HEADER] ^= 1;
	assert_invalid(&both);
	gpt_entry(&overlap, 1, 100, 200, "");
	gpt_finish(&overlap);
	assert_invalid(&overlap);
	gpt_entry(&outside, 1, SECTORS - 40, SECTORS - 20, "");
	gpt_finish(&outside);
	assert_invalid(&outside);
	gpt_entry(&backwards, 1, 1500, 1400, "");
	gpt_finish(&backwards);
	assert_invalid(&backwards);
	gpt_entry(&huge, 1, 1500, UINT64_MAX, "");
	gpt_finish(&huge);
	assert_invalid(&huge);
}

static void impossible_sizes_in_a_header_are_refused(void **state)
{
	static const struct {
		size_t at;
		uint64_t value;
		size_t bytes;
	} cases[] = {
		{12, 0, 4},	     {12, 91, 4},	  {12, 513, 4}, {12, UINT32_MAX, 4},
		{24, 2, 8},	     {72, 0, 8},	  {72, 1, 8},	{72, SECTORS - 1, 8},
		{72, UINT64_MAX, 8}, {80, UINT32_MAX, 4}, {84, 0, 4},	{84, 127, 4},
		{84, 130, 4},	     {84, UINT32_MAX, 4},
	};

	(void)state;
	for (size_t n = 0; n < ARRAY_SIZE(cases); n++) {
		CLEANUP_IMAGE struct image i = gpt_image();
		uint8_t *h = i.data + 512;

		i.data[BACKUP_HEADER] ^= 1;
		put_le(h + cases[n].at, cases[n].value, cases[n].bytes);
		put_le(h + 16, 0, 4);
		put_le(h + 16, ~plain_crc(~0u, h, 92), 4);
		assert_invalid(&i);
	}
}

static void disks_cut_at_any_byte_do_no_harm(void **state)
{
	CLEANUP_IMAGE struct image gpt = gpt_image();
	CLEANUP_IMAGE struct image mbr = mbr_image();
	struct disk_table t;

	(void)state;
	for (size_t n = 0; n < gpt.bytes; n += n < 3000 ? 1 : 509) {
		CLEANUP_ARENA struct arena *a = arena_new();
		int rc = read_cut(a, &gpt, n, &t);

		assert_true(rc == 0 || rc == -EINVAL || rc == -EIO);
		rc = read_cut(a, &mbr, n, &t);
		assert_true(rc == 0 || rc == -EINVAL || rc == -EIO);
	}
}

/* The same table on a disk whose sectors have 4096 bytes: every number counts those. */
static void sectors_of_4096_bytes_are_counted(void **state)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_IMAGE struct image i = image_new(256 * 4096);
	CLEANUP_CLOSE int fd = -1;
	uint8_t *h = i.data + 4096, *e = i.data + 2 * 4096;
	struct disk_table t;

	(void)state;
	put_slot(i.data, 0, 0, 0xee, 1, 255);
	gpt_header(&i, 4096, 1, 255, 2);
	put_le(h + 40, 6, 8);
	put_le(h + 48, 250, 8);
	memset(e, 0xaa, 32);
	put_le(e + 32, 16, 8);
	put_le(e + 40, 31, 8);
	put_le(h + 88, ~plain_crc(~0u, e, 128 * 128), 4);
	put_le(h + 16, ~plain_crc(~0u, h, 92), 4);
	fd = image_open(&i, i.bytes);
	assert_int_equal(disk_table_read(a, fd, "nvme0n1", i.bytes, 4096, &t), 0);
	assert_int_equal(t.count, 1);
	assert_int_equal(t.partitions[0].offset_bytes, 16 * 4096);
	assert_int_equal(t.partitions[0].length_bytes, 16 * 4096);
	assert_int_equal(t.meta.list[0].length_bytes, 6 * 4096);
	/* With the wrong size of sectors there is no header where one is expected. */
	assert_int_equal(disk_table_read(a, fd, "nvme0n1", i.bytes, 512, &t), -EINVAL);
}

/* ---- growing ---- */

static void a_resized_gpt_describes_the_same_partitions(void **state)
{
	CLEANUP_ARENA struct arena *a = arena_new();

	(void)state;
	for (int damaged = 0; damaged < 2; damaged++)
		for (uint64_t grow = 0; grow <= 2048; grow += 512) {
			CLEANUP_IMAGE struct image i = gpt_image();
			CLEANUP_IMAGE struct image big = image_new((SECTORS + grow) * 512);
			CLEANUP_CLOSE int fd = -1;
			const void *primary, *backup;
			size_t primary_bytes, backup_bytes;
			uint64_t backup_at;
			struct disk_table t, fresh;

			i.data[512] ^= (uint8_t)damaged;
			fd = image_open(&i, i.bytes);
			assert_int_equal(disk_table_read(a, fd, "sdx", i.bytes, 512, &t), 0);
			assert_int_equal(disk_gpt_resized(a, fd, "sdx", &t, big.bytes, &primary,
							  &primary_bytes, &backup, &backup_bytes,
							  &backup_at),
					 0);
			memcpy(big.data, primary, primary_bytes);
			assert_int_equal(backup_at + backup_bytes, big.bytes);
			memcpy(big.data + backup_at, backup, backup_bytes);
			assert_int_equal(read_image(a, &big, &fresh), 0);
			assert_false(fresh.gpt_primary_bad);
			assert_int_equal(fresh.gpt_backup_lba, SECTORS + grow - 1);
			assert_int_equal(fresh.count, t.count);
			assert_string_equal(fresh.id, t.id);
			for (size_t p = 0; p < t.count; p++) {
				assert_int_equal(fresh.partitions[p].offset_bytes,
						 t.partitions[p].offset_bytes);
				assert_string_equal(fresh.partitions[p].uuid, t.partitions[p].uuid);
			}
			/* And the backup alone is enough. */
			big.data[512] ^= 1;
			assert_int_equal(read_image(a, &big, &fresh), 0);
			assert_true(fresh.gpt_primary_bad);
			assert_int_equal(fresh.count, t.count);
		}
}

/* What another program thinks of it: no complaint, and the partitions that there were. */
static void sfdisk_has_nothing_to_say_about_a_resized_gpt(void **state)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_RUN struct run_result verify = {0};
	CLEANUP_RUN struct run_result dump = {0};
	char path[] = "/tmp/test_table.XXXXXX";
	CLEANUP_CLOSE int fd = mkstemp(path);
	const char *const make[] = {
		"/bin/sh", "-c",
		"printf 'label: gpt\\nstart=2048,size=4096,name=one\\nstart=8192,size=1000\\n' | "
		"sfdisk -q \"$0\"",
		path, NULL};
	const void *primary, *backup;
	size_t primary_bytes, backup_bytes;
	struct disk_table t;
	uint64_t backup_at;

	(void)state;
	assert_int_equal(ftruncate(fd, 10 * MIB + 512 * 33), 0);
	assert_int_equal(run_check(make, 60000), 0);
	assert_int_equal(disk_table_read(a, fd, "sdx", 10 * MIB + 512 * 33, 512, &t), 0);
	assert_int_equal(t.count, 2);
	assert_string_equal(t.partitions[0].label, "one");
	assert_int_equal(disk_gpt_resized(a, fd, "sdx", &t, 64 * MIB, &primary, &primary_bytes,
					  &backup, &backup_bytes, &backup_at),
			 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(ftruncate(fd, 64 * MIB), 0);
	assert_int_equal(io_pwrite(fd, primary, primary_bytes, 0, path), 0);
	assert_int_equal(io_pwrite(fd, backup, backup_bytes, backup_at, path), 0);
	assert_int_equal(run_capture((const char *const[]){"sfdisk", "--verify", path, NULL}, 60000,
				     &verify),
			 0);
	assert_int_equal(
		run_capture((const char *const[]){"sfdisk", "-d", path, NULL}, 60000, &dump), 0);
	unlink(path);
	assert_int_equal(verify.exit_status, 0);
	assert_string_equal(verify.err, "");
	assert_non_null(strstr(dump.out, "last-lba: 131038"));
	assert_non_null(strstr(dump.out, "start=        2048, size=        4096"));
	assert_non_null(strstr(dump.out, "start=        8192, size=        1000"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mbr_with_logical_partitions_is_read),
		cmocka_unit_test(mbr_that_contradicts_itself_is_refused),
		cmocka_unit_test(sectors_without_a_table_are_no_error),
		cmocka_unit_test(gpt_is_read),
		cmocka_unit_test(a_damaged_primary_gives_way_to_the_backup),
		cmocka_unit_test(gpt_that_contradicts_itself_is_refused),
		cmocka_unit_test(impossible_sizes_in_a_header_are_refused),
		cmocka_unit_test(sectors_of_4096_bytes_are_counted),
		cmocka_unit_test(disks_cut_at_any_byte_do_no_harm),
		cmocka_unit_test(a_resized_gpt_describes_the_same_partitions),
		cmocka_unit_test(sfdisk_has_nothing_to_say_about_a_resized_gpt),
	};

	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
