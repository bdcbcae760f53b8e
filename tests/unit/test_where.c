/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which file holds a byte, on real file systems of the host's mke2fs and mkfs.xfs. The truth comes
 * from the bytes: each file is full of its own mark, which is looked for in the image.
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

#define BLOCK	    4096
#define IMAGE_BYTES (320 * MIB)

struct fixture {
	char dir[64], image[96], files[96];
	char *bytes;
	size_t image_bytes;
	struct arena *arena;
	struct disk_region region;
	struct disk_region_piece pieces[2];
};

static void must(const char *const argv[])
{
	if (run_check(argv, 120000) < 0) {
		print_error("%s\n", err_reason());
		assert_true(false);
	}
}

#define RUN(...) must((const char *const[]){__VA_ARGS__, NULL})

/* Blocks that each begin with the mark and the block's number. */
static void write_marked(const char *path, const char *mark, unsigned blocks)
{
	CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	char block[BLOCK];

	assert_true(fd >= 0);
	for (unsigned i = 0; i < blocks; i++) {
		memset(block, '.', sizeof(block));
		snprintf(block, sizeof(block), "%s %u ", mark, i);
		assert_int_equal(write(fd, block, sizeof(block)), sizeof(block));
	}
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char path[300], other[300];

	snprintf(f->dir, sizeof(f->dir), "/tmp/test_where.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->image, sizeof(f->image), "%s/image", f->dir);
	snprintf(f->files, sizeof(f->files), "%s/files", f->dir);
	RUN("mkdir", "-p", f->files);
	snprintf(path, sizeof(path), "%s/etc/deep", f->files);
	RUN("mkdir", "-p", path);
	snprintf(path, sizeof(path), "%s/etc/deep/alpha", f->files);
	write_marked(path, "mark-of-alpha", 200);
	snprintf(path, sizeof(path), "%s/beta", f->files);
	write_marked(path, "mark-of-beta", 3);
	snprintf(other, sizeof(other), "%s/etc/gamma", f->files);
	assert_int_equal(link(path, other), 0);
	f->arena = arena_new();
	f->region = (struct disk_region){.name = "sda1", .path = f->image, .pieces = f->pieces};
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	remove_tree(f->dir);
	arena_free(f->arena);
	free(f->bytes);
	free(f);
	return 0;
}

static void make_image(struct fixture *f)
{
	CLEANUP_CLOSE int fd = open(f->image, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)IMAGE_BYTES), 0);
}

static void make_ext(struct fixture *f, const char *type)
{
	make_image(f);
	RUN("mke2fs", "-q", "-F", "-t", type, "-b", "4096", "-d", f->files, f->image);
	f->region.content = DISK_CONTENT_EXT;
	assert_int_equal(io_read_file(f->image, 512 * MIB, &f->bytes, &f->image_bytes), 0);
	f->region.length_bytes = f->image_bytes;
	f->pieces[0] = (struct disk_region_piece){0, MIB, 0, f->image_bytes};
	f->region.piece_count = 1;
}

/* Where a mark stands, as a byte of the region. */
static uint64_t find_mark(const struct fixture *f, const char *mark)
{
	const char *at = memmem(f->bytes, f->image_bytes, mark, strlen(mark));

	assert_non_null(at);
	return (uint64_t)(at - f->bytes);
}

static struct disk_places locate(struct fixture *f, const struct disk_range *ranges, size_t n)
{
	const struct disk_layout layout = {.list = &f->region, .count = 1};
	struct disk_places places;

	assert_int_equal(disk_locate(f->arena, &layout, ranges, n, &places), 0);
	for (size_t i = 0; i < places.count; i++)
		print_message("%s\n", disk_place_text(f->arena, &places.list[i]));
	return places;
}

static bool has_name(const struct disk_place *p, const char *name)
{
	for (size_t i = 0; p->names && p->names[i]; i++)
		if (strcmp(p->names[i], name) == 0)
			return true;
	return false;
}

