/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk that was pulled out while it is copied, and came back, most often under another name. Its
 * views stand on raw-DISK, a plain dm-linear, which is laid over it again. What was read before
 * must be what would be read now: only a disk of the same size with the same print is taken.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/log.h"
#include "base/num.h"
#include "inventory/inventory.h"
#include "prepare/prep_dm.h"
#include "prepare/prep_views.h"
#include "prepare/prepare.h"

#define PRINT_BYTES (64 * KIB) /* superblocks, AG headers, labels */
#define HASH_BYTES  PREPARE_PRINT_BYTES
#define PATH_BYTES  300
#define NAME_BYTES  64 /* the kernel's have at most 32 */

/* ---- the print ---- */

struct print {
	uint8_t value[HASH_BYTES];
	uint8_t buf[HASH_BYTES + PRINT_BYTES];
};

/* The chain so far and these bytes. What cannot be read counts as nothing. */
static void add_bytes(struct print *p, int fd, const char *name, uint64_t offset_bytes,
		      uint64_t length_bytes)
{
	size_t n = (size_t)min_of(length_bytes, (uint64_t)PRINT_BYTES);

	memcpy(p->buf, p->value, HASH_BYTES);
	if (io_pread(fd, p->buf + HASH_BYTES, n, offset_bytes, name) < 0)
		n = 0;
	hash_sha256(p->buf, HASH_BYTES + n, p->value);
}

/*
 * Superblocks hold times of mounting and writing, counters of mounts and of free blocks; LVM
 * metadata its number. Volumes have their superblocks, too.
 */
static int print_of(const struct plan *plan, unsigned disk, int fd, const char *path,
		    uint8_t out[HASH_BYTES])
{
	CLEANUP_FREE struct print *p = calloc(1, sizeof(*p));
	const struct plan_disk *d = &plan->disks[disk];

	if (!p)
		return fail(ENOMEM, "the print of %s", path);
	for (size_t i = 0; i < d->part_count; i++) {
		const struct plan_part *part = &d->parts[i];

		if (part->kind == PLAN_PART_CONTENT)
			add_bytes(p, fd, path, part->offset_bytes, part->length_bytes);
		for (size_t k = 0; k < part->keep.count; k++)
			add_bytes(p, fd, path, part->keep.list[k].offset_bytes,
				  part->keep.list[k].length_bytes);
	}
	for (size_t i = 0; i < plan->volume_count; i++) {
		const struct plan_volume *v = &plan->volumes[i];

		if (v->segment_count && v->segments[0].disk == disk)
			add_bytes(p, fd, path, v->segments[0].disk_offset_bytes,
				  v->segments[0].length_bytes);
	}
	memcpy(out, p->value, HASH_BYTES);
	return 0;
}

/* ---- what is beneath a view ---- */

static void raw_name(const struct plan_disk *d, char name[DM_NAME_MAX])
{
	snprintf(name, DM_NAME_MAX, RAW_PREFIX "%s", d->source);
}

/* The kernel's name of the disk on which raw-DISK lies: its table is "MAJOR:MINOR OFFSET". */
static int name_beneath(const struct plan_disk *d, char name[NAME_BYTES])
{
	char dm[DM_NAME_MAX], table[DM_PARAMS_MAX], link[PATH_BYTES], target[PATH_BYTES];
	const char *last;
	ssize_t n;
	int rc;

	raw_name(d, dm);
	rc = dm_first_line(dm, false, table, sizeof(table));
	if (rc < 0)
		return rc;
	table[strcspn(table, " ")] = '\0';
	snprintf(link, sizeof(link), "/sys/dev/block/%.40s", table);
	n = readlink(link, target, sizeof(target) - 1);
	if (n < 0)
		return fail(ENODEV, "the disk %s", d->source);
	target[n] = '\0';
	last = strrchr(target, '/');
	snprintf(name, NAME_BYTES, "%.63s", last ? last + 1 : target);
	return 0;
}

/* sysfs writes '/' in names as '!': cciss!c0d0. */
static void path_of(const char *name, char path[PATH_BYTES])
{
	snprintf(path, PATH_BYTES, "/dev/%s", name);
	for (char *p = path + 5; *p; p++)
		if (*p == '!')
			*p = '/';
}

int prepare_hold(const struct plan *plan, unsigned disk, struct prepare_hold *out)
{
	char name[NAME_BYTES], path[PATH_BYTES];
	int rc = name_beneath(&plan->disks[disk], name);

	*out = (struct prepare_hold){.fd = -1};
	if (rc < 0)
		return rc;
	path_of(name, path);
	snprintf(out->name, sizeof(out->name), "%s", name);
	out->fd = io_open(path, O_RDONLY, 0);
	if (out->fd < 0)
		return out->fd;
	return print_of(plan, disk, out->fd, path, out->print);
}

void prepare_release(struct prepare_hold *hold)
{
	if (hold->fd >= 0)
		close(hold->fd);
	hold->fd = -1;
}

