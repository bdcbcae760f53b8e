/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading sources. Block devices are read past the page cache where offsets and buffers allow it,
 * as nothing is read twice and memory is short; files through it. What fails here is the business
 * of copy_rescue.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "copy/private.h"

/* Gaps up to this are read over, which is faster than a second request; their bytes are dropped. */
#define READ_OVER_BYTES (32 * KIB)
#define READ_LIMIT_MS	(60 * 1000)

static bool is_rotational(dev_t dev)
{
	char path[96], line[8];

	/* A partition's queue is its disk's. */
	for (int up = 0; up < 2; up++) {
		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%squeue/rotational", major(dev),
			 minor(dev), up ? "../" : "");
		if (io_read_line(path, line, sizeof(line)) == 0)
			return line[0] == '1';
	}
	return false;
}

static int open_one(struct source *s, const struct map_source *spec)
{
	struct stat st;
	int sector_bytes = 512;

	*s = (struct source){.spec = spec, .fd = -1, .direct_fd = -1, .sector_bytes = 512};
	s->fd = io_open(spec->path, O_RDONLY, 0);
	if (s->fd < 0)
		return s->fd;
	if (fstat(s->fd, &st))
		return fail(errno, "stat %s", spec->path);
	s->regular = S_ISREG(st.st_mode);
	posix_fadvise(s->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	if (!S_ISBLK(st.st_mode))
		return 0;
	s->rotational = is_rotational(st.st_rdev);
	s->guarded = true;
	if (ioctl(s->fd, BLKSSZGET, &sector_bytes) == 0 && sector_bytes > 0)
		s->sector_bytes = (unsigned)sector_bytes;
	s->direct_fd = open(spec->path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	return 0;
}

int sources_open(struct sources *s, const struct copy_options *o)
{
	*s = (struct sources){.read = o->read, .read_ctx = o->read_ctx};
	guards_init(&s->guards, o->read_limit_ms ? o->read_limit_ms : READ_LIMIT_MS);
	s->list = calloc(max_of(o->map->source_count, (size_t)1), sizeof(*s->list));
	if (!s->list)
		return fail_code(ENOMEM, "COPY_NO_MEMORY", "no memory for the list of sources");
	for (size_t i = 0; i < o->map->source_count; i++) {
		int rc = open_one(&s->list[i], &o->map->sources[i]);

		s->count = i + 1;
		if (rc < 0)
			return fail_in(rc, "source disk %s", o->map->sources[i].name);
	}
	return 0;
}

void sources_close(struct sources *s)
{
	/* A copy that failed before its sources were opened has no guards either. */
	if (s->list)
		guards_fini(&s->guards);
	for (size_t i = 0; i < s->count; i++) {
		if (s->list[i].fd >= 0)
			close(s->list[i].fd);
		if (s->list[i].direct_fd >= 0)
			close(s->list[i].direct_fd);
	}
	free(s->list);
	*s = (struct sources){0};
}

/* Two keep a spinning disk busy and in order; flash wants depth; files are limited by memory. */
unsigned sources_readers(const struct sources *s, const struct map_disk *disk)
{
	unsigned readers = 2;

	for (size_t i = 0; i < disk->count; i++) {
		const struct source *source;

		if (disk->entries[i].kind != MAP_SOURCE)
			continue;
		source = &s->list[disk->entries[i].source];
		if (!source->regular && !source->rotational)
			readers = 4;
	}
	return readers;
}

bool source_is_hole(struct sources *s, unsigned source, uint64_t offset_bytes,
		    uint64_t length_bytes)
{
	struct source *src = &s->list[source];
	off_t data;

	if (!src->regular || s->read)
		return false;
	if (offset_bytes < src->hole_from || offset_bytes >= src->hole_to) {
		data = lseek(src->fd, (off_t)offset_bytes, SEEK_DATA);
		if (data < 0 && errno != ENXIO)
			return false;
		src->hole_from = offset_bytes;
		/* Behind the last data a file is a hole to its end, and no further. */
		src->hole_to = data < 0 ? src->spec->size_bytes : (uint64_t)data;
		if (data < 0 && lseek(src->fd, 0, SEEK_END) < (off_t)src->spec->size_bytes)
			src->hole_to = offset_bytes;
	}
	return range_ok(offset_bytes, length_bytes, src->hole_to);
}

/* The same descriptor numbers go on standing for the source, as other readers are using them. */
static void reopen_as(int fd, const char *path, int flags)
{
	CLEANUP_CLOSE int again = fd < 0 ? -1 : open(path, flags | O_CLOEXEC | O_NONBLOCK);

	if (again >= 0)
		dup3(again, fd, O_CLOEXEC);
}

void source_reopen(struct sources *s, unsigned source)
{
	struct source *src = &s->list[source];
	uint64_t bytes = 0;

	if (s->read || src->regular)
		return;
	{
		CLEANUP_CLOSE int fd = open(src->spec->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

		/* Another disk may have taken the name. */
		if (fd < 0 || io_size(fd, src->spec->path, &bytes) < 0 ||
		    bytes != src->spec->size_bytes)
			return;
	}
	reopen_as(src->fd, src->spec->path, O_RDONLY);
	reopen_as(src->direct_fd, src->spec->path, O_RDONLY | O_DIRECT);
	ioctl(src->fd, BLKFLSBUF, 0);
}

static ssize_t read_guarded(struct sources *s, struct guard_read *ask, uint8_t **base)
{
	ssize_t n;

	ask->owned = *base;
	n = guard_read(&s->guards, ask);
	if (n == -ETIMEDOUT)
		*base = aligned_alloc(4096, WIRE_CHUNK_BYTES);
	return n;
}

/* Once, as much as comes. -errno on failure. */
static ssize_t read_some(struct sources *s, unsigned source, uint8_t **base, size_t at,
			 size_t bytes, uint64_t offset_bytes)
{
	struct source *src = &s->list[source];
	uint64_t align = (uint64_t)(uintptr_t)(*base + at) | bytes | offset_bytes;
	struct guard_read ask = {.hook = s->read,
				 .hook_ctx = s->read_ctx,
				 .source = source,
				 .fd = src->fd,
				 .buf = *base + at,
				 .bytes = bytes,
				 .offset_bytes = offset_bytes};
	ssize_t n;

	if (!s->read && !src->guarded) {
		n = pread(src->fd, ask.buf, bytes, (off_t)offset_bytes);
		return n < 0 ? -errno : n;
	}
	if (!s->read && src->direct_fd >= 0 && align % src->sector_bytes == 0 &&
	    !atomic_load_explicit(&src->direct_bad, memory_order_relaxed)) {
		ask.fd = src->direct_fd;
		n = read_guarded(s, &ask, base);
		if (n != -EINVAL)
			return n;
		atomic_store(&src->direct_bad, true);
		ask.fd = src->fd;
	}
	return read_guarded(s, &ask, base);
}

int source_read_all(struct sources *s, unsigned source, uint8_t **base, size_t at, size_t bytes,
		    uint64_t offset_bytes)
{
	for (size_t done = 0; done < bytes;) {
		ssize_t n =
			read_some(s, source, base, at + done, bytes - done, offset_bytes + done);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? (int)n : -SOURCE_ENDS;
		done += (size_t)n;
	}
	atomic_store_explicit(&s->list[source].good_bytes, offset_bytes, memory_order_relaxed);
	return 0;
}

struct map_entry source_clip(const struct map_entry *e, uint64_t base, uint32_t bytes)
{
	uint64_t from = max_of(e->offset_bytes, base);
	uint64_t to = min_of(e->offset_bytes + e->length_bytes, base + bytes);
	struct map_entry part = *e;

	part.offset_bytes = from - base;
	part.length_bytes = to - from;
	if (e->kind == MAP_SOURCE)
		part.source_offset_bytes += from - e->offset_bytes;
	if (e->kind == MAP_LITERAL)
		part.literal += from - e->offset_bytes;
	return part;
}

/* Extend `span` by the entries behind it as long as the same disk goes on there after a small gap.
 */
static size_t join_span(const struct map_entry *entries, size_t count, uint64_t base,
			uint32_t bytes, struct map_entry *span)
{
	size_t n = 1;

	for (; n < count; n++) {
		struct map_entry next = source_clip(&entries[n], base, bytes);
		uint64_t end = span->offset_bytes + span->length_bytes;

		if (next.kind != MAP_SOURCE || next.source != span->source ||
		    next.offset_bytes - end > READ_OVER_BYTES ||
		    next.source_offset_bytes - span->source_offset_bytes !=
			    next.offset_bytes - span->offset_bytes)
			break;
		span->length_bytes = next.offset_bytes + next.length_bytes - span->offset_bytes;
	}
	return n;
}

/* Read `count` entries of one source, together when that works, else each for itself. */
static int read_span(struct sources *s, const struct map_entry *entries, size_t count,
		     const struct map_entry *span, struct item *item, uint64_t base)
{
	if (count > 1) {
		int rc = source_read_all(s, span->source, &item->data, span->offset_bytes,
					 span->length_bytes, span->source_offset_bytes);

		if (rc == 0 || rc == -ETIMEDOUT)
			return rc;
	}
	for (size_t i = 0; i < count; i++) {
		struct map_entry e = source_clip(&entries[i], base, item->bytes);
		int rc = source_read_all(s, e.source, &item->data, e.offset_bytes, e.length_bytes,
					 e.source_offset_bytes);

		if (rc < 0)
			return rc;
	}
	return 0;
}

void source_fill_rest(const struct map_disk *disk, struct item *item)
{
	const struct map_entry *entries = disk->entries + item->first_entry;
	uint64_t base = item->chunk * WIRE_CHUNK_BYTES, filled = 0;

	for (size_t i = 0; i < item->entry_count; i++) {
		struct map_entry e = source_clip(&entries[i], base, item->bytes);

		memset(item->data + filled, 0, e.offset_bytes - filled);
		if (e.kind == MAP_ZERO)
			memset(item->data + e.offset_bytes, 0, e.length_bytes);
		else if (e.kind == MAP_LITERAL)
			memcpy(item->data + e.offset_bytes, e.literal, e.length_bytes);
		filled = e.offset_bytes + e.length_bytes;
	}
	memset(item->data + filled, 0, item->bytes - filled);
}

int source_read_item(struct sources *s, const struct map_disk *disk, struct item *item,
		     uint64_t *read_bytes)
{
	const struct map_entry *entries = disk->entries + item->first_entry;
	uint64_t base = item->chunk * WIRE_CHUNK_BYTES;

	for (size_t i = 0, n; i < item->entry_count; i += n) {
		struct map_entry span = source_clip(&entries[i], base, item->bytes);
		int rc;

		n = 1;
		if (span.kind == MAP_SOURCE) {
			n = join_span(entries + i, item->entry_count - i, base, item->bytes, &span);
			rc = read_span(s, entries + i, n, &span, item, base);
			if (rc < 0)
				return rc;
			*read_bytes += span.length_bytes;
		}
	}
	/* Then everything that is not a source's, over what was read too much. */
	source_fill_rest(disk, item);
	return 0;
}
