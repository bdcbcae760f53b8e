/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whole reads and writes; see io.h. */
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"

int io_pread(int fd, void *buf, size_t bytes, uint64_t offset_bytes, const char *name)
{
	for (size_t done = 0; done < bytes;) {
		ssize_t n =
			pread(fd, (char *)buf + done, bytes - done, (off_t)(offset_bytes + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(errno, "read %s at byte %" PRIu64, name, offset_bytes + done);
		if (n == 0)
			return fail(EIO, "read %s at byte %" PRIu64 ": ends too early", name,
				    offset_bytes + done);
		done += (size_t)n;
	}
	return 0;
}

int io_pwrite(int fd, const void *buf, size_t bytes, uint64_t offset_bytes, const char *name)
{
	for (size_t done = 0; done < bytes;) {
		ssize_t n = pwrite(fd, (const char *)buf + done, bytes - done,
				   (off_t)(offset_bytes + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fail(n < 0 ? errno : EIO, "write %s at byte %" PRIu64, name,
				    offset_bytes + done);
		done += (size_t)n;
	}
	return 0;
}

int io_write(int fd, const void *buf, size_t bytes, const char *name)
{
	for (size_t done = 0; done < bytes;) {
		ssize_t n = write(fd, (const char *)buf + done, bytes - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fail(n < 0 ? errno : EIO, "write %s", name);
		done += (size_t)n;
	}
	return 0;
}

int io_open(const char *path, int flags, mode_t mode)
{
	int fd = open(path, flags | O_CLOEXEC, mode);

	return fd < 0 ? fail(errno, "open %s", path) : fd;
}

int io_read_file(const char *path, size_t max_bytes, char **data, size_t *bytes)
{
	CLEANUP_CLOSE int fd = io_open(path, O_RDONLY, 0);
	CLEANUP_FREE char *buf = NULL;
	size_t room = 0, used = 0;

	if (fd < 0)
		return fd;
	for (;;) {
		ssize_t n;

		/* sysfs and procfs do not tell their sizes, so the buffer grows with what is read.
		 */
		if (room - used < 2) {
			size_t wider_bytes = room ? room * 2 : 4096;
			char *wider = realloc(buf, wider_bytes);

			if (!wider)
				return fail(ENOMEM, "read %s", path);
			buf = wider;
			room = wider_bytes;
		}
		n = read(fd, buf + used, room - used - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(errno, "read %s", path);
		if (n == 0)
			break;
		used += (size_t)n;
		if (used > max_bytes)
			return fail(EFBIG, "read %s: more than %zu bytes", path, max_bytes);
	}
	buf[used] = '\0';
	*data = steal_ptr(&buf);
	if (bytes)
		*bytes = used;
	return 0;
}

int io_read_line(const char *path, char *buf, size_t buf_bytes)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	buf[0] = '\0';
	if (fd < 0)
		return -errno;
	n = read(fd, buf, buf_bytes - 1);
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return 0;
}

static int sync_dir_of(const char *path)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');
	CLEANUP_CLOSE int fd = -1;

	if (!slash)
		snprintf(dir, sizeof(dir), ".");
	else
		snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path) + 1, path);
	fd = io_open(dir, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	return fsync(fd) ? fail(errno, "sync %s", dir) : 0;
}

static int fresh_open(const char *path, int flags, mode_t mode, char fresh[PATH_MAX])
{
	struct stat st;

	if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return fail(EEXIST, "%s is not a regular file, so it is not replaced by one", path);
	if (snprintf(fresh, PATH_MAX, "%s.new", path) >= PATH_MAX)
		return fail(ENAMETOOLONG, "write %s", path);
	return io_open(fresh, O_RDWR | O_CREAT | flags, mode);
}

int io_fresh_open(const char *path, mode_t mode, char fresh[PATH_MAX])
{
	return fresh_open(path, O_TRUNC, mode, fresh);
}

int io_fresh_reopen(const char *path, mode_t mode, char fresh[PATH_MAX])
{
	return fresh_open(path, 0, mode, fresh);
}

int io_fresh_done(int fd, const char *fresh, const char *path, int rc)
{
	if (rc == 0 && fsync(fd))
		rc = fail(errno, "sync %s", fresh);
	if (rc == 0 && rename(fresh, path))
		rc = fail(errno, "rename %s to %s", fresh, path);
	if (rc < 0) {
		unlink(fresh);
		return rc;
	}
	return sync_dir_of(path);
}

int io_replace_file(const char *path, const void *data, size_t bytes, mode_t mode)
{
	char fresh[PATH_MAX];
	CLEANUP_CLOSE int fd = io_fresh_open(path, mode, fresh);

	if (fd < 0)
		return fd;
	return io_fresh_done(fd, fresh, path, io_write(fd, data, bytes, fresh));
}

int io_mkdir(const char *path, mode_t mode)
{
	if (mkdir(path, mode) && errno != EEXIST)
		return fail(errno, "create directory %s", path);
	return 0;
}

int io_size(int fd, const char *name, uint64_t *bytes)
{
	struct stat st;

	if (fstat(fd, &st))
		return fail(errno, "stat %s", name);
	if (S_ISREG(st.st_mode)) {
		*bytes = (uint64_t)st.st_size;
		return 0;
	}
	if (!S_ISBLK(st.st_mode))
		return fail(ENOTBLK, "%s is neither a file nor a disk", name);
	if (ioctl(fd, BLKGETSIZE64, bytes))
		return fail(errno, "size of %s", name);
	return 0;
}

bool io_is_zero(const void *data, size_t bytes)
{
	const unsigned char *p = data;
	uint64_t any = 0, word;

	/* Whole 64-byte steps, so that the compiler makes vector code of it (musl's memcmp is
	 * byte-wise). */
	for (; bytes >= 64; p += 64, bytes -= 64) {
		for (size_t i = 0; i < 64; i += sizeof(word)) {
			memcpy(&word, p + i, sizeof(word));
			any |= word;
		}
		if (any)
			return false;
	}
	for (size_t i = 0; i < bytes; i++)
		any |= p[i];
	return any == 0;
}
