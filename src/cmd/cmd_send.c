/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `migrator send`: copy disk images or devices as they are, without inventory and plan. The layout
 * is kept; of file systems that we know only what is in use is read.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/num.h"
#include "cmd/cmd.h"
#include "cmd/copy_args.h"
#include "disk/disk.h"

#define COMMAND		   "migrator send"
#define SECTOR_BYTES	   512
#define CONTROL_TIMEOUT_MS 30000

struct image {
	struct arena *arena;
	struct map *map;
	const char *path;
	int fd;
	uint64_t size_bytes;
	unsigned disk;
	const char *name;
	struct disk_layout *layout;
};

static void close_control(struct wire_control **control)
{
	wire_control_close(*control);
}

static void add(struct image *image, uint64_t offset_bytes, uint64_t length_bytes)
{
	map_add_range(image->map, image->disk, offset_bytes, length_bytes, image->disk,
		      offset_bytes);
}

/* So that what cannot be read can be named. part 0: the whole disk. */
static void add_region(struct image *image, unsigned part, enum disk_content content,
		       uint64_t offset_bytes, uint64_t length_bytes)
{
	struct disk_region *r =
		arena_push(image->arena, &image->layout->list, &image->layout->count);

	*r = (struct disk_region){
		.name = part ? arena_printf(image->arena, "%s, partition %u", image->name, part)
			     : image->name,
		.path = image->path,
		.path_offset_bytes = offset_bytes,
		.length_bytes = length_bytes,
		.content = content};
	*arena_push(image->arena, &r->pieces, &r->piece_count) =
		(struct disk_region_piece){image->disk, offset_bytes, 0, length_bytes};
}

/* A part of the disk that is in no partition. */
static void add_area(struct image *image, const char *name, uint64_t offset_bytes,
		     uint64_t length_bytes)
{
	struct disk_region *r =
		arena_push(image->arena, &image->layout->list, &image->layout->count);

	*r = (struct disk_region){.name = arena_printf(image->arena, "%s: %s", image->name, name),
				  .length_bytes = length_bytes};
	*arena_push(image->arena, &r->pieces, &r->piece_count) =
		(struct disk_region_piece){image->disk, offset_bytes, 0, length_bytes};
}

/* The used parts of what stands at [offset, offset + length). */
static int add_content(struct image *image, unsigned part, uint64_t offset_bytes,
		       uint64_t length_bytes)
{
	struct disk_fs fs = {0};
	struct disk_extents used = {0};
	int rc = disk_probe(image->arena, image->fd, image->path, offset_bytes, length_bytes, &fs);

	if (rc < 0)
		return rc;
	add_region(image, part, fs.content, offset_bytes, length_bytes);
	rc = disk_used_at(image->arena, image->path, offset_bytes, length_bytes, fs.content, &used);
	if (rc == -EUCLEAN) {
		log_warn("%s; all of it is copied", err_reason());
		add(image, offset_bytes, length_bytes);
		return 0;
	}
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < used.count; i++)
		add(image, offset_bytes + used.list[i].offset_bytes, used.list[i].length_bytes);
	return 0;
}

static int add_partitions(struct image *image, const struct disk_table *table)
{
	uint64_t first = image->size_bytes;
	int rc;

	/* What stands before the first partition may be a boot loader. */
	for (size_t i = 0; i < table->count; i++)
		first = min_of(first, table->partitions[i].offset_bytes);
	add(image, 0, first);
	for (size_t i = 0; i < table->meta.count; i++) {
		struct disk_extent e = table->meta.list[i];
		uint64_t from = max_of(e.offset_bytes, first);

		add_area(image, "partition table", e.offset_bytes, e.length_bytes);
		if (e.offset_bytes + e.length_bytes > from)
			add(image, from, e.offset_bytes + e.length_bytes - from);
	}
	for (size_t i = 0; i < table->count; i++) {
		const struct disk_partition *p = &table->partitions[i];

		if (p->extended)
			continue;
		rc = add_content(image, p->number, p->offset_bytes, p->length_bytes);
		if (rc < 0)
			return fail_in(rc, "%s, partition %u", image->path, p->number);
	}
	return 0;
}

