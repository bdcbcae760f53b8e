/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What stands on a volume, told from real file systems made by their own tools; and RAID members.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>

#include "unit.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"
#include "disk/disk.h"
#include "image.h"

/* A sparse file that argv's program is let loose on; its name stands in for "FILE". */
static int made_by(const char *const argv[], uint64_t bytes, char path[32])
{
	const char *full[24];
	size_t n = 0;
	int fd;

	strcpy(path, "/tmp/test_probe.XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	for (; argv[n]; n++)
		full[n] = strcmp(argv[n], "FILE") ? argv[n] : path;
	full[n] = NULL;
	if (run_check(full, 60000) < 0)
		fail_msg("%s", err_reason());
	unlink(path);
	return fd;
}

#define MADE_BY(bytes, ...) made_by((const char *const[]){__VA_ARGS__, NULL}, bytes, path)

static bool has_feature(const struct disk_fs *fs, const char *name)
{
	for (const char **f = fs->features; f && *f; f++)
		if (!strcmp(*f, name))
			return true;
	return false;
}

static void ext4_is_told(void **state)
{
	char path[32];
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_CLOSE int fd =
		MADE_BY(64 * MIB, "mke2fs", "-q", "-t", "ext4", "-L", "root", "-U",
			"0d3c1e0e-98fb-4b2d-8e7e-43e3f4b1a2c3", "-b", "4096", "FILE");
	struct disk_fs fs;

	(void)state;
	assert_int_equal(disk_probe(a, fd, "x", 0, 64 * MIB, &fs), 0);
	assert_int_equal(fs.content, DISK_CONTENT_EXT);
	assert_string_equal(fs.type, "ext4");
	assert_string_equal(fs.uuid, "0d3c1e0e-98fb-4b2d-8e7e-43e3f4b1a2c3");
	assert_string_equal(fs.label, "root");
	assert_int_equal(fs.size_bytes, 64 * MIB);
	assert_int_equal(fs.block_bytes, 4096);
	assert_true(fs.used_bytes > MIB && fs.used_bytes < 32 * MIB);
	assert_true(has_feature(&fs, "metadata_csum") && has_feature(&fs, "64bit"));
	assert_false(fs.dirty);
}

static void ext4_that_wants_a_replay_is_dirty(void **state)
{
	char path[32];
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_CLOSE int fd = MADE_BY(16 * MIB, "mke2fs", "-q", "-t", "ext4", "FILE");
	uint8_t incompat[4];
	struct disk_fs fs;

	(void)state;
	assert_int_equal(io_pread(fd, incompat, 4, 1024 + 96, "x"), 0);
	incompat[0] |= 4;
	assert_int_equal(io_pwrite(fd, incompat, 4, 1024 + 96, "x"), 0);
	assert_int_equal(disk_probe(a, fd, "x", 0, 16 * MIB, &fs), 0);
	assert_true(fs.dirty);
}

static void xfs_is_told(void **state)
{
	char path[32];
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_CLOSE int fd = MADE_BY(320 * MIB, "mkfs.xfs", "-q", "-L", "data", "FILE");
	uint8_t block[512] = {0};
	struct disk_fs fs;

	(void)state;
	assert_int_equal(disk_probe(a, fd, "x", 0, 320 * MIB, &fs), 0);
	assert_int_equal(fs.content, DISK_CONTENT_XFS);
	assert_string_equal(fs.label, "data");
	assert_int_equal(fs.size_bytes, 320 * MIB);
	assert_true(has_feature(&fs, "crc") && has_feature(&fs, "reflink"));
	assert_false(fs.dirty);
	/* Its free counter is impossible: named, but not believed. */
	memset(block, 0xff, 8);
	assert_int_equal(io_pwrite(fd, block, 8, 144, "x"), 0);
	assert_int_equal(disk_probe(a, fd, "x", 0, 320 * MIB, &fs), 0);
	assert_int_equal(fs.used_bytes, 0);
}

static void a_log_without_its_end_mark_is_dirty(void **state)
{
	char path[32];
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_CLOSE int fd = MADE_BY(320 * MIB, "mkfs.xfs", "-q", "FILE");
	uint8_t sb[512];
	uint64_t start = 0, log_at;
	uint32_t group = 0;
	struct disk_fs fs;

	(void)state;
	assert_int_equal(io_pread(fd, sb, sizeof(sb), 0, "x"), 0);
	for (int i = 0; i < 8; i++)
		start = start << 8 | sb[48 + i];
	for (int i = 0; i < 4; i++)
		group = group << 8 | sb[84 + i];
	log_at = ((start >> sb[124]) * group + (start & ((1ull << sb[124]) - 1))) * 4096;
	/* The second block of the first record holds its one operation; its flags are the tenth
	 * byte. */
	assert_int_equal(io_pread(fd, sb, sizeof(sb), log_at + 512, "x"), 0);
	assert_int_equal(sb[9], 0x20);
	sb[9] = 0;
	assert_int_equal(io_pwrite(fd, sb, sizeof(sb), log_at + 512, "x"), 0);
	assert_int_equal(disk_probe(a, fd, "x", 0, 320 * MIB, &fs), 0);
	assert_true(fs.dirty);
}

static void swap_and_hibernation_are_told_apart(void **state)
{
	char path[32];
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_CLOSE int fd = MADE_BY(MIB, "mkswap", "-q", "FILE");
	struct disk_fs fs;

	(void)state;
	assert_int_equal(disk_probe(a, fd, "x", 0, MIB, &fs), 0);
	assert_int_equal(fs.content, DISK_CONTENT_SWAP);
	assert_false(fs.hibernated);
	assert_int_equal(fs.size_bytes, MIB);
	assert_int_equal(io_pwrite(fd, "S1SUSPEND", 10, 4086, "x"), 0);
	assert_int_equal(disk_probe(a, fd, "x", 0, MIB, &fs), 0);
	assert_int_equal(fs.content, DISK_CONTENT_SWAP);
	assert_true(fs.hibernated);
}

static void nothing_is_told_from_something_unknown(void **state)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_IMAGE struct image i = image_new(4 * MIB);
	CLEANUP_CLOSE int empty = image_open(&i, i.bytes);
	CLEANUP_CLOSE int unknown = -1;
	struct disk_fs fs;

	(void)state;
	i.data[5000] = 1;
	unknown = image_open(&i, i.bytes);
	assert_int_equal(disk_probe(a, empty, "x", 0, i.bytes, &fs), 0);
	assert_int_equal(fs.content, DISK_CONTENT_EMPTY);
	assert_int_equal(disk_probe(a, unknown, "x", 0, i.bytes, &fs), 0);
	assert_int_equal(fs.content, DISK_CONTENT_UNKNOWN);
	assert_int_equal(disk_probe(a, unknown, "x", 0, 0, &fs), 0);
}

