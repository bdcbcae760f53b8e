/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the job allows of what cannot be read: numbers, paths, and what has no name. */
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
#include "base/json.h"
#include "base/log.h"
#include "base/num.h"
#include "cmd/holes.h"

struct bed {
	char dir[64], image[96];
	struct arena *arena;
	struct map *map;
	struct disk_region region;
	struct disk_region_piece piece;
	struct disk_layout layout;
	struct plan plan;
	struct plan_mount mount;
	struct holes holes;
	uint64_t file_byte; /* of /lib/db/table, whose file system is mounted at /var */
	unsigned kept;
};

static int keep(void *ctx, const json_t *list)
{
	struct bed *b = ctx;

	assert_true(json_array_size(list) > 0);
	b->kept++;
	return 0;
}

static void run(const char *const argv[])
{
	if (run_check(argv, 60000) < 0) {
		print_error("%s\n", err_reason());
		assert_true(false);
	}
}

static void make_image(struct bed *b)
{
	CLEANUP_FREE char *bytes = NULL;
	char path[160], text[9000];
	size_t n;
	const char *at;

	snprintf(path, sizeof(path), "%s/tree/lib/db", b->dir);
	run((const char *const[]){"mkdir", "-p", path, NULL});
	snprintf(path, sizeof(path), "%s/tree/lib/db/table", b->dir);
	memset(text, 'x', sizeof(text));
	memcpy(text, "the mark of the table", 21);
	assert_int_equal(io_replace_file(path, text, sizeof(text), 0644), 0);
	snprintf(path, sizeof(path), "%s/tree", b->dir);
	run((const char *const[]){"mke2fs", "-q", "-F", "-t", "ext4", "-d", path, b->image, "8M",
				  NULL});
	assert_int_equal(io_read_file(b->image, 64 * MIB, &bytes, &n), 0);
	at = memmem(bytes, n, "the mark of the table", 21);
	assert_non_null(at);
	b->file_byte = (uint64_t)(at - bytes);
	b->region.length_bytes = b->piece.length_bytes = n;
}

