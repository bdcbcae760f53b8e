/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making and removing views; see prep_views.h. Linux: Documentation/admin-guide/device-mapper/
 * snapshot.rst and linear.rst. */
#include "prepare/prep_views.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/num.h"
#include "prepare/prep_cow.h"
#include "prepare/prep_dm.h"
#include "prepare/prepare.h"

/*
 * A read is split at each chunk, and the first write to a chunk copies all of it. Measured under
 * QEMU (600 MiB in reads of 1 MiB, seconds of the kernel's time): chunks of 4 KiB 9.1, 16 KiB 2.3,
 * 32 KiB 2.8, 64 KiB 1.3, 256 KiB 1.1. Smaller ones where memory is short, as a journal replay
 * writes single blocks all over the disk.
 */
#define CHUNK_BYTES	  (64 * KIB)
#define CHUNK_SMALL_BYTES (32 * KIB)
#define SHORT_BYTES	  (128 * MIB)
#define SECTOR_BYTES	  512

const char *view_disk_path(struct arena *a, const char *disk)
{
	return arena_printf(a, "/dev/mapper/" VIEW_PREFIX "%s", disk);
}

/* As LVM names its own: dashes doubled, one dash between the two. */
static const char *volume_view_name(struct arena *a, const char *vg, const char *lv)
{
	char name[DM_NAME_MAX] = VIEW_PREFIX;
	size_t used = strlen(name);

	for (int part = 0; part < 2; part++) {
		for (const char *p = part ? lv : vg; *p && used + 3 < sizeof(name); p++) {
			name[used++] = *p;
			if (*p == '-')
				name[used++] = '-';
		}
		if (part == 0)
			name[used++] = '-';
	}
	name[used] = '\0';
	return arena_strdup(a, name);
}

const char *prepare_view_path(struct arena *a, const char *part)
{
	return view_disk_path(a, part);
}

const char *prepare_volume_view_path(struct arena *a, const char *vg, const char *lv)
{
	return arena_printf(a, "/dev/mapper/%s", volume_view_name(a, vg, lv));
}

static int check_source(const struct plan_disk *d, const char *path)
{
	CLEANUP_CLOSE int fd = io_open(path, O_RDONLY, 0);
	uint64_t bytes;
	int rc, is_on = 0;

	if (fd < 0)
		return fail_code(ESTALE, "SOURCE_CHANGED",
				 "%s of the plan cannot be opened (%s). Make a new plan.", path,
				 strerror(-fd));
	rc = io_size(fd, path, &bytes);
	if (rc < 0)
		return rc;
	if (bytes != d->source_bytes)
		return fail_code(ESTALE, "SOURCE_CHANGED",
				 "%s has %" PRIu64 " bytes and the plan says %" PRIu64
				 ". Make a new plan.",
				 path, bytes, d->source_bytes);
	if (ioctl(fd, BLKROGET, &is_on) || !is_on)
		return fail_code(EROFS, "SOURCE_NOT_READONLY", "%s is writable", path);
	return 0;
}

struct cow_space {
	char path[COW_PATH_BYTES];
	uint64_t slice_bytes;
	uint64_t chunk_bytes;
};

static int make_disk(struct arena *a, const struct plan_disk *d, const struct cow_space *space,
		     uint64_t slice_at_bytes)
{
	struct dm_line cow = {.length_bytes = space->slice_bytes, .type = "linear"};
	struct dm_line raw = {.length_bytes = d->source_bytes, .type = "linear"};
	struct dm_line snapshot = {.length_bytes = d->source_bytes, .type = "snapshot"};
	const char *cow_name = arena_printf(a, COW_PREFIX "%s", d->source);
	const char *raw_name = arena_printf(a, RAW_PREFIX "%s", d->source);
	const char *path = arena_printf(a, "/dev/%s", d->source);
	int rc = check_source(d, path);

	if (rc < 0)
		return rc;
	snprintf(raw.params, sizeof(raw.params), "%s 0", path);
	rc = dm_create_readonly(raw_name, &raw);
	if (rc < 0)
		return rc;
	snprintf(cow.params, sizeof(cow.params), "%s %" PRIu64, space->path,
		 slice_at_bytes / SECTOR_BYTES);
	rc = dm_create(cow_name, &cow, 1);
	if (rc < 0)
		return rc;
	/* N: the changes need not survive us. */
	snprintf(snapshot.params, sizeof(snapshot.params),
		 "/dev/mapper/%s /dev/mapper/%s N %" PRIu64, raw_name, cow_name,
		 space->chunk_bytes / SECTOR_BYTES);
	return dm_create(arena_printf(a, VIEW_PREFIX "%s", d->source), &snapshot, 1);
}