/* A volume striped over two files in steps of 64 KiB reads as the file system that was cut up. */
static void a_volume_in_pieces_is_probed(void **state)
{
	enum { STEP = 64 * 1024, STEPS = 512 };
	char path[32];
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_CLOSE int fd =
		MADE_BY((uint64_t)STEP * STEPS, "mke2fs", "-q", "-t", "ext4", "-L", "x", "FILE");
	CLEANUP_FREE struct disk_piece *pieces = calloc(STEPS, sizeof(*pieces));
	CLEANUP_FREE uint8_t *buf = malloc(STEP);
	CLEANUP_IMAGE struct image none = image_new(1);
	CLEANUP_CLOSE int left = image_open(&none, 0);
	CLEANUP_CLOSE int right = image_open(&none, 0);
	struct disk_fs fs;

	(void)state;
	for (uint64_t i = 0; i < STEPS; i++) {
		int to = i % 2 ? right : left;

		assert_int_equal(io_pread(fd, buf, STEP, i * STEP, "x"), 0);
		assert_int_equal(io_pwrite(to, buf, STEP, i / 2 * STEP + 512, "x"), 0);
		pieces[i] = (struct disk_piece){
			.fd = to, .offset_bytes = i / 2 * STEP + 512, .length_bytes = STEP};
	}
	assert_int_equal(disk_probe_pieces(a, pieces, STEPS, "vg/x", &fs), 0);
	assert_int_equal(fs.content, DISK_CONTENT_EXT);
	assert_string_equal(fs.label, "x");
	assert_int_equal(fs.size_bytes, (uint64_t)STEP * STEPS);
	assert_int_equal(disk_pieces_read(pieces, STEPS, "x", buf, 1024, STEP * STEPS - 1024), 0);
	assert_int_equal(disk_pieces_read(pieces, STEPS, "x", buf, 1024, STEP * STEPS - 1023),
			 -ERANGE);
}

/* ---- RAID ---- */

static void md_seal(uint8_t *sb, unsigned roles)
{
	uint64_t sum = 0;

	put_le(sb + 216, 0, 4);
	for (size_t at = 0; at < 256 + 2 * (size_t)roles; at += 2) {
		uint64_t half = sb[at] | (uint64_t)sb[at + 1] << 8;

		sum += at % 4 ? half << 16 : half;
	}
	put_le(sb + 216, (sum & UINT32_MAX) + (sum >> 32), 4);
}

#define MD_BYTES (4 * MIB) /* libblkid looks for no RAID on what may be a floppy */

/* RAID 1 of two, as this member sees it. */
static struct image md_image(size_t at, uint16_t role_of_other, bool clean)
{
	struct image i = image_new(MD_BYTES);
	uint8_t *sb = i.data + at;

	put_le(sb, 0xa92b4efc, 4);
	put_le(sb + 4, 1, 4);
	memset(sb + 16, 0x5a, 16);
	memcpy(sb + 32, "host:0", 6);
	put_le(sb + 72, 1, 4);
	put_le(sb + 92, 2, 4);
	put_le(sb + 128, 64, 8);
	put_le(sb + 136, 1900, 8);
	put_le(sb + 144, at / 512, 8);
	put_le(sb + 160, 0, 4);
	put_le(sb + 200, 33, 8);
	put_le(sb + 208, clean ? UINT64_MAX : 0, 8);
	put_le(sb + 220, 2, 4);
	put_le(sb + 256, 0, 2);
	put_le(sb + 258, role_of_other, 2);
	md_seal(sb, 2);
	return i;
}

