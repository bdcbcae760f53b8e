/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Walking an initramfs image segment by segment; see prep_initrd.h. */
#include "prepare/prep_initrd.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"

static const struct {
	enum initrd_packing packing;
	const char *name;
	uint8_t magic[6];
	size_t magic_bytes;
	int (*unpack)(struct initrd_stream *s, initrd_sink_fn sink, void *ctx);
} packings[] = {
	/* lib/decompress.c of the kernel knows the same magic numbers. */
	{INITRD_GZIP, "gzip", {0x1f, 0x8b}, 2, initrd_ungzip},
	{INITRD_ZSTD, "zstd", {0x28, 0xb5, 0x2f, 0xfd}, 4, initrd_unzstd},
	{INITRD_LZ4, "lz4", {0x02, 0x21, 0x4c, 0x18}, 4, initrd_unlz4},
	{INITRD_XZ, "xz", {0xfd, '7', 'z', 'X', 'Z', 0}, 6, initrd_unxz},
	{INITRD_BZIP2, "bzip2", {'B', 'Z', 'h'}, 3, NULL},
	{INITRD_LZMA, "lzma", {0x5d, 0x00, 0x00}, 3, initrd_unlzma},
	{INITRD_LZO, "lzo", {0x89, 'L', 'Z', 'O'}, 4, NULL},
};

int initrd_fill(struct initrd_stream *s)
{
	int64_t n;

	if (s->have)
		return 0;
	s->start = 0;
	n = s->input->read(s->input->ctx, s->at_bytes, s->buf, sizeof(s->buf));
	if (n < 0)
		return (int)n;
	s->have = (size_t)n;
	return 0;
}

void initrd_take(struct initrd_stream *s, size_t bytes)
{
	s->start += bytes;
	s->have -= bytes;
	s->at_bytes += bytes;
}

/* The bytes at the front, without taking them; fewer only at the end of the image. */
static int initrd_peek(struct initrd_stream *s, size_t bytes)
{
	while (s->have < bytes) {
		int64_t n;

		memmove(s->buf, s->buf + s->start, s->have);
		s->start = 0;
		n = s->input->read(s->input->ctx, s->at_bytes + s->have, s->buf + s->have,
				   sizeof(s->buf) - s->have);
		if (n < 0)
			return (int)n;
		if (n == 0)
			break;
		s->have += (size_t)n;
	}
	return 0;
}

struct segment_sink {
	struct cpio_walk *walk;
	uint64_t bytes;
	uint64_t *total_bytes;
};

static int feed_segment(void *ctx, const uint8_t *data, size_t bytes)
{
	struct segment_sink *k = ctx;
	size_t used = 0;
	int rc;

	k->bytes += bytes;
	*k->total_bytes += bytes;
	if (*k->total_bytes > INITRD_PLAIN_MAX_BYTES)
		return fail(EFBIG, "unpacks to more than %" PRIu64 " bytes",
			    INITRD_PLAIN_MAX_BYTES);
	rc = cpio_walk_feed(k->walk, data, bytes, &used);
	if (rc == 0 && used < bytes)
		rc = fail(EINVAL, "junk behind the end of a compressed archive");
	return rc;
}

static void note_segment(struct initrd_shape *shape, enum initrd_packing packing,
			 uint64_t plain_bytes)
{
	shape->segments++;
	shape->last = packing;
	if (shape->segments == 1 || plain_bytes > shape->main_bytes) {
		shape->main = packing;
		shape->main_bytes = plain_bytes;
	}
}