static void try_ext(struct fixture *f, const char *type)
{
	struct disk_range ranges[5];
	struct disk_places places;

	make_ext(f, type);
	ranges[0] = (struct disk_range){0, 0, 512};		   /* before the region */
	ranges[1] = (struct disk_range){0, MIB + 1024, 512};	   /* superblock */
	ranges[2] = (struct disk_range){0, MIB + 300 * MIB, 4096}; /* free */
	ranges[3] = (struct disk_range){0, MIB + find_mark(f, "mark-of-alpha 150 ") + 1000, 512};
	ranges[4] = (struct disk_range){0, MIB + find_mark(f, "mark-of-beta 0 ") + 100, 8192};
	places = locate(f, ranges, 5);
	assert_int_equal(places.count, 5);
	assert_int_equal(places.list[0].kind, DISK_PLACE_UNUSED);
	assert_null(places.list[0].region);
	assert_int_equal(places.list[1].kind, DISK_PLACE_METADATA);
	assert_string_equal(places.list[1].what, "superblock");
	assert_string_equal(places.list[1].region, "sda1");
	assert_int_equal(places.list[2].kind, DISK_PLACE_UNUSED);
	assert_int_equal(places.list[3].kind, DISK_PLACE_FILE);
	assert_int_equal(places.list[3].offset_bytes, ranges[3].offset_bytes);
	assert_int_equal(places.list[3].length_bytes, 512);
	assert_string_equal(places.list[3].names[0], "/etc/deep/alpha");
	assert_null(places.list[3].names[1]);
	assert_int_equal(places.list[4].length_bytes, 8192);
	assert_true(has_name(&places.list[4], "/beta"));
	assert_true(has_name(&places.list[4], "/etc/gamma"));
}

static void files_of_ext4_are_named(void **state)
{
	try_ext(*state, "ext4");
}

static void files_of_ext2_are_named(void **state)
{
	try_ext(*state, "ext2");
}

/* 200 blocks need an indirect block in ext2; debugfs says where it is. */
static void block_lists_directories_and_the_journal_are_said_as_such(void **state)
{
	struct fixture *f = *state;
	struct disk_range ranges[3];
	struct disk_places places;
	CLEANUP_RUN struct run_result r = {0};
	unsigned long long indirect, dir, journal;
	const char *text;

	make_ext(f, "ext3");
	{
		const char *const argv[] = {"debugfs", "-R", "stat /etc/deep/alpha", f->image,
					    NULL};

		assert_int_equal(run_capture(argv, 60000, &r), 0);
		text = strstr(r.out, "(IND):");
		assert_non_null(text);
		assert_int_equal(sscanf(text, "(IND):%llu", &indirect), 1);
		run_result_fini(&r);
	}
	{
		const char *const argv[] = {"debugfs", "-R", "blocks /etc/deep", f->image, NULL};

		assert_int_equal(run_capture(argv, 60000, &r), 0);
		assert_int_equal(sscanf(r.out, "%llu", &dir), 1);
		run_result_fini(&r);
	}
	{
		const char *const argv[] = {"debugfs", "-R", "blocks <8>", f->image, NULL};

		assert_int_equal(run_capture(argv, 60000, &r), 0);
		assert_int_equal(sscanf(r.out, "%llu", &journal), 1);
	}
	ranges[0] = (struct disk_range){0, MIB + indirect * BLOCK, 512};
	ranges[1] = (struct disk_range){0, MIB + dir * BLOCK, 512};
	ranges[2] = (struct disk_range){0, MIB + journal * BLOCK, 512};
	places = locate(f, ranges, 3);
	assert_int_equal(places.count, 3);
	assert_string_equal(places.list[0].what, "block list of a file");
	assert_true(has_name(&places.list[0], "/etc/deep/alpha"));
	assert_string_equal(places.list[1].what, "directory");
	assert_int_equal(places.list[1].kind, DISK_PLACE_METADATA);
	assert_true(has_name(&places.list[1], "/etc/deep"));
	assert_string_equal(places.list[2].what, "journal");
}

/* A volume whose second half lies before its first on the disk. */
static void a_volume_in_pieces_is_followed(void **state)
{
	struct fixture *f = *state;
	uint64_t at, half = IMAGE_BYTES / 2;
	struct disk_range range;
	struct disk_places places;

	make_ext(f, "ext4");
	at = find_mark(f, "mark-of-alpha 7 ");
	f->pieces[0] = (struct disk_region_piece){3, 10 * MIB + half, 0, half};
	f->pieces[1] = (struct disk_region_piece){3, 10 * MIB, half, half};
	f->region.piece_count = 2;
	range = (struct disk_range){3, 10 * MIB + (at < half ? at + half : at - half), 100};
	places = locate(f, &range, 1);
	assert_int_equal(places.count, 1);
	assert_true(has_name(&places.list[0], "/etc/deep/alpha"));
}