static void raid_members_are_told(void **state)
{
	static const struct {
		size_t at;
		const char *metadata;
	} places[] = {{4096, "1.2"}, {0, "1.1"}, {MD_BYTES - 8192, "1.0"}};

	(void)state;
	for (size_t p = 0; p < ARRAY_SIZE(places); p++)
		for (int good = 0; good < 2; good++) {
			CLEANUP_ARENA struct arena *a = arena_new();
			CLEANUP_IMAGE struct image i =
				md_image(places[p].at, good ? 1 : 0xfffe, good);
			CLEANUP_CLOSE int fd = image_open(&i, i.bytes);
			struct disk_md md;
			struct disk_fs fs;

			assert_int_equal(disk_md_read(a, fd, "sda1", 0, i.bytes, &md), 0);
			assert_string_equal(md.metadata, places[p].metadata);
			assert_string_equal(md.uuid, "5a5a5a5a:5a5a5a5a:5a5a5a5a:5a5a5a5a");
			assert_string_equal(md.name, "host:0");
			assert_int_equal(md.level, 1);
			assert_int_equal(md.raid_disks, 2);
			assert_int_equal(md.active, good ? 2 : 1);
			assert_int_equal(md.role, 0);
			assert_int_equal(md.clean, good);
			assert_int_equal(md.events, 33);
			assert_int_equal(md.data_offset_bytes, 64 * 512);
			assert_int_equal(disk_probe(a, fd, "sda1", 0, i.bytes, &fs), 0);
			if (fs.content != DISK_CONTENT_MD)
				fail_msg("a member with metadata %s is taken for %s", md.metadata,
					 disk_content_name(fs.content));
		}
}

static void old_raid_members_are_told(void **state)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_IMAGE struct image i = image_new(MIB);
	CLEANUP_CLOSE int fd = -1;
	uint8_t *sb = i.data + MIB - 65536;
	struct disk_md md;

	(void)state;
	put_le(sb, 0xa92b4efc, 4);
	put_le(sb + 8, 90, 4);
	put_le(sb + 20, 0x11223344, 4);
	put_le(sb + 28, 5, 4);
	put_le(sb + 40, 3, 4);
	put_le(sb + 52, 0x55667788, 4);
	put_le(sb + 132, 1, 4);
	put_le(sb + 136, 3, 4);
	put_le(sb + 3968 + 12, 2, 4);
	put_le(sb + 3968 + 16, 6, 4);
	fd = image_open(&i, i.bytes);
	assert_int_equal(disk_md_read(a, fd, "sda1", 0, i.bytes, &md), 0);
	assert_string_equal(md.metadata, "0.90");
	assert_string_equal(md.uuid, "11223344:55667788:00000000:00000000");
	assert_int_equal(md.level, 5);
	assert_int_equal(md.active, 3);
	assert_int_equal(md.role, 2);
	assert_true(md.clean);
}

static void a_damaged_or_cut_superblock_is_not_believed(void **state)
{
	(void)state;
	for (size_t at = 8; at < 260; at += 5) {
		CLEANUP_ARENA struct arena *a = arena_new();
		CLEANUP_IMAGE struct image i = md_image(4096, 1, true);
		CLEANUP_CLOSE int fd = -1;
		struct disk_md md;

		/* Where it says that it stands: another place makes it another range's. */
		bool misplaced = at >= 144 && at < 152;

		i.data[4096 + at] ^= 1;
		fd = image_open(&i, i.bytes);
		assert_int_equal(disk_md_read(a, fd, "sda1", 0, i.bytes, &md),
				 misplaced ? -ENOENT : -EINVAL);
		if (!misplaced)
			assert_string_equal(err_code(), "MD_INVALID");
	}
	for (size_t n = 0; n < 12000; n += 13) {
		CLEANUP_ARENA struct arena *a = arena_new();
		CLEANUP_IMAGE struct image i = md_image(4096, 1, true);
		CLEANUP_CLOSE int fd = image_open(&i, n);
		struct disk_md md;
		int rc = disk_md_read(a, fd, "sda1", 0, n, &md);

		assert_true(rc == -ENOENT || rc == -EINVAL || rc == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ext4_is_told),
		cmocka_unit_test(ext4_that_wants_a_replay_is_dirty),
		cmocka_unit_test(xfs_is_told),
		cmocka_unit_test(a_log_without_its_end_mark_is_dirty),
		cmocka_unit_test(swap_and_hibernation_are_told_apart),
		cmocka_unit_test(nothing_is_told_from_something_unknown),
		cmocka_unit_test(a_volume_in_pieces_is_probed),
		cmocka_unit_test(raid_members_are_told),
		cmocka_unit_test(old_raid_members_are_told),
		cmocka_unit_test(a_damaged_or_cut_superblock_is_not_believed),
	};

	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
