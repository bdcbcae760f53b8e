/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mounting the guest's file systems and reading its files; see prep_guest.h. */
#include "prepare/prep_guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"

/* Else a thread of the driver would go on to fill inode tables, all of it into our memory. */
#define EXT4_OPTIONS "noinit_itable"

#define GUEST_MOUNT_FLAGS (MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME)

void guest_init(struct guest *g, const char *dir)
{
	*g = (struct guest){.root_fd = -1};
	snprintf(g->dir, sizeof(g->dir), "%s", dir);
}

/* Without a reason text: absence is often the answer. */
static int open_quiet(const struct guest *g, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)flags | O_CLOEXEC,
		.mode = mode,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	long fd;

	if (g->root_fd < 0)
		return -ENOENT;
	do {
		fd = syscall(SYS_openat2, g->root_fd, path, &how, sizeof(how));
	} while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	return fd < 0 ? -errno : (int)fd;
}

int guest_open(const struct guest *g, const char *path, int flags, mode_t mode)
{
	int fd = open_quiet(g, path, flags, mode);

	return fd < 0 ? fail(fd, "open %s of the guest", path) : fd;
}

/* The file system's own options out of a line of fstab, and ours that keep it from writing on its
 * own. */
static void mount_options(struct guest_mount *m, const char *fstab_options)
{
	char copy[256], *save = NULL;
	size_t used = 0;

	snprintf(copy, sizeof(copy), "%s", fstab_options ? fstab_options : "");
	m->options[0] = '\0';
	if (strcmp(m->fs_type, "ext4") == 0)
		used += (size_t)snprintf(m->options, sizeof(m->options), EXT4_OPTIONS);
	if (strcmp(m->fs_type, "xfs") == 0)
		used += (size_t)snprintf(m->options, sizeof(m->options), "nouuid");
	for (char *word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		if (strncmp(word, "subvol=", 7) && strncmp(word, "subvolid=", 9))
			continue;
		if (used + strlen(word) + 2 > sizeof(m->options))
			continue;
		used += (size_t)snprintf(m->options + used, sizeof(m->options) - used, "%s%s",
					 used ? "," : "", word);
	}
}

/* Where the kernel itself says that an open directory is: mount points of the guest may be links.
 */
static int path_of(int fd, char *out, size_t out_bytes)
{
	char proc[32];
	ssize_t n;

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	n = readlink(proc, out, out_bytes - 1);
	if (n < 0)
		return fail(errno, "path of a directory of the guest");
	out[n] = '\0';
	return 0;
}

static int unmount_last(struct guest *g)
{
	const struct guest_mount *m = &g->mounts[--g->mount_count];
	char target[PATH_MAX];
	int rc = 0;

	if (g->mount_count == 0) {
		if (g->root_fd >= 0)
			close(steal_fd(&g->root_fd));
		snprintf(target, sizeof(target), "%s", g->dir);
	} else {
		/* Closed again before umount(2), which it would keep busy. */
		CLEANUP_CLOSE int at = guest_open(g, m->where, O_PATH | O_DIRECTORY, 0);

		rc = at < 0 ? at : path_of(at, target, sizeof(target));
	}
	if (rc == 0 && umount2(target, UMOUNT_NOFOLLOW))
		rc = fail(errno, "unmount %s of the guest", m->where);
	return rc;
}

/* What is mounted now: the way in, and its device number. */
static int enter_mount(struct guest *g, struct guest_mount *m)
{
	CLEANUP_CLOSE int top = -1;
	struct stat st;

	if (g->root_fd < 0)
		g->root_fd = io_open(g->dir, O_PATH | O_DIRECTORY, 0);
	if (g->root_fd < 0)
		return g->root_fd;
	top = guest_open(g, m->where, O_RDONLY | O_DIRECTORY, 0);
	if (top < 0)
		return top;
	if (fstat(top, &st))
		return fail(errno, "stat %s of the guest", m->where);
	m->dev = st.st_dev;
	return 0;
}