/* An uncompressed segment, or several with zeros between them. */
static int walk_plain(struct initrd_stream *s, const struct cpio_visitor *visitor,
		      uint64_t *total_bytes, struct initrd_shape *shape)
{
	CLEANUP(cpio_walk_fini) struct cpio_walk walk = {0};
	uint64_t start = s->at_bytes;
	int rc;

	cpio_walk_init(&walk, visitor, s->at_bytes);
	for (;;) {
		size_t used = 0;

		rc = initrd_fill(s);
		if (rc < 0)
			return rc;
		if (s->have == 0)
			break;
		rc = cpio_walk_feed(&walk, s->buf + s->start, s->have, &used);
		if (rc < 0)
			return rc;
		initrd_take(s, used);
		if (used == 0)
			break;
	}
	rc = cpio_walk_end(&walk);
	if (rc < 0)
		return rc;
	*total_bytes += s->at_bytes - start;
	note_segment(shape, INITRD_PLAIN, walk.end_bytes - start);
	shape->content_bytes = walk.end_bytes;
	return 0;
}

static int walk_packed(struct initrd_stream *s, const struct cpio_visitor *visitor,
		       uint64_t *total_bytes, struct initrd_shape *shape)
{
	CLEANUP(cpio_walk_fini) struct cpio_walk walk = {0};
	struct segment_sink sink = {.walk = &walk, .total_bytes = total_bytes};
	uint64_t start = s->at_bytes;
	size_t i;
	int rc = initrd_peek(s, 6);

	if (rc < 0)
		return rc;
	for (i = 0; i < ARRAY_SIZE(packings); i++)
		if (s->have >= packings[i].magic_bytes &&
		    !memcmp(s->buf + s->start, packings[i].magic, packings[i].magic_bytes))
			break;
	if (i == ARRAY_SIZE(packings))
		return fail_code(ENOTSUP, "INITRAMFS_FORMAT",
				 "%s: nothing known at byte %" PRIu64 " (the kernel would stop "
				 "here too)",
				 s->input->name, start);
	if (!packings[i].unpack)
		return fail_code(ENOTSUP, "INITRAMFS_FORMAT",
				 "%s: packed with %s, which cannot be looked into yet",
				 s->input->name, packings[i].name);
	cpio_walk_init(&walk, visitor, 0);
	rc = packings[i].unpack(s, feed_segment, &sink);
	if (rc == 0)
		rc = cpio_walk_end(&walk);
	if (rc < 0)
		return fail_in(rc, "%s segment at byte %" PRIu64, packings[i].name, start);
	note_segment(shape, packings[i].packing, sink.bytes);
	shape->content_bytes = s->at_bytes;
	return 0;
}

static int walk_segments(struct initrd_stream *s, const struct cpio_visitor *visitor,
			 struct initrd_shape *shape)
{
	uint64_t total_bytes = 0;

	for (;;) {
		int rc = initrd_fill(s);

		if (rc < 0)
			return rc;
		if (s->have == 0)
			return 0;
		if (s->buf[s->start] == 0) {
			initrd_take(s, 1);
			continue;
		}
		if (s->buf[s->start] == '0' && s->at_bytes % 4 == 0)
			rc = walk_plain(s, visitor, &total_bytes, shape);
		else
			rc = walk_packed(s, visitor, &total_bytes, shape);
		if (rc < 0)
			return rc;
	}
}

int initrd_walk(const struct initrd_input *input, const struct cpio_visitor *visitor,
		struct initrd_shape *shape)
{
	CLEANUP_FREE struct initrd_stream *s = calloc(1, sizeof(*s));
	int rc;

	*shape = (struct initrd_shape){.last = INITRD_UNKNOWN, .main = INITRD_UNKNOWN};
	if (!s)
		return fail(ENOMEM, "read %s", input->name);
	s->input = input;
	rc = walk_segments(s, visitor, shape);
	if (rc == -EINVAL && !*err_code()) {
		char reason[ERR_REASON_MAX];

		strcpy(reason, err_reason());
		return fail_code(EINVAL, "INITRAMFS_DAMAGED", "%s: %.400s", input->name, reason);
	}
	return rc < 0 && !*err_code() ? fail_in(rc, "%s", input->name) : rc;
}
