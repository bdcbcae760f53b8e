/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sink that is a file. Where the root of the disk is known, how far the file is goes into
 * PATH.state every now and then: the state of the last part, and only when all parts up to it are
 * on the medium.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/num.h"
#include "image/layout.h"

#define FILE_PART_BYTES (4u << 20)
#define KEEP_MS		2000 /* a state has some hundred KiB */
#define STATE_MAX_BYTES (256 * MIB)

struct file {
	int fd;
	const char *name;
	const char *state_path; /* NULL: nothing is kept */
	uint8_t *buffer;
	bool sparse;
	bool begun;
	uint8_t *state; /* of the last part that has one */
	size_t state_bytes, state_room;
	uint64_t kept_ms;
};

static uint8_t *file_buffer(void *ctx)
{
	return ((struct file *)ctx)->buffer;
}

/* Only saves work: when it fails, the next one begins earlier. */
static void keep(struct file *f)
{
	if (!f->state_path || !f->state_bytes)
		return;
	if (fdatasync(f->fd) < 0 ||
	    io_replace_file(f->state_path, f->state, f->state_bytes, 0600) < 0)
		log_debug("%s cannot be kept", f->state_path);
	f->kept_ms = clock_ms();
}

static void remember(struct file *f, const struct image_part *p)
{
	if (!f->state_path || !p->state)
		return;
	if (p->state_bytes > f->state_room) {
		free(f->state);
		f->state = malloc(2 * p->state_bytes);
		f->state_room = f->state ? 2 * p->state_bytes : 0;
	}
	f->state_bytes = f->state ? p->state_bytes : 0;
	if (f->state)
		memcpy(f->state, p->state, p->state_bytes);
	if (clock_ms() - f->kept_ms >= KEEP_MS)
		keep(f);
}

/* What is behind the state that it goes on from was not vouched for, and goes. */
static int begin_at(struct file *f, const struct image_part *p)
{
	if (f->begun || (p->number == 1 && !f->sparse))
		return 0;
	f->begun = true;
	return ftruncate(f->fd, (off_t)p->offset_bytes) < 0 ? fail(errno, "cut %s", f->name) : 0;
}

/* Zeros are left out of a raw file: nothing else stands there. */
static int file_part(void *ctx, const struct image_part *p)
{
	struct file *f = ctx;
	const size_t step = f->sparse ? PACK_CLUSTER_BYTES : p->bytes;
	int rc = begin_at(f, p);

	for (size_t at = 0; rc == 0 && p->data && at < p->bytes; at += step) {
		size_t n = min_of(step, p->bytes - at);

		if (!f->sparse || !io_is_zero(p->data + at, n))
			rc = io_pwrite(f->fd, p->data + at, n, p->offset_bytes + at, f->name);
	}
	if (rc == 0)
		remember(f, p);
	return rc;
}

static int write_from(const struct image_source *source, const struct image_options *options,
		      struct file *f, const void *state, size_t state_bytes,
		      struct image_result *result)
{
	const struct image_sink sink = {.ctx = f, .buffer = file_buffer, .part = file_part};
	int rc = image_write(source, options, state, state_bytes, &sink, result);

	if (rc == 0 && ftruncate(f->fd, (off_t)result->file_bytes) < 0)
		rc = fail(errno, "make %s as long as it is", f->name);
	return rc;
}

/* From where it was, when there is a state that fits; else from the start. */
static int write_on(const struct image_source *source, const struct image_options *options,
		    struct file *f, struct image_result *result)
{
	struct image_options o = *options;
	CLEANUP_FREE char *state = NULL;
	size_t bytes = 0;
	int rc = -ESTALE;

	o.part_bytes = FILE_PART_BYTES;
	f->buffer = malloc(o.part_bytes);
	if (!f->buffer)
		return fail(ENOMEM, "memory for parts of %s", f->name);
	f->kept_ms = clock_ms();
	if (f->state_path && io_read_file(f->state_path, STATE_MAX_BYTES, &state, &bytes) == 0)
		rc = write_from(source, &o, f, state, bytes, result);
	if (rc == -ESTALE)
		rc = write_from(source, &o, f, NULL, 0, result);
	if (rc == -ECANCELED)
		keep(f);
	free(f->buffer);
	free(f->state);
	return rc;
}

static int state_name(const char *path, char out[PATH_MAX])
{
	if (snprintf(out, PATH_MAX, "%s.state", path) >= PATH_MAX)
		return fail(ENAMETOOLONG, "write %s", path);
	return 0;
}

int image_write_file(const struct image_source *source, const struct image_options *options,
		     const char *path, struct image_result *result)
{
	char fresh[PATH_MAX], state[PATH_MAX];
	CLEANUP_CLOSE int fd = -1;
	struct file f = {.name = fresh, .sparse = options->format == IMAGE_RAW};
	int rc = state_name(path, state);

	if (rc < 0)
		return rc;
	if (source->root)
		f.state_path = state;
	f.fd = fd = f.state_path ? io_fresh_reopen(path, 0600, fresh)
				 : io_fresh_open(path, 0600, fresh);
	if (fd < 0)
		return fd;
	rc = write_on(source, options, &f, result);
	if (rc == -ECANCELED && f.state_path)
		return rc;
	if (unlink(state) < 0 && errno != ENOENT)
		log_debug("%s stays", state);
	return io_fresh_done(fd, fresh, path, rc);
}

int image_file_forget(const char *path)
{
	static const char *const suffixes[] = {".new", ".state", ".state.new"};

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		char name[PATH_MAX];

		if (snprintf(name, sizeof(name), "%s%s", path, suffixes[i]) >= PATH_MAX)
			return fail(ENAMETOOLONG, "remove %s", path);
		if (unlink(name) < 0 && errno != ENOENT)
			return fail(errno, "remove %s", name);
	}
	return 0;
}
