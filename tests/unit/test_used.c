/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Used bytes of real file systems, made by the host's mke2fs and mkfs.xfs: a copy of the used
 * ranges alone is a clean file system with the same files, and holds nothing of deleted ones.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"
#include "base/run.h"
#include "disk/disk.h"

#define JUNK "this was deleted long ago "

struct fixture {
	char dir[64];
	char image[96];
	char copy[96];
	char files[96];
};

static void must(const char *const argv[])
{
	if (run_check(argv, 120000) < 0) {
		print_error("%s\n", err_reason());
		assert_true(false);
	}
}

#define RUN(...) must((const char *const[]){__VA_ARGS__, NULL})

static bool have(const char *program)
{
	CLEANUP_RUN struct run_result r = {0};
	const char *const argv[] = {program, "-V", NULL};

	return run_capture(argv, 60000, &r) == 0;
}

static void write_file(const char *dir, const char *name, size_t bytes, const char *text)
{
	CLEANUP_CLOSE int fd = -1;
	char path[200];
	size_t n = strlen(text);

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	for (size_t done = 0; done < bytes; done += n)
		assert_int_equal(write(fd, text, n), n);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	snprintf(f->dir, sizeof(f->dir), "/tmp/test_used.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->image, sizeof(f->image), "%s/image", f->dir);
	snprintf(f->copy, sizeof(f->copy), "%s/copy", f->dir);
	snprintf(f->files, sizeof(f->files), "%s/files", f->dir);
	assert_int_equal(mkdir(f->files, 0755), 0);
	write_file(f->files, "keep", 300000, "these bytes have to arrive\n");
	write_file(f->files, "small", 10, "tiny\n");
	write_file(f->files, "junk", 3000000, JUNK);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	remove_tree(f->dir);
	free(f);
	return 0;
}

static void size_file(const char *path, uint64_t bytes)
{
	CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
}

/* A copy of the used ranges of image, all else zero. */
static uint64_t copy_used(struct fixture *f, enum disk_content content, uint64_t offset_bytes,
			  uint64_t bytes)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_CLOSE int in = open(f->image, O_RDONLY), out = -1;
	CLEANUP_FREE char *buf = malloc(MIB);
	struct disk_extents used;
	int rc = disk_used_at(a, f->image, offset_bytes, bytes, content, &used);

	if (rc < 0)
		print_error("%s\n", err_reason());
	assert_int_equal(rc, 0);
	size_file(f->copy, bytes);
	out = open(f->copy, O_WRONLY);
	for (size_t i = 0; i < used.count; i++) {
		struct disk_extent e = used.list[i];

		assert_true(range_ok(e.offset_bytes, e.length_bytes, bytes));
		while (e.length_bytes) {
			size_t n = min_of(e.length_bytes, MIB);

			assert_int_equal(io_pread(in, buf, n, offset_bytes + e.offset_bytes, "i"),
					 0);
			assert_int_equal(io_pwrite(out, buf, n, e.offset_bytes, "o"), 0);
			e.offset_bytes += n;
			e.length_bytes -= n;
		}
	}
	return used.total_bytes;
}

static bool holds(const char *path, const char *text)
{
	const char *const argv[] = {"grep", "-qaF", text, path, NULL};
	CLEANUP_RUN struct run_result r = {0};

	assert_int_equal(run_capture(argv, 60000, &r), 0);
	return r.exit_status == 0;
}

static void check_ext_copy(struct fixture *f)
{
	char command[160], kept[128], got[128];

	RUN("e2fsck", "-fn", f->copy);
	snprintf(got, sizeof(got), "%s/got", f->dir);
	snprintf(kept, sizeof(kept), "%s/keep", f->files);
	snprintf(command, sizeof(command), "dump /keep %s", got);
	RUN("debugfs", "-R", command, f->copy);
	RUN("cmp", kept, got);
	assert_false(holds(f->copy, JUNK));
}

/* mke2fs with these words, a deleted file, and the copy's check. */
static void try_ext(struct fixture *f, uint64_t bytes, const char *type, const char *features,
		    const char *blocks, const char *groups)
{
	uint64_t used_bytes;

	size_file(f->image, bytes);
	RUN("mke2fs", "-qF", "-t", type, "-O", features, "-b", blocks, "-g", groups, "-d", f->files,
	    f->image);
	RUN("debugfs", "-w", "-R", "rm /junk", f->image);
	assert_true(holds(f->image, JUNK));
	used_bytes = copy_used(f, DISK_CONTENT_EXT, 0, bytes);
	assert_true(used_bytes < bytes / 2);
	check_ext_copy(f);
}