/* Foreign names are made fit for terminals and JSON. */
static void names_are_printable(void **state)
{
	struct fixture *f = *state;
	struct disk_range range;
	struct disk_places places;
	char path[300];

	snprintf(path, sizeof(path), "%s/bad\x1b[2J\xff\xc3\xa9", f->files);
	write_marked(path, "mark-of-bad", 1);
	make_ext(f, "ext4");
	range = (struct disk_range){0, MIB + find_mark(f, "mark-of-bad"), 100};
	places = locate(f, &range, 1);
	assert_true(has_name(&places.list[0], "/bad\\x1b[2J\\xff\xc3\xa9"));
}

static void a_damaged_file_system_gives_no_answer_and_no_failure(void **state)
{
	struct fixture *f = *state;
	struct disk_range range;
	struct disk_places places;

	make_ext(f, "ext4");
	range = (struct disk_range){0, MIB + find_mark(f, "mark-of-alpha"), 100};
	assert_int_equal(truncate(f->image, 4096), 0);
	places = locate(f, &range, 1);
	assert_int_equal(places.count, 1);
	assert_int_equal(places.list[0].kind, DISK_PLACE_UNKNOWN);
	f->region.content = DISK_CONTENT_BTRFS;
	places = locate(f, &range, 1);
	assert_int_equal(places.list[0].kind, DISK_PLACE_UNKNOWN);
	assert_string_equal(places.list[0].what, "btrfs content");
}

static void files_of_xfs_are_named(void **state)
{
	struct fixture *f = *state;
	struct disk_range ranges[4];
	struct disk_places places;
	CLEANUP_RUN struct run_result r = {0};
	const char *const version[] = {"mkfs.xfs", "-V", NULL};
	char proto[128], text[1024];

	if (run_capture(version, 60000, &r) < 0)
		skip();
	snprintf(proto, sizeof(proto), "%s/proto", f->dir);
	snprintf(text, sizeof(text),
		 "/\n0 0\nd--755 0 0\netc d--755 0 0\ndeep d--755 0 0\n"
		 "alpha ---644 0 0 %s/etc/deep/alpha\n$\n$\nbeta ---644 0 0 %s/beta\n$\n",
		 f->files, f->files);
	assert_int_equal(io_replace_file(proto, text, strlen(text), 0644), 0);
	make_image(f);
	RUN("mkfs.xfs", "-q", "-p", proto, f->image);
	f->region.content = DISK_CONTENT_XFS;
	assert_int_equal(io_read_file(f->image, 512 * MIB, &f->bytes, &f->image_bytes), 0);
	f->region.length_bytes = f->image_bytes;
	f->pieces[0] = (struct disk_region_piece){0, MIB, 0, f->image_bytes};
	f->region.piece_count = 1;
	ranges[0] = (struct disk_range){0, MIB, 512};
	ranges[1] = (struct disk_range){0, MIB + find_mark(f, "mark-of-beta 1 "), 512};
	ranges[2] = (struct disk_range){0, MIB + find_mark(f, "mark-of-alpha 99 "), 2 * BLOCK};
	ranges[3] = (struct disk_range){0, MIB + IMAGE_BYTES - BLOCK, BLOCK};
	if (ranges[1].offset_bytes > ranges[2].offset_bytes) {
		struct disk_range other = ranges[1];

		ranges[1] = ranges[2];
		ranges[2] = other;
	}
	places = locate(f, ranges, 4);
	assert_int_equal(places.count, 4);
	assert_int_equal(places.list[0].kind, DISK_PLACE_METADATA);
	assert_int_equal(places.list[1].kind, DISK_PLACE_FILE);
	assert_true(has_name(&places.list[1], "/beta") || has_name(&places.list[2], "/beta"));
	assert_true(has_name(&places.list[1], "/etc/deep/alpha") ||
		    has_name(&places.list[2], "/etc/deep/alpha"));
	assert_int_equal(places.list[3].kind, DISK_PLACE_UNUSED);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(files_of_ext4_are_named),
		TEST(files_of_ext2_are_named),
		TEST(block_lists_directories_and_the_journal_are_said_as_such),
		TEST(a_volume_in_pieces_is_followed),
		TEST(names_are_printable),
		TEST(a_damaged_file_system_gives_no_answer_and_no_failure),
		TEST(files_of_xfs_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
