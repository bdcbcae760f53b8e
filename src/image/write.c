/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writing an image: what was packed goes to its place; and the sink that is a file. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"
#include "image/layout.h"

#define DEFLATE_LEVEL 4
#define ZSTD_LEVEL    3
#define PART_MAX      ((size_t)1 << 30)

static int complete(const struct image_source *s, struct image_options *o)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned max = o->compression == IMAGE_ZSTD ? 19 : 9;

	if (o->level == 0)
		o->level = o->compression == IMAGE_ZSTD ? ZSTD_LEVEL : DEFLATE_LEVEL;
	if (o->part_bytes == 0)
		o->part_bytes = IMAGE_PART_BYTES;
	if (o->threads == 0)
		o->threads = cpus > 0 ? (unsigned)cpus : 1;
	o->threads = min_of(o->threads, (unsigned)IMAGE_THREADS_MAX);
	if (o->level > max || o->part_bytes % IMAGE_CHUNK_BYTES != 0 || o->part_bytes > PART_MAX)
		return fail(EINVAL, "an image with level %u and parts of %zu bytes", o->level,
			    o->part_bytes);
	if (s->disk_bytes == 0 || s->disk_bytes > IMAGE_DISK_MAX ||
	    s->image_bytes < s->disk_bytes || s->image_bytes > IMAGE_DISK_MAX)
		return fail(EINVAL, "no image of %llu bytes can be made of %s, which has %llu",
			    (unsigned long long)s->image_bytes, s->name,
			    (unsigned long long)s->disk_bytes);
	return 0;
}

static int take_all(struct layout *l, struct pack *p)
{
	for (;;) {
		const struct packed *next;
		int rc = pack_next(p, &next);

		if (rc == 0 && next)
			rc = layout_take(l, next);
		if (rc < 0 || !next)
			return rc;
	}
}

int image_write(const struct image_source *source, const struct image_options *options,
		const void *state, size_t state_bytes, const struct image_sink *sink,
		struct image_result *result)
{
	struct image_source s = *source;
	struct image_options o = *options;
	struct layout *l = NULL;
	struct pack *p = NULL;
	int rc;

	if (s.image_bytes == 0)
		s.image_bytes = s.disk_bytes;
	rc = complete(&s, &o);
	if (rc == 0)
		rc = layout_new(&s, &o, sink, &l);
	if (rc == 0 && state)
		rc = layout_load(l, state, state_bytes);
	if (rc == 0)
		rc = pack_start(&s, &o, l->next_cluster / PACK_CHUNK_CLUSTERS, &p);
	if (rc == 0)
		rc = take_all(l, p);
	if (rc == 0)
		rc = layout_finish(l, result);
	pack_stop(p);
	layout_free(l);
	return rc;
}

/* ---- into a file ---- */

#define FILE_PART_BYTES (4u << 20)

struct file {
	int fd;
	const char *name;
	uint8_t *buffer;
	bool sparse;
};

static uint8_t *file_buffer(void *ctx)
{
	return ((struct file *)ctx)->buffer;
}

/* Zeros are left out of a raw file: it is new, so nothing else stands there. */
static int file_part(void *ctx, const struct image_part *p)
{
	struct file *f = ctx;
	const size_t step = f->sparse ? PACK_CLUSTER_BYTES : p->bytes;
	int rc = 0;

	for (size_t at = 0; rc == 0 && p->data && at < p->bytes; at += step) {
		size_t n = min_of(step, p->bytes - at);

		if (!f->sparse || !io_is_zero(p->data + at, n))
			rc = io_pwrite(f->fd, p->data + at, n, p->offset_bytes + at, f->name);
	}
	return rc;
}

static int write_new(const struct image_source *source, const struct image_options *options,
		     struct file *f, struct image_result *result)
{
	const struct image_sink sink = {.ctx = f, .buffer = file_buffer, .part = file_part};
	struct image_options o = *options;
	int rc;

	o.part_bytes = FILE_PART_BYTES;
	f->buffer = malloc(o.part_bytes);
	if (!f->buffer)
		return fail(ENOMEM, "memory for parts of %s", f->name);
	rc = image_write(source, &o, NULL, 0, &sink, result);
	free(f->buffer);
	if (rc == 0 && ftruncate(f->fd, (off_t)result->file_bytes) < 0)
		rc = fail(errno, "make %s as long as it is", f->name);
	return rc;
}

int image_write_file(const struct image_source *source, const struct image_options *options,
		     const char *path, struct image_result *result)
{
	char fresh[PATH_MAX];
	CLEANUP_CLOSE int fd = io_fresh_open(path, 0600, fresh);
	struct file f = {.fd = fd, .name = fresh, .sparse = options->format == IMAGE_RAW};

	if (fd < 0)
		return fd;
	return io_fresh_done(fd, fresh, path, write_new(source, options, &f, result));
}