static void ext4_as_made_by_default(void **state)
{
	try_ext(*state, 256 * MIB, "ext4", "64bit", "4096", "32768");
}

static void ext4_with_1k_blocks_keeps_the_boot_block(void **state)
{
	struct fixture *f = *state;
	CLEANUP_CLOSE int fd = -1;
	char boot[512];

	try_ext(f, 64 * MIB, "ext4", "^64bit", "1024", "8192");
	fd = open(f->image, O_WRONLY);
	assert_int_equal(pwrite(fd, "BOOT", 4, 0), 4);
	copy_used(f, DISK_CONTENT_EXT, 0, 64 * MIB);
	assert_int_equal(io_pread(fd = open(f->copy, O_RDONLY), boot, sizeof(boot), 0, "copy"), 0);
	assert_memory_equal(boot, "BOOT", 4);
}

static void ext2_without_journal(void **state)
{
	try_ext(*state, 64 * MIB, "ext2", "none,filetype", "4096", "4096");
}

static void ext3_with_sparse_super(void **state)
{
	try_ext(*state, 128 * MIB, "ext3", "sparse_super", "1024", "4096");
}

static void ext4_bigalloc(void **state)
{
	try_ext(*state, 256 * MIB, "ext4", "bigalloc,64bit", "4096", "32768");
}

static void ext4_meta_bg(void **state)
{
	try_ext(*state, 128 * MIB, "ext4", "meta_bg,^resize_inode,^flex_bg", "1024", "1024");
}

static void ext4_sparse_super2(void **state)
{
	try_ext(*state, 128 * MIB, "ext4", "sparse_super2,^resize_inode", "1024", "8192");
}

static void ext4_without_checksums_or_flexible_groups(void **state)
{
	try_ext(*state, 128 * MIB, "ext4", "^metadata_csum,^uninit_bg,^flex_bg,^64bit", "4096",
		"8192");
}

static void ext4_uninit_groups_without_metadata_checksums(void **state)
{
	try_ext(*state, 256 * MIB, "ext4", "^metadata_csum,uninit_bg", "4096", "8192");
}

static void a_large_empty_ext4_needs_little(void **state)
{
	struct fixture *f = *state;
	CLEANUP_ARENA struct arena *a = arena_new();
	struct disk_extents used;

	size_file(f->image, TIB);
	RUN("mke2fs", "-qF", "-t", "ext4", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard",
	    f->image);
	assert_int_equal(disk_used(a, f->image, DISK_CONTENT_EXT, &used), 0);
	/* Journal of 1 GiB, group descriptors and bitmaps; not 16 GiB of unused inode tables. */
	assert_true(used.total_bytes < 2 * GIB);
}

static void ext4_inside_a_larger_file(void **state)
{
	struct fixture *f = *state;
	CLEANUP_CLOSE int in = -1, out = -1;
	CLEANUP_FREE char *buf = malloc(64 * MIB);
	char plain[128];

	size_file(f->image, 64 * MIB);
	RUN("mke2fs", "-qF", "-t", "ext4", "-d", f->files, f->image);
	RUN("debugfs", "-w", "-R", "rm /junk", f->image);
	snprintf(plain, sizeof(plain), "%s/plain", f->dir);
	assert_int_equal(rename(f->image, plain), 0);
	size_file(f->image, 66 * MIB);
	in = open(plain, O_RDONLY);
	out = open(f->image, O_WRONLY);
	assert_int_equal(io_pread(in, buf, 64 * MIB, 0, "in"), 0);
	assert_int_equal(io_pwrite(out, buf, 64 * MIB, MIB, "out"), 0);
	copy_used(f, DISK_CONTENT_EXT, MIB, 64 * MIB);
	check_ext_copy(f);
}

static void set_super(const char *path, uint64_t offset_bytes, uint8_t value)
{
	CLEANUP_CLOSE int fd = open(path, O_WRONLY);

	assert_int_equal(pwrite(fd, &value, 1, (off_t)(1024 + offset_bytes)), 1);
}

