/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Images that are read: what a file is, and raw ones. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"
#include "image/qcow2.h"
#include "image/read.h"

static const char *const formats[] = {[IMAGE_QCOW2] = "qcow2", [IMAGE_RAW] = "raw"};
static const char *const compressions[] = {
	[IMAGE_DEFLATE] = "deflate", [IMAGE_ZSTD] = "zstd", [IMAGE_PLAIN] = "none"};

const char *image_format_name(enum image_format f)
{
	return formats[f];
}

const char *image_compression_name(enum image_compression c)
{
	return compressions[c];
}

int image_format_parse(const char *name, enum image_format *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (strcmp(name, formats[i]) == 0) {
			*out = (enum image_format)i;
			return 0;
		}
	return -EINVAL;
}

int image_compression_parse(const char *name, enum image_compression *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(compressions); i++)
		if (strcmp(name, compressions[i]) == 0) {
			*out = (enum image_compression)i;
			return 0;
		}
	return -EINVAL;
}

int image_invalid(const struct image *i, const char *fmt, ...)
{
	char what[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	return fail_code(EINVAL, "IMAGE_INVALID", "%s is damaged: %s", i->name, what);
}

int image_open_fd(int fd, const char *name, struct image **out)
{
	struct image *i = calloc(1, sizeof(*i));
	uint8_t magic[4] = {0};
	struct cursor c = cursor_of(magic, sizeof(magic));
	int rc;

	if (!i) {
		close(fd);
		return fail(ENOMEM, "memory for an image");
	}
	i->fd = fd;
	i->name = strdup(name);
	i->format = IMAGE_RAW;
	rc = i->name ? io_size(fd, name, &i->file_bytes) : fail(ENOMEM, "memory for an image");
	i->size_bytes = i->file_bytes;
	if (rc == 0 && i->file_bytes >= sizeof(magic))
		rc = io_pread(fd, magic, sizeof(magic), 0, name);
	if (rc == 0 && cursor_be32(&c) == QCOW2_MAGIC) {
		i->format = IMAGE_QCOW2;
		rc = image_qcow2_open(i);
	}
	if (rc < 0) {
		image_close(i);
		return rc;
	}
	*out = i;
	return 0;
}

int image_open(const char *path, struct image **out)
{
	int fd = io_open(path, O_RDONLY, 0);

	return fd < 0 ? fd : image_open_fd(fd, path, out);
}

void image_close(struct image *i)
{
	if (!i)
		return;
	if (i->format == IMAGE_QCOW2)
		image_qcow2_close(i);
	close(i->fd);
	free(i->name);
	free(i);
}

uint64_t image_size(const struct image *i)
{
	return i->size_bytes;
}

bool image_root(const struct image *i, uint8_t root[MERKLE_ROOT_BYTES], enum image_digest *digest,
		uint64_t *disk_bytes)
{
	if (!i->has_root)
		return false;
	memcpy(root, i->root, MERKLE_ROOT_BYTES);
	*digest = i->digest;
	*disk_bytes = i->disk_bytes;
	return true;
}

static int check_range(const struct image *i, uint64_t bytes, uint64_t offset_bytes)
{
	return range_ok(offset_bytes, bytes, i->size_bytes)
		       ? 0
		       : fail(EINVAL, "%s has no byte %llu", i->name,
			      (unsigned long long)(offset_bytes + bytes));
}

int image_read(struct image *i, void *buf, size_t bytes, uint64_t offset_bytes)
{
	int rc = check_range(i, bytes, offset_bytes);

	if (rc < 0)
		return rc;
	return i->format == IMAGE_QCOW2 ? image_qcow2_read(i, buf, bytes, offset_bytes)
					: io_pread(i->fd, buf, bytes, offset_bytes, i->name);
}

static void raw_extent(const struct image *i, uint64_t offset_bytes, uint64_t length_bytes,
		       uint64_t *extent_bytes, bool *zero)
{
	uint64_t end = offset_bytes + length_bytes;
	off_t next = lseek(i->fd, (off_t)offset_bytes, SEEK_DATA);

	*zero = false;
	*extent_bytes = length_bytes;
	if (next < 0 && errno != ENXIO)
		return; /* it cannot tell */
	*zero = next < 0 || (uint64_t)next > offset_bytes;
	if (!*zero)
		next = lseek(i->fd, (off_t)offset_bytes, SEEK_HOLE);
	if (next >= 0 && (uint64_t)next > offset_bytes)
		*extent_bytes = min_of((uint64_t)next, end) - offset_bytes;
}

int image_extent(struct image *i, uint64_t offset_bytes, uint64_t length_bytes,
		 uint64_t *extent_bytes, bool *zero)
{
	int rc = check_range(i, length_bytes, offset_bytes);

	if (rc == 0 && length_bytes == 0)
		rc = fail(EINVAL, "an extent of no bytes");
	if (rc < 0)
		return rc;
	if (i->format == IMAGE_QCOW2)
		return image_qcow2_extent(i, offset_bytes, length_bytes, extent_bytes, zero);
	raw_extent(i, offset_bytes, length_bytes, extent_bytes, zero);
	return 0;
}
