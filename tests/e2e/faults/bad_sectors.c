/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sectors that cannot be read, laid over a program: BAD_SECTORS is "PATH FIRST-BYTE BYTES;..." */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_bad(const char *path, long offset, long bytes)
{
	char list[4096], *save = NULL;
	const char *given = getenv("BAD_SECTORS");

	snprintf(list, sizeof(list), "%s", given ? given : "");
	for (char *one = strtok_r(list, ";", &save); one; one = strtok_r(NULL, ";", &save)) {
		char bad[2000];
		long first, length;

		if (sscanf(one, "%1999s %ld %ld", bad, &first, &length) == 3 &&
		    strcmp(bad, path) == 0 && offset < first + length && first < offset + bytes)
			return 1;
	}
	return 0;
}

ssize_t pread64(int fd, void *buf, size_t bytes, off64_t offset)
{
	char link[40], path[2000];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	path[n < 0 ? 0 : n] = '\0';
	if (is_bad(path, offset, (long)bytes)) {
		errno = EIO;
		return -1;
	}
	return syscall(SYS_pread64, fd, buf, bytes, offset);
}

ssize_t pread(int fd, void *buf, size_t bytes, off_t offset)
{
	return pread64(fd, buf, bytes, offset);
}