static struct view *add_view(struct views *v, const char *name, const char *path)
{
	struct view *view = arena_push(v->arena, &v->list, &v->count);

	view->name = name;
	view->path = path;
	return view;
}

static int make_part(struct views *v, const struct plan_disk *d, const struct plan_part *p)
{
	const char *dm_name = arena_printf(v->arena, VIEW_PREFIX "%s", p->name);
	struct dm_line line = {.length_bytes = p->length_bytes, .type = "linear"};
	struct view *view;

	view = add_view(v, p->name, arena_printf(v->arena, "/dev/mapper/%s", dm_name));
	view->content = p->content;
	view->fs_type = p->fs_type;
	view->fs_uuid = p->fs_uuid;
	/* A disk without partitions is its own content. */
	if (strcmp(p->name, d->source) == 0)
		return 0;
	snprintf(line.params, sizeof(line.params), "%s %" PRIu64,
		 view_disk_path(v->arena, d->source), p->offset_bytes / SECTOR_BYTES);
	return dm_create(dm_name, &line, 1);
}

static int make_volume(struct views *v, const struct plan *plan, const struct plan_volume *lv)
{
	const char *dm_name = volume_view_name(v->arena, lv->vg, lv->lv);
	struct dm_line *lines = NULL;
	size_t count = 0;
	struct view *view;

	for (size_t i = 0; i < lv->segment_count; i++) {
		const struct plan_segment *s = &lv->segments[i];
		struct dm_line *l = arena_push(v->arena, &lines, &count);

		l->offset_bytes = s->volume_offset_bytes;
		l->length_bytes = s->length_bytes;
		l->type = "linear";
		snprintf(l->params, sizeof(l->params), "%s %" PRIu64,
			 view_disk_path(v->arena, plan->disks[s->disk].source),
			 s->disk_offset_bytes / SECTOR_BYTES);
	}
	view = add_view(v, arena_printf(v->arena, "%s/%s", lv->vg, lv->lv),
			arena_printf(v->arena, "/dev/mapper/%s", dm_name));
	view->content = lv->content;
	view->fs_type = lv->fs_type;
	view->fs_uuid = lv->fs_uuid;
	return count ? dm_create(dm_name, lines, count) : 0;
}

int views_make(struct arena *a, const struct plan *plan, uint64_t cow_limit_bytes,
	       struct views *out)
{
	uint64_t limit = cow_limit_bytes ? cow_limit_bytes : cow_limit_by_memory();
	/* Thin: four times what may be in it at a usual compression; a slice costs 0.4 % of its
	 * size in tables. */
	struct cow_space space = {
		.slice_bytes = round_up(limit > 256 * MIB ? limit * 2 : limit * 4, MIB),
		.chunk_bytes = limit < SHORT_BYTES ? CHUNK_SMALL_BYTES : CHUNK_BYTES,
	};
	CLEANUP_CLOSE int cow_fd = -1;
	int rc;

	*out = (struct views){.arena = a};
	if (plan->disk_count == 0)
		return fail(EINVAL, "a plan without disks");
	rc = cow_make(space.slice_bytes * plan->disk_count, limit, space.path, &cow_fd);
	for (size_t i = 0; rc == 0 && i < plan->disk_count; i++) {
		const struct plan_disk *d = &plan->disks[i];

		rc = make_disk(a, d, &space, space.slice_bytes * i);
		for (size_t j = 0; rc == 0 && j < d->part_count; j++)
			if (d->parts[j].kind == PLAN_PART_CONTENT && d->parts[j].name)
				rc = make_part(out, d, &d->parts[j]);
	}
	for (size_t i = 0; rc == 0 && i < plan->volume_count; i++)
		rc = make_volume(out, plan, &plan->volumes[i]);
	return rc;
}

const struct view *views_find(const struct views *v, const char *name)
{
	for (size_t i = 0; i < v->count; i++)
		if (strcmp(v->list[i].name, name) == 0)
			return &v->list[i];
	return NULL;
}

/* Write back, forget what is cached, and no more writes. */
static int settle_device(const char *path)
{
	CLEANUP_CLOSE int fd = io_open(path, O_RDONLY, 0);
	int on = 1;

	if (fd < 0)
		return fd;
	if (fsync(fd) || ioctl(fd, BLKFLSBUF, 0) || ioctl(fd, BLKROSET, &on))
		return fail(errno, "settle %s", path);
	return 0;
}

