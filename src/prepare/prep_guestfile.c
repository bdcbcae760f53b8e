/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Replacing a file of the guest with everything that hangs on it; see prep_guest.h. */
#include "prepare/prep_guest.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"

#define XATTR_LIST_MAX_BYTES  4096
#define XATTR_VALUE_MAX_BYTES 65536

/* SELinux labels and ACLs are extended attributes too. */
static int copy_xattrs(int from, int to, const char *path)
{
	char names[XATTR_LIST_MAX_BYTES];
	CLEANUP_FREE char *value = malloc(XATTR_VALUE_MAX_BYTES);
	ssize_t n = flistxattr(from, names, sizeof(names));

	if (n < 0 && errno == ENOTSUP)
		return 0;
	if (n < 0 || !value)
		return fail(n < 0 ? errno : ENOMEM, "attributes of %s of the guest", path);
	for (const char *name = names; name < names + n; name += strlen(name) + 1) {
		ssize_t bytes = fgetxattr(from, name, value, XATTR_VALUE_MAX_BYTES);

		if (bytes < 0 || fsetxattr(to, name, value, (size_t)bytes, 0))
			return fail(errno, "attribute %s of %s of the guest", name, path);
	}
	return 0;
}

static int fill_fresh(int old, int fresh, const char *path, const void *data, size_t bytes)
{
	struct stat st;
	int rc;

	if (fstat(old, &st))
		return fail(errno, "stat %s of the guest", path);
	rc = io_write(fresh, data, bytes, path);
	if (rc < 0)
		return rc;
	if (fchown(fresh, st.st_uid, st.st_gid) || fchmod(fresh, st.st_mode & 07777))
		return fail(errno, "owner and mode of %s of the guest", path);
	rc = copy_xattrs(old, fresh, path);
	if (rc < 0)
		return rc;
	return fsync(fresh) ? fail(errno, "sync %s of the guest", path) : 0;
}

/* The guest's real path of an open file, as links may have led elsewhere. */
static int real_path(const struct guest *g, int fd, char *out, size_t out_bytes)
{
	char proc[32], path[PATH_MAX];
	size_t dir_bytes = strlen(g->dir);
	ssize_t n;

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	n = readlink(proc, path, sizeof(path) - 1);
	if (n < 0)
		return fail(errno, "path of a file of the guest");
	path[n] = '\0';
	if (strncmp(path, g->dir, dir_bytes) || path[dir_bytes] != '/' ||
	    (size_t)n - dir_bytes >= out_bytes)
		return fail(EXDEV, "%s is outside the guest", path);
	memcpy(out, path + dir_bytes, (size_t)n - dir_bytes + 1);
	return 0;
}

int guest_replace(struct guest *g, const char *path, const void *data, size_t bytes)
{
	CLEANUP_CLOSE int old = guest_open(g, path, O_RDONLY | O_NONBLOCK, 0);
	CLEANUP_CLOSE int dir = -1, fresh = -1;
	char real[PATH_MAX], real_dir[PATH_MAX], fresh_name[NAME_MAX + 1];
	const char *name;
	int rc;

	if (old < 0)
		return old;
	rc = real_path(g, old, real, sizeof(real));
	if (rc == 0)
		rc = guest_allow_writes(g, old);
	if (rc < 0)
		return rc;
	memcpy(real_dir, real, sizeof(real));
	*(strrchr(real_dir, '/') + 1) = '\0';
	name = strrchr(real, '/') + 1;
	dir = guest_open(g, real_dir, O_RDONLY | O_DIRECTORY, 0);
	if (dir < 0)
		return dir;
	if (snprintf(fresh_name, sizeof(fresh_name), ".%s.new", name) >= (int)sizeof(fresh_name))
		return fail(ENAMETOOLONG, "write %s of the guest", path);
	fresh = openat(dir, fresh_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fresh < 0)
		return fail(errno, "write %s of the guest", path);
	rc = fill_fresh(old, fresh, path, data, bytes);
	if (rc == 0 && renameat(dir, fresh_name, dir, name))
		rc = fail(errno, "rename %s of the guest", path);
	if (rc == 0 && fsync(dir))
		rc = fail(errno, "sync %s of the guest", real_dir);
	if (rc < 0)
		unlinkat(dir, fresh_name, 0);
	return rc;
}