static int add_image(struct image *image, bool whole)
{
	CLEANUP_CLOSE int fd = io_open(image->path, O_RDONLY, 0);
	const char *name = strrchr(image->path, '/');
	struct disk_table table = {0};
	int rc;

	if (fd < 0)
		return fd;
	image->fd = fd;
	rc = io_size(fd, image->path, &image->size_bytes);
	if (rc < 0)
		return rc;
	if (image->size_bytes == 0)
		return fail_code(EINVAL, "FILE_UNREADABLE", "%s is empty", image->path);
	name = name ? name + 1 : image->path;
	image->name = name;
	map_add_source(image->map, image->path, name, image->size_bytes);
	image->disk = map_add_disk(image->map, name, round_up(image->size_bytes, SECTOR_BYTES));
	if (whole) {
		add(image, 0, image->size_bytes);
		return 0;
	}
	rc = disk_table_read(image->arena, fd, image->path, image->size_bytes, SECTOR_BYTES,
			     &table);
	if (rc < 0)
		return rc;
	return table.kind == DISK_TABLE_NONE || table.count == 0
		       ? add_content(image, 0, 0, image->size_bytes)
		       : add_partitions(image, &table);
}

/* An artefact of the receiver; *out stays NULL where it has none. */
static int fetch(struct wire_control *control, const char *path, json_t **out)
{
	CLEANUP_FREE char *text = NULL;
	unsigned status = 0;
	size_t bytes;
	int rc = wire_control_fetch(control, path, &status, &text, &bytes);

	if (rc < 0)
		return status == 404 ? 0 : rc;
	return json_parse(text, bytes, path, out);
}

/*
 * What `migrator run` has copied there is not overwritten unasked. Its plan has a version, ours has
 * none; copy-state.json says that the copy was begun. One image over another is the sender's own
 * affair: it has no identity to go by, and a newer state of it is meant to be sent like that.
 */
static int check_holder(struct wire_control *control)
{
	CLEANUP_JSON json_t *plan = NULL;
	CLEANUP_JSON json_t *state = NULL;
	CLEANUP_JSON json_t *inventory = NULL;
	const char *name;
	int rc = fetch(control, "/v1/artefact/plan.json", &plan);

	if (rc < 0 || !json_object_get(plan, "version"))
		return rc;
	rc = fetch(control, "/v1/artefact/copy-state.json", &state);
	if (rc < 0 || !state)
		return rc;
	rc = fetch(control, "/v1/artefact/inventory.json", &inventory);
	if (rc < 0)
		return rc;
	name = json_string_value(json_object_get(json_object_get(inventory, "guest"), "hostname"));
	return fail_code(EEXIST, "TARGET_HOLDS_MACHINE",
			 "the receiver holds the copy of a machine%s%.64s", name ? ", " : "",
			 name ? name : "");
}

/* The receiver makes its disks by a plan's sizes; this is the least of a plan. */
static int announce(const struct copy_args *args, const struct map *map)
{
	CLEANUP(close_control) struct wire_control *control = NULL;
	CLEANUP_JSON json_t *plan = json_object();
	CLEANUP_FREE char *text = NULL;
	json_t *disks = json_array();
	int rc;

	for (size_t i = 0; i < map->disk_count; i++)
		json_array_append_new(disks, json_pack("{s:I,s:s,s:o}", "index", (json_int_t)i,
						       "source", map->disks[i].name, "target_bytes",
						       json_u64(map->disks[i].size_bytes)));
	json_object_set_new(plan, "disks", disks);
	text = json_text(plan);
	if (!text)
		return fail(ENOMEM, "memory for the plan that the receiver gets");
	rc = wire_control_open(&args->activation, CONTROL_TIMEOUT_MS, &control);
	if (rc == 0 && !args->overwrite) {
		rc = check_holder(control);
		if (rc < 0)
			return rc;
	}
	if (rc == 0)
		rc = wire_control_put_plan(control, text, strlen(text));
	return rc < 0 ? fail_in(rc, "tell the receiver the sizes of its disks") : 0;
}

int cmd_send(int argc, char **argv)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	struct map *map = map_new(a, "send");
	struct copy_args args;
	struct disk_layout layout = {0};
	int first, rc = copy_args_parse(argc, argv, &args, &first);

	if (rc == -1) {
		copy_args_help("send --activation CODE [OPTION...] DISK...");
		return CMD_DONE;
	}
	if (rc != 0)
		return rc;
	if (first == argc || argc - first > MAP_DISKS_MAX) {
		fprintf(stderr, COMMAND ": give 1 to %d disks or images\n", MAP_DISKS_MAX);
		return CMD_USAGE;
	}
	for (int i = first; i < argc && rc == 0; i++) {
		struct image image = {.arena = a, .map = map, .path = argv[i], .layout = &layout};

		rc = add_image(&image, args.whole);
		if (rc < 0 && !*err_code())
			rc = fail_code(rc, "FILE_UNREADABLE", "%s", err_reason());
	}
	if (rc == 0)
		rc = map_finish(map);
	if (rc == 0 && args.have_activation)
		rc = announce(&args, map);
	if (rc < 0)
		return cmd_report(COMMAND, rc);
	args.layout = &layout;
	return copy_args_run(COMMAND, &args, map);
}