/* ---- one that came ---- */

/* The kernel takes the size from a disk that is gone, and never gives it back. */
static bool is_there(const struct plan_disk *d, const struct prepare_hold *hold)
{
	uint64_t bytes;

	return hold->fd >= 0 && ioctl(hold->fd, BLKGETSIZE64, &bytes) == 0 &&
	       bytes == d->source_bytes;
}

static bool is_beneath_another(const struct plan *plan, unsigned disk, const char *name)
{
	char other[NAME_BYTES];

	for (unsigned i = 0; i < plan->disk_count; i++)
		if (i != disk && name_beneath(&plan->disks[i], other) == 0 &&
		    strcmp(other, name) == 0)
			return true;
	return false;
}

/* Disks that nobody has written to yet look alike; then only the number on them tells which is
 * which. */
static bool is_the_twin(const struct plan *plan, unsigned disk, const struct prepare_hold *holds,
			const char *name)
{
	const struct plan_disk *d = &plan->disks[disk];
	struct arena *a = NULL;
	const char *serial;
	bool twin = false;

	for (unsigned i = 0; i < plan->disk_count; i++)
		twin = twin || (i != disk && plan->disks[i].source_bytes == d->source_bytes &&
				memcmp(holds[i].print, holds[disk].print, HASH_BYTES) == 0);
	if (!twin)
		return false;
	a = arena_new();
	serial = a ? inventory_serial(a, name) : NULL;
	twin = !serial || strcmp(serial, d->serial) != 0;
	arena_free(a);
	return twin;
}

/* 1: this is it, and *fd is open; 0: it is not. */
static int look_at(const struct plan *plan, unsigned disk, const struct prepare_hold *holds,
		   const char *name, int *fd)
{
	const struct plan_disk *d = &plan->disks[disk];
	uint8_t print[HASH_BYTES];
	char path[PATH_BYTES];
	uint64_t bytes;
	int sector_bytes = 0, rc;

	if (quiesce_is_virtual(name) || is_beneath_another(plan, disk, name))
		return 0;
	path_of(name, path);
	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (*fd < 0 || ioctl(*fd, BLKGETSIZE64, &bytes) || ioctl(*fd, BLKSSZGET, &sector_bytes) ||
	    bytes != d->source_bytes || (unsigned)sector_bytes != d->sector_bytes)
		return 0;
	rc = quiesce_disk(name);
	if (rc == 0)
		rc = print_of(plan, disk, *fd, path, print);
	if (rc < 0)
		return rc;
	if (memcmp(print, holds[disk].print, HASH_BYTES) == 0 &&
	    !is_the_twin(plan, disk, holds, name))
		return 1;
	log_warn("%s has the size of the disk %s that is gone, but is not it, or was used since",
		 path, d->source);
	return 0;
}

static int attach(const struct plan_disk *d, const char *name)
{
	struct dm_line line = {.length_bytes = d->source_bytes, .type = "linear"};
	char dm[DM_NAME_MAX], path[PATH_BYTES];
	int rc;

	raw_name(d, dm);
	path_of(name, path);
	snprintf(line.params, sizeof(line.params), "%s 0", path);
	rc = dm_replace_readonly(dm, &line);
	if (rc == 0)
		log_info("the disk %s is back as %s", d->source, path);
	return rc;
}

int prepare_reattach(const struct plan *plan, unsigned disk, struct prepare_hold *holds)
{
	struct prepare_hold *hold = &holds[disk];
	CLEANUP_CLOSEDIR DIR *dir = NULL;
	struct dirent *e;

	if (is_there(&plan->disks[disk], hold))
		return 0;
	dir = opendir("/sys/block");
	while (dir && (e = readdir(dir))) {
		CLEANUP_CLOSE int fd = -1;
		int rc = e->d_name[0] == '.' ? 0 : look_at(plan, disk, holds, e->d_name, &fd);

		if (rc > 0)
			rc = attach(&plan->disks[disk], e->d_name);
		else if (rc == 0)
			continue;
		if (rc < 0)
			return rc;
		prepare_release(hold);
		hold->fd = steal_fd(&fd);
		snprintf(hold->name, sizeof(hold->name), "%.63s", e->d_name);
		return 1;
	}
	return 0;
}

/* The kernel has no number any more for a disk that is gone, though what stands on it does. */
bool prepare_disks_are_there(void)
{
	static const char *const raw[] = {RAW_PREFIX, NULL};
	char table[DM_PARAMS_MAX], link[PATH_BYTES], **names;
	bool there = true;
	size_t count;

	if (dm_list(raw, &names, &count) < 0)
		return false;
	for (size_t i = 0; there && i < count; i++) {
		there = dm_first_line(names[i], false, table, sizeof(table)) == 0;
		table[strcspn(table, " ")] = '\0';
		snprintf(link, sizeof(link), "/sys/dev/block/%.40s", table);
		there = there && access(link, F_OK) == 0;
	}
	dm_free_names(names, count);
	return there;
}