static void an_ext4_that_wants_a_replay_or_check_is_refused(void **state)
{
	struct fixture *f = *state;
	CLEANUP_ARENA struct arena *a = arena_new();
	struct disk_extents used;

	size_file(f->image, 16 * MIB);
	RUN("mke2fs", "-qF", "-t", "ext4", "-O", "^metadata_csum", f->image);
	RUN("debugfs", "-w", "-R", "feature needs_recovery", f->image);
	assert_int_equal(disk_used(a, f->image, DISK_CONTENT_EXT, &used), -EUCLEAN);
	assert_string_equal(err_code(), "FS_DIRTY");
	RUN("debugfs", "-w", "-R", "feature -needs_recovery", f->image);
	assert_int_equal(disk_used(a, f->image, DISK_CONTENT_EXT, &used), 0);
	set_super(f->image, 0x3a, 0); /* s_state: not valid */
	assert_int_equal(disk_used(a, f->image, DISK_CONTENT_EXT, &used), -EUCLEAN);
	set_super(f->image, 0x3a, 3); /* valid, with errors */
	assert_int_equal(disk_used(a, f->image, DISK_CONTENT_EXT, &used), 0);
	assert_int_equal(used.total_bytes, 16 * MIB);
}

static void a_damaged_ext4_is_copied_whole(void **state)
{
	struct fixture *f = *state;
	CLEANUP_ARENA struct arena *a = arena_new();
	struct disk_extents used;

	size_file(f->image, 16 * MIB);
	assert_int_equal(disk_used(a, f->image, DISK_CONTENT_EXT, &used), 0);
	assert_int_equal(used.total_bytes, 16 * MIB);
	RUN("mke2fs", "-qF", "-t", "ext4", f->image);
	set_super(f->image, 0x63, 0x80); /* an incompatible feature of the far future */
	assert_int_equal(disk_used(a, f->image, DISK_CONTENT_EXT, &used), 0);
	assert_int_equal(used.total_bytes, 16 * MIB);
}

/* ---- XFS ---- */

static void make_xfs(struct fixture *f, uint64_t bytes)
{
	char proto[128], spec[160];
	CLEANUP_FCLOSE FILE *file = NULL;

	snprintf(proto, sizeof(proto), "%s/proto", f->dir);
	snprintf(spec, sizeof(spec), "file=%s", proto);
	file = fopen(proto, "w");
	fprintf(file,
		"/dummy\n0 0\nd--755 0 0\nkeep ---644 0 0 %s/keep\nsmall ---644 0 0 %s/small\n$\n",
		f->files, f->files);
	fflush(file);
	size_file(f->image, bytes);
	RUN("mkfs.xfs", "-q", "-f", "-p", proto, f->image);
}

static void xfs_leaves_free_space_out(void **state)
{
	struct fixture *f = *state;
	CLEANUP_CLOSE int fd = -1;
	uint64_t used_bytes;

	if (!have("xfs_db") || !have("mkfs.xfs"))
		skip();
	make_xfs(f, 400 * MIB);
	/* Stale bytes in what is free: 300 MiB in, far behind the log. */
	fd = open(f->image, O_WRONLY);
	assert_true(pwrite(fd, JUNK, strlen(JUNK), (off_t)(390 * MIB)) > 0);
	used_bytes = copy_used(f, DISK_CONTENT_XFS, 0, 400 * MIB);
	assert_true(used_bytes < 100 * MIB);
	RUN("xfs_repair", "-n", f->copy);
	assert_true(holds(f->copy, "these bytes have to arrive"));
	assert_false(holds(f->copy, JUNK));
}

static void xfs_group_with_a_damaged_tree_is_copied_whole(void **state)
{
	struct fixture *f = *state;
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_CLOSE int fd = -1;
	struct disk_extents used;

	if (!have("xfs_db") || !have("mkfs.xfs"))
		skip();
	make_xfs(f, 400 * MIB);
	fd = open(f->image, O_WRONLY);
	assert_int_equal(pwrite(fd, "XXXXXXXX", 8, 4096), 8); /* root of a free-space tree, AG 0 */
	assert_int_equal(disk_used(a, f->image, DISK_CONTENT_XFS, &used), 0);
	assert_true(used.total_bytes > 150 * MIB); /* 400 in four groups */
}