static int set_up(void **state)
{
	struct bed *b = calloc(1, sizeof(*b));

	log_setup(LOG_LEVEL_ERROR, NULL, NULL);
	snprintf(b->dir, sizeof(b->dir), "/tmp/test_holes.XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	snprintf(b->image, sizeof(b->image), "%s/image", b->dir);
	make_image(b);
	b->arena = arena_new();
	b->map = map_new(b->arena, "plan");
	map_add_source(b->map, b->image, "sda", 8 * MIB);
	map_add_disk(b->map, "sda", 8 * MIB);
	b->region = (struct disk_region){.name = "sda1",
					 .path = b->image,
					 .length_bytes = b->region.length_bytes,
					 .content = DISK_CONTENT_EXT,
					 .pieces = &b->piece,
					 .piece_count = 1};
	b->layout = (struct disk_layout){&b->region, 1};
	b->mount = (struct plan_mount){.mountpoint = "/var", .device = "sda1"};
	b->plan = (struct plan){.mounts = &b->mount, .mount_count = 1};
	b->holes = (struct holes){.arena = b->arena,
				  .map = b->map,
				  .layout = &b->layout,
				  .plan = &b->plan,
				  .max = 1000,
				  .list = json_array(),
				  .keep = keep,
				  .ctx = b};
	pthread_mutex_init(&b->holes.lock, NULL);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bed *b = *state;

	remove_tree(b->dir);
	json_decref(b->holes.list);
	arena_free(b->arena);
	free(b);
	return 0;
}

static struct copy_hole hole(uint64_t byte)
{
	return (struct copy_hole){.source_offset_bytes = byte,
				  .offset_bytes = byte,
				  .length_bytes = 512,
				  .error = EIO};
}

static void the_number_decides_and_the_reason_names_the_file(void **state)
{
	struct bed *b = *state;
	const struct copy_hole two[] = {hole(1024), hole(b->file_byte)};

	b->holes.max = 0;
	assert_int_equal(holes_judge(&b->holes, 0, two + 1, 1), -EIO);
	assert_string_equal(err_code(), "SOURCE_READ_ERROR");
	assert_non_null(strstr(err_reason(), "disk sda cannot be read at sector "));
	assert_non_null(strstr(err_reason(), "file /var/lib/db/table (inode"));
	b->holes.max = 1;
	assert_int_equal(holes_judge(&b->holes, 0, two, 2), -EIO);
	assert_int_equal(b->kept, 0);
	b->holes.max = 2;
	assert_int_equal(holes_judge(&b->holes, 0, two, 2), 0);
	assert_int_equal(b->kept, 1);
	assert_int_equal(holes_bytes(&b->holes), 1024);
	/* Those of another disk count, too. */
	assert_int_equal(holes_judge(&b->holes, 1, two, 1), -EIO);
	/* Found again after a new start, a hole is not another one. */
	assert_int_equal(holes_judge(&b->holes, 0, two, 2), 0);
	assert_int_equal(holes_bytes(&b->holes), 1024);
}

static int judge_outside(struct bed *b, const char *path, uint64_t byte)
{
	const char *const outside[] = {path, NULL};
	const struct copy_hole one = hole(byte);

	b->holes.outside = outside;
	return holes_judge(&b->holes, 0, &one, 1);
}

static void paths_protect_what_is_below_them(void **state)
{
	struct bed *b = *state;

	assert_int_equal(judge_outside(b, "/var/lib/db", b->file_byte), -EIO);
	assert_non_null(strstr(err_reason(), "the job wants all of /var/lib/db"));
	assert_int_equal(judge_outside(b, "/var/lib/", b->file_byte), -EIO);
	assert_int_equal(judge_outside(b, "/", b->file_byte), -EIO);
	assert_int_equal(judge_outside(b, "/var/lib/db/table", b->file_byte), -EIO);
	assert_int_equal(judge_outside(b, "/var/li", b->file_byte), 0);
	assert_int_equal(judge_outside(b, "/lib", b->file_byte), 0);
	b->plan.mount_count = 0; /* mounted nowhere */
	assert_int_equal(judge_outside(b, "sda1:/lib", b->file_byte), -EIO);
	assert_int_equal(judge_outside(b, "/lib", b->file_byte), 0);
}

static void what_is_no_file_is_not_outside_of_anything(void **state)
{
	struct bed *b = *state;

	assert_int_equal(judge_outside(b, "/etc", 1024), -EIO); /* superblock */
	assert_non_null(strstr(err_reason(), "superblock"));
	assert_non_null(strstr(err_reason(), "not the contents of a file"));
	assert_int_equal(judge_outside(b, "/etc", 8 * MIB - 512), 0); /* free space */
	b->region.content = DISK_CONTENT_LUKS;
	assert_int_equal(judge_outside(b, "/etc", b->file_byte), -EIO);
}

/* Two holes of one file with another between them: its name is made once for each. */
static void a_file_with_several_holes_keeps_its_name(void **state)
{
	struct bed *b = *state;
	const struct copy_hole list[] = {hole(1024), hole(b->file_byte), hole(b->file_byte + 4096)};
	CLEANUP_FREE char *text = NULL;

	assert_int_equal(holes_judge(&b->holes, 0, list, 3), 0);
	text = json_text(b->holes.list);
	assert_non_null(strstr(text, "\"/var/lib/db/table\""));
	assert_null(strstr(text, "/var/var"));
}

static void the_proof_lists_the_holes_of_its_disk(void **state)
{
	struct bed *b = *state;
	const struct copy_hole one = hole(b->file_byte);
	CLEANUP_JSON json_t *proof = json_pack("{s:[{},{}]}", "disks");
	const json_t *places, *holes;

	assert_int_equal(holes_judge(&b->holes, 1, &one, 1), 0);
	holes_into_proof(&b->holes, proof);
	holes = json_object_get(json_array_get(json_object_get(proof, "disks"), 0), "holes");
	assert_int_equal(json_array_size(holes), 0);
	holes = json_object_get(json_array_get(json_object_get(proof, "disks"), 1), "holes");
	assert_int_equal(json_array_size(holes), 1);
	places = json_object_get(json_array_get(holes, 0), "places");
	assert_string_equal(json_string_value(json_object_get(json_array_get(places, 0), "kind")),
			    "file");
	assert_string_equal(json_string_value(json_array_get(
				    json_object_get(json_array_get(places, 0), "names"), 0)),
			    "/var/lib/db/table");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_number_decides_and_the_reason_names_the_file),
		TEST(paths_protect_what_is_below_them),
		TEST(what_is_no_file_is_not_outside_of_anything),
		TEST(a_file_with_several_holes_keeps_its_name),
		TEST(the_proof_lists_the_holes_of_its_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