int views_settle(const struct plan *plan, const struct views *v)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < v->count; i++)
		rc = settle_device(v->list[i].path);
	for (size_t i = 0; rc == 0 && i < plan->disk_count; i++)
		rc = settle_device(view_disk_path(v->arena, plan->disks[i].source));
	return rc;
}

/* The RAM disk below a "cow-" device: table "MAJOR:MINOR OFFSET". */
static bool zram_below(const char *cow_name, unsigned *number)
{
	unsigned major_number, minor_number;
	char params[DM_PARAMS_MAX];

	return dm_first_line(cow_name, false, params, sizeof(params)) == 0 &&
	       sscanf(params, "%u:%u", &major_number, &minor_number) == 2 &&
	       cow_below(major_number, minor_number, number);
}

static int remove_pass(const char *const prefixes[], bool patient, size_t *left)
{
	char **names;
	size_t count;
	int rc = dm_list(prefixes, &names, &count), first = 0;

	*left = 0;
	for (size_t i = 0; rc == 0 && i < count; i++) {
		int one = dm_remove(names[i], patient);

		if (one < 0) {
			first = first ? first : one;
			++*left;
		}
	}
	dm_free_names(names, count);
	return rc < 0 ? rc : first;
}

/*
 * Those on top go first: pass after pass until nothing more goes. What has just been looked at may
 * be held a moment longer, so the last pass is patient.
 */
static int remove_all(const char *const prefixes[])
{
	size_t before = SIZE_MAX, left = 0;
	bool patient = false;
	int rc;

	for (;;) {
		rc = remove_pass(prefixes, patient, &left);
		if (left == 0 || (left >= before && patient))
			return rc;
		patient = left >= before;
		before = left;
	}
}

#define ZRAM_MAX 64

int views_remove(void)
{
	static const char *const views[] = {VIEW_PREFIX, RAW_PREFIX, NULL}, *const cows[] = {
										    COW_PREFIX,
										    NULL};
	bool used[ZRAM_MAX] = {false};
	char **names;
	size_t count;
	int rc = remove_all(views);

	if (rc == 0)
		rc = dm_list(cows, &names, &count);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < count; i++) {
		unsigned number;

		if (zram_below(names[i], &number) && number < ZRAM_MAX)
			used[number] = true;
	}
	dm_free_names(names, count);
	rc = remove_all(cows);
	for (unsigned n = 0; rc == 0 && n < ZRAM_MAX; n++)
		if (used[n])
			rc = cow_drop(n);
	return rc;
}

/* "Invalid", "Overflow", or "USED/TOTAL METADATA". */
static int check_snapshot(const char *name)
{
	char text[DM_PARAMS_MAX], table[DM_PARAMS_MAX];

	if (dm_first_line(name, true, text, sizeof(text)) < 0 ||
	    dm_first_line(name, false, table, sizeof(table)) < 0)
		return -EIO;
	/* Only a snapshot's table ends in its kind and chunk size; the others are linear. */
	if (!strstr(table, " N "))
		return 0;
	if (strncmp(text, "Invalid", 7) && strncmp(text, "Overflow", 8))
		return 0;
	return fail_code(ENOSPC, "COW_FULL",
			 "the memory for changes to %s ran out (%s). Boot the image on a machine "
			 "with more memory, or shut the source down cleanly first, so that there "
			 "is less to replay.",
			 name, text);
}

int prepare_check(void)
{
	static const char *const all[] = {VIEW_PREFIX, COW_PREFIX, NULL};
	char **names;
	size_t count;
	int rc = dm_list(all, &names, &count);

	for (size_t i = 0; rc == 0 && i < count; i++) {
		uint64_t used_bytes;
		bool overflown;
		unsigned number;

		if (strncmp(names[i], COW_PREFIX, strlen(COW_PREFIX))) {
			rc = check_snapshot(names[i]);
		} else if (zram_below(names[i], &number)) {
			rc = cow_state(number, &used_bytes, &overflown);
			if (rc == 0 && overflown)
				rc = fail_code(
					ENOSPC, "COW_FULL",
					"the memory for changes to the views ran out at %" PRIu64
					" MiB. Boot the image on a machine with more "
					"memory, or shut the source down cleanly first.",
					used_bytes >> 20);
		}
	}
	dm_free_names(names, count);
	return rc;
}
