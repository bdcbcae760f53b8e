/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which bytes a faithful copy needs, by what the content is; see disk.h. */
#include "disk/used.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"

typedef int (*used_fn)(struct arena *a, const struct used_request *r, struct disk_extents *out);

static const used_fn readers[] = {
	[DISK_CONTENT_EXT] = used_ext,
	[DISK_CONTENT_XFS] = used_xfs,
	[DISK_CONTENT_SWAP] = used_swap,
};

int used_dirty(const struct used_request *r, const char *what)
{
	return fail_code(EUCLEAN, "FS_DIRTY",
			 "the file system on %s %s, so its free space is not known", r->path, what);
}

int disk_used_at(struct arena *a, const char *path, uint64_t offset_bytes, uint64_t length_bytes,
		 enum disk_content content, struct disk_extents *out)
{
	CLEANUP_CLOSE int fd = io_open(path, O_RDONLY, 0);
	struct used_request r = {
		.path = path, .fd = fd, .offset_bytes = offset_bytes, .length_bytes = length_bytes};
	struct disk_extents found = {0};
	uint64_t size_bytes;
	int rc;

	*out = (struct disk_extents){0};
	if (fd < 0)
		return fd;
	rc = io_size(fd, path, &size_bytes);
	if (rc < 0)
		return rc;
	if (!range_ok(offset_bytes, length_bytes, size_bytes))
		return fail(EINVAL, "%s has no %" PRIu64 " bytes at %" PRIu64, path, length_bytes,
			    offset_bytes);
	rc = USED_WHOLE;
	if (content < ARRAY_SIZE(readers) && readers[content])
		rc = readers[content](a, &r, &found);
	if (rc < 0)
		return rc;
	if (rc == USED_WHOLE)
		disk_extents_add(a, out, 0, length_bytes);
	else
		*out = found;
	return 0;
}

int disk_used(struct arena *a, const char *path, enum disk_content content,
	      struct disk_extents *out)
{
	CLEANUP_CLOSE int fd = io_open(path, O_RDONLY, 0);
	uint64_t size_bytes;
	int rc;

	if (fd < 0)
		return fd;
	rc = io_size(fd, path, &size_bytes);
	if (rc < 0)
		return rc;
	return disk_used_at(a, path, 0, size_bytes, content, out);
}