int guest_mount(struct guest *g, const char *where, const char *device, const char *fs_type,
		const char *fstab_options)
{
	struct guest_mount *m = &g->mounts[g->mount_count];
	CLEANUP_CLOSE int at = -1;
	char target[300];
	int rc;

	if (g->mount_count == GUEST_MOUNTS_MAX)
		return fail(E2BIG, "mount %s of the guest", where);
	*m = (struct guest_mount){0};
	snprintf(m->where, sizeof(m->where), "%s", where);
	snprintf(m->device, sizeof(m->device), "%s", device);
	/* One driver serves all three. */
	snprintf(m->fs_type, sizeof(m->fs_type), "%s",
		 !strcmp(fs_type, "ext2") || !strcmp(fs_type, "ext3") ? "ext4" : fs_type);
	mount_options(m, fstab_options);
	snprintf(target, sizeof(target), "%s", g->dir);
	if (g->mount_count) {
		at = guest_open(g, where, O_PATH | O_DIRECTORY, 0);
		if (at < 0)
			return at;
		snprintf(target, sizeof(target), "/proc/self/fd/%d", at);
	}
	if (mount(device, target, m->fs_type, GUEST_MOUNT_FLAGS | MS_RDONLY, m->options))
		return fail(errno, "mount %s (%s) as %s of the guest", device, m->fs_type, where);
	g->mount_count++;
	rc = enter_mount(g, m);
	if (rc < 0)
		unmount_last(g);
	return rc;
}

int guest_unmount(struct guest *g)
{
	int first = 0;

	while (g->mount_count) {
		int rc = unmount_last(g);

		first = first ? first : rc;
	}
	return first;
}

int guest_read(const struct guest *g, const char *path, size_t max_bytes, char **data,
	       size_t *bytes)
{
	CLEANUP_CLOSE int fd = open_quiet(g, path, O_RDONLY | O_NONBLOCK, 0);
	char proc[32];
	struct stat st;

	if (fd < 0)
		return fail(fd, "open %s of the guest", path);
	if (fstat(fd, &st))
		return fail(errno, "stat %s of the guest", path);
	if (!S_ISREG(st.st_mode))
		return fail(EINVAL, "%s of the guest is not a file", path);
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	return io_read_file(proc, max_bytes, data, bytes);
}

bool guest_exists(const struct guest *g, const char *path)
{
	CLEANUP_CLOSE int fd = open_quiet(g, path, O_PATH, 0);

	return fd >= 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int guest_list(const struct guest *g, const char *path, char ***names, size_t *count)
{
	CLEANUP_CLOSE int fd = open_quiet(g, path, O_RDONLY | O_DIRECTORY, 0);
	CLEANUP_CLOSEDIR DIR *dir = NULL;
	struct dirent *e;

	*names = NULL;
	*count = 0;
	if (fd == -ENOENT || fd == -ENOTDIR)
		return 0;
	if (fd < 0)
		return fail(fd, "open %s of the guest", path);
	dir = fdopendir(fd);
	if (!dir)
		return fail(errno, "list %s of the guest", path);
	steal_fd(&fd);
	while ((e = readdir(dir))) {
		char **wider;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		wider = realloc(*names, (*count + 1) * sizeof(**names));
		if (wider)
			*names = wider;
		if (!wider || !((*names)[*count] = strdup(e->d_name))) {
			guest_free_names(*names, *count);
			*names = NULL;
			*count = 0;
			return fail(ENOMEM, "list %s of the guest", path);
		}
		++*count;
	}
	if (*count)
		qsort(*names, *count, sizeof(**names), by_text);
	return 0;
}

void guest_free_names(char **names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(names[i]);
	free(names);
}

int guest_allow_writes(struct guest *g, int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return fail(errno, "stat a file of the guest");
	for (size_t i = 0; i < g->mount_count; i++) {
		struct guest_mount *m = &g->mounts[i];
		CLEANUP_CLOSE int at = -1;
		char target[32];

		if (m->dev != st.st_dev)
			continue;
		if (m->writable)
			return 0;
		at = guest_open(g, m->where, O_PATH | O_DIRECTORY, 0);
		if (at < 0)
			return at;
		snprintf(target, sizeof(target), "/proc/self/fd/%d", at);
		/* What selected the file system is settled and not said again. */
		if (mount("", target, "", GUEST_MOUNT_FLAGS | MS_REMOUNT,
			  strcmp(m->fs_type, "ext4") == 0 ? EXT4_OPTIONS : NULL))
			return fail(errno, "make %s of the guest writable (in the view)", m->where);
		m->writable = true;
		log_info("prepare: %s of the guest is written to, in its view", m->where);
		return 0;
	}
	return fail(EXDEV, "a file of the guest is on none of its mounts");
}