static void xfs_whose_superblock_knows_of_less_free_space_is_copied_whole(void **state)
{
	struct fixture *f = *state;
	CLEANUP_ARENA struct arena *a = arena_new();
	struct disk_extents used;

	if (!have("xfs_db") || !have("mkfs.xfs"))
		skip();
	make_xfs(f, 400 * MIB);
	RUN("xfs_db", "-x", "-c", "sb 0", "-c", "write -d fdblocks 5", f->image);
	assert_int_equal(disk_used(a, f->image, DISK_CONTENT_XFS, &used), 0);
	assert_int_equal(used.total_bytes, 400 * MIB);
}

static void xfs_with_an_external_log_is_copied_whole(void **state)
{
	struct fixture *f = *state;
	CLEANUP_ARENA struct arena *a = arena_new();
	struct disk_extents used;
	char log[128], word[160];

	if (!have("xfs_db") || !have("mkfs.xfs"))
		skip();
	snprintf(log, sizeof(log), "%s/log", f->dir);
	snprintf(word, sizeof(word), "logdev=%s,size=64m", log);
	size_file(log, 64 * MIB);
	size_file(f->image, 400 * MIB);
	RUN("mkfs.xfs", "-q", "-f", "-l", word, f->image);
	assert_int_equal(disk_used(a, f->image, DISK_CONTENT_XFS, &used), 0);
	assert_int_equal(used.total_bytes, 400 * MIB);
}

/* ---- the rest ---- */

static void swap_needs_its_header_page_only(void **state)
{
	struct fixture *f = *state;
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_CLOSE int fd = -1;
	struct disk_extents used;

	size_file(f->image, 8 * MIB);
	RUN("mkswap", "-q", "-L", "swappy", f->image);
	assert_int_equal(disk_used(a, f->image, DISK_CONTENT_SWAP, &used), 0);
	assert_int_equal(used.count, 1);
	assert_int_equal(used.total_bytes, 4096);
	fd = open(f->image, O_WRONLY);
	assert_int_equal(pwrite(fd, "S1SUSPEND\0", 10, 4086), 10);
	assert_int_equal(disk_used(a, f->image, DISK_CONTENT_SWAP, &used), 0);
	assert_int_equal(used.total_bytes, 8 * MIB);
}

static void everything_else_is_whole(void **state)
{
	struct fixture *f = *state;
	CLEANUP_ARENA struct arena *a = arena_new();
	struct disk_extents used;

	size_file(f->image, 5 * MIB + 512);
	for (int content = DISK_CONTENT_UNKNOWN; content <= DISK_CONTENT_OTHER; content++) {
		if (content == DISK_CONTENT_EXT || content == DISK_CONTENT_XFS ||
		    content == DISK_CONTENT_SWAP)
			continue;
		assert_int_equal(disk_used(a, f->image, (enum disk_content)content, &used), 0);
		assert_int_equal(used.count, 1);
		assert_int_equal(used.total_bytes, 5 * MIB + 512);
	}
	assert_int_equal(disk_used(a, "/nonexistent", DISK_CONTENT_EXT, &used), -ENOENT);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ext4_as_made_by_default),
		TEST(ext4_with_1k_blocks_keeps_the_boot_block),
		TEST(ext2_without_journal),
		TEST(ext3_with_sparse_super),
		TEST(ext4_bigalloc),
		TEST(ext4_meta_bg),
		TEST(ext4_sparse_super2),
		TEST(ext4_without_checksums_or_flexible_groups),
		TEST(ext4_uninit_groups_without_metadata_checksums),
		TEST(a_large_empty_ext4_needs_little),
		TEST(ext4_inside_a_larger_file),
		TEST(an_ext4_that_wants_a_replay_or_check_is_refused),
		TEST(a_damaged_ext4_is_copied_whole),
		TEST(xfs_leaves_free_space_out),
		TEST(xfs_group_with_a_damaged_tree_is_copied_whole),
		TEST(xfs_whose_superblock_knows_of_less_free_space_is_copied_whole),
		TEST(xfs_with_an_external_log_is_copied_whole),
		TEST(swap_needs_its_header_page_only),
		TEST(everything_else_is_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
