/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The source must not be written: every hardware disk and partition is read-only in the kernel, and
 * nothing stands on top of them but our views. Checked as well as set; see prepare.h.
 */
#include "prepare/prepare.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/num.h"
#include "prepare/prep_views.h"

static bool starts_with(const char *name, const char *prefix)
{
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* Devices that are no hardware of the source. md and device-mapper are looked at separately. */
bool quiesce_is_virtual(const char *name)
{
	static const char *const prefixes[] = {"loop", "ram", "zram", "nbd", "fd", "dm-", "md"};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (starts_with(name, prefixes[i]))
			return true;
	return false;
}

static int lock_device(const char *name)
{
	char path[300];
	CLEANUP_CLOSE int fd = -1;
	int on = 1, is_on = 0;

	/* sysfs writes '/' in names as '!': cciss!c0d0. */
	snprintf(path, sizeof(path), "/dev/%s", name);
	for (char *p = path + 5; *p; p++)
		if (*p == '!')
			*p = '/';
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	/* An empty drive, and a disk that has gone, cannot be written. */
	if (fd < 0 && (errno == ENOMEDIUM || errno == ENXIO || errno == ENODEV || errno == ENOENT))
		return 0;
	if (fd < 0)
		return fail(errno, "open %s", path);
	if (ioctl(fd, BLKROSET, &on))
		return fail_code(errno, "SOURCE_NOT_READONLY",
				 "%s could not be made read-only (%s). Nothing was written; stop "
				 "here and report this controller.",
				 path, strerror(errno));
	if (ioctl(fd, BLKROGET, &is_on) || !is_on)
		return fail_code(
			EROFS, "SOURCE_NOT_READONLY",
			"%s says that it is still writable. Nothing was written; stop here "
			"and report this controller.",
			path);
	return 0;
}

int quiesce_disk(const char *name)
{
	char path[300];
	CLEANUP_CLOSEDIR DIR *dir = NULL;
	struct dirent *e;
	int rc = lock_device(name);

	snprintf(path, sizeof(path), "/sys/block/%s", name);
	dir = opendir(path);
	while (rc == 0 && dir && (e = readdir(dir))) {
		char mark[600];

		/* Partitions are the sub-directories that know their number. */
		snprintf(mark, sizeof(mark), "%s/%s/partition", path, e->d_name);
		if (starts_with(e->d_name, name) && access(mark, F_OK) == 0)
			rc = lock_device(e->d_name);
	}
	return rc;
}

/* An array, volume, container or path group that somebody has assembled. */
static int check_stacked(const char *name)
{
	char path[300], text[128] = "";

	if (starts_with(name, "md")) {
		snprintf(path, sizeof(path), "/sys/block/%s/md/array_state", name);
		if (io_read_line(path, text, sizeof(text)) == 0 && strcmp(text, "clear") &&
		    strcmp(text, "inactive"))
			return fail_code(EBUSY, "SOURCE_ASSEMBLED",
					 "the array %s is running (%s). Stop it with mdadm --stop, "
					 "then try again.",
					 name, text);
	}
	if (starts_with(name, "dm-")) {
		snprintf(path, sizeof(path), "/sys/block/%s/dm/name", name);
		if (io_read_line(path, text, sizeof(text)) == 0 &&
		    !starts_with(text, VIEW_PREFIX) && !starts_with(text, COW_PREFIX) &&
		    !starts_with(text, RAW_PREFIX))
			return fail_code(EBUSY, "SOURCE_ASSEMBLED",
					 "the device %s is active on top of the source's disks. "
					 "Remove it with dmsetup remove, then try again.",
					 text);
	}
	return 0;
}

int prepare_quiesce(void)
{
	CLEANUP_CLOSEDIR DIR *dir = opendir("/sys/block");
	struct dirent *e;
	int rc = 0;

	if (!dir)
		return fail(errno, "list the disks in /sys/block");
	while (rc == 0 && (e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		rc = quiesce_is_virtual(e->d_name) ? check_stacked(e->d_name)
						   : quiesce_disk(e->d_name);
	}
	return rc;
}
