/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parsing and writing of "newc" archives; see prep_cpio.h. Follows init/initramfs.c of the kernel
 * in what it takes. */
#include "prepare/prep_cpio.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/num.h"

#define TRAILER "TRAILER!!!"

void cpio_walk_init(struct cpio_walk *w, const struct cpio_visitor *visitor, uint64_t at_bytes)
{
	memset(w, 0, sizeof(*w));
	w->visitor = visitor;
	w->at_bytes = at_bytes;
}

void cpio_walk_fini(struct cpio_walk *w)
{
	free(w->kept);
	w->kept = NULL;
}

/* Eight hex digits, in either case; the kernel takes them with simple_strtoul. */
static int head_field(const char *head, unsigned index, uint64_t *out)
{
	const char *p = head + 6 + index * 8;
	uint64_t v = 0;

	for (int i = 0; i < 8; i++) {
		char c = p[i];

		if (c >= '0' && c <= '9')
			v = v << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (uint64_t)(c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			v = v << 4 | (uint64_t)(c - 'A' + 10);
		else
			return -EINVAL;
	}
	*out = v;
	return 0;
}

static int take_head(struct cpio_walk *w)
{
	uint64_t mode, bytes, name_bytes;

	/* 070702 has checksums, which the kernel verifies; neither parts the two formats here. */
	if (memcmp(w->head, "070701", 6) && memcmp(w->head, "070702", 6))
		return fail(EINVAL, "no archive entry at byte %" PRIu64,
			    w->at_bytes - CPIO_HEAD_BYTES);
	if (head_field(w->head, 1, &mode) || head_field(w->head, 6, &bytes) ||
	    head_field(w->head, 11, &name_bytes))
		return fail(EINVAL, "a number in the archive entry at byte %" PRIu64,
			    w->at_bytes - CPIO_HEAD_BYTES);
	if (name_bytes == 0 || name_bytes > CPIO_NAME_MAX_BYTES || bytes > CPIO_BODY_MAX_BYTES)
		return fail(EINVAL, "a length in the archive entry at byte %" PRIu64,
			    w->at_bytes - CPIO_HEAD_BYTES);
	if (++w->entries > CPIO_ENTRIES_MAX)
		return fail(E2BIG, "more than %u entries", CPIO_ENTRIES_MAX);
	w->entry.mode = (uint32_t)mode;
	w->entry.bytes = bytes;
	w->name_bytes = name_bytes;
	w->state = CPIO_NAME;
	/* Head and name together are padded to a multiple of four. */
	w->left_bytes = round_up(CPIO_HEAD_BYTES + name_bytes, 4) - CPIO_HEAD_BYTES;
	w->kept_used = 0;
	return 0;
}

static int take_name(struct cpio_walk *w)
{
	uint64_t keep_bytes = 0;
	int rc;

	if (w->entry.name[w->name_bytes - 1] != '\0')
		return fail(EINVAL, "an entry name without an end before byte %" PRIu64,
			    w->at_bytes);
	if (strcmp(w->entry.name, TRAILER) == 0) {
		w->end_bytes = w->at_bytes;
		w->state = CPIO_GAP;
		return 0;
	}
	rc = w->visitor->entry(w->visitor->ctx, &w->entry, &keep_bytes);
	if (rc < 0)
		return rc;
	if (keep_bytes && w->entry.bytes > keep_bytes)
		return fail(EFBIG, "%.200s has %" PRIu64 " bytes", w->entry.name, w->entry.bytes);
	if (keep_bytes) {
		w->kept = malloc(w->entry.bytes + 1);
		if (!w->kept)
			return fail(ENOMEM, "%.200s", w->entry.name);
	}
	w->state = CPIO_BODY;
	w->left_bytes = round_up(w->entry.bytes, 4);
	w->kept_used = 0;
	return 0;
}

static int take_body(struct cpio_walk *w)
{
	int rc = 0;

	if (w->kept) {
		w->kept[w->entry.bytes] = '\0';
		rc = w->visitor->body(w->visitor->ctx, &w->entry, w->kept, w->entry.bytes);
		free(w->kept);
		w->kept = NULL;
	}
	w->end_bytes = w->at_bytes;
	w->state = CPIO_HEAD;
	w->left_bytes = CPIO_HEAD_BYTES;
	w->head_used = 0;
	return rc;
}

static void keep_piece(struct cpio_walk *w, const uint8_t *data, size_t n)
{
	if (w->state == CPIO_HEAD) {
		memcpy(w->head + w->head_used, data, n);
		w->head_used += n;
		return;
	}
	if (w->state == CPIO_NAME && w->kept_used < w->name_bytes) {
		size_t take = min_of(n, w->name_bytes - w->kept_used);

		memcpy(w->entry.name + w->kept_used, data, take);
		w->kept_used += take;
	} else if (w->state == CPIO_BODY && w->kept && w->kept_used < w->entry.bytes) {
		size_t take = min_of((uint64_t)n, w->entry.bytes - w->kept_used);

		memcpy(w->kept + w->kept_used, data, take);
		w->kept_used += take;
	}
}

/* Whatever was being collected is complete, perhaps because nothing had to be collected. */
static int take_ready(struct cpio_walk *w)
{
	int rc = 0;

	while (rc == 0 && w->state != CPIO_GAP && w->left_bytes == 0) {
		if (w->state == CPIO_HEAD)
			rc = take_head(w);
		else if (w->state == CPIO_NAME)
			rc = take_name(w);
		else
			rc = take_body(w);
	}
	return rc;
}

int cpio_walk_feed(struct cpio_walk *w, const uint8_t *data, size_t bytes, size_t *used)
{
	size_t at = 0;

	*used = 0;
	while (at < bytes) {
		size_t n;
		int rc;

		if (w->state == CPIO_GAP) {
			if (data[at] == '0' && w->at_bytes % 4 == 0) {
				w->state = CPIO_HEAD;
				w->left_bytes = CPIO_HEAD_BYTES;
				w->head_used = 0;
			} else if (data[at] == 0) {
				at++;
				w->at_bytes++;
				continue;
			} else {
				break;
			}
		}
		n = min_of((uint64_t)(bytes - at), w->left_bytes);
		keep_piece(w, data + at, n);
		at += n;
		w->at_bytes += n;
		w->left_bytes -= n;
		rc = take_ready(w);
		if (rc < 0)
			return rc;
	}
	*used = at;
	return 0;
}

int cpio_walk_end(const struct cpio_walk *w)
{
	if (w->state == CPIO_GAP)
		return 0;
	/* An archive may end without a trailer: the kernel takes the end of the data for it. */
	if (w->state == CPIO_HEAD && w->head_used == 0)
		return 0;
	return fail(EINVAL, "the archive ends inside an entry, at byte %" PRIu64, w->at_bytes);
}

static int writer_room(struct cpio_writer *w, size_t bytes)
{
	size_t room = max_of(w->room, (size_t)65536);
	uint8_t *wider;

	if (w->room - w->used >= bytes)
		return 0;
	while (room - w->used < bytes)
		room *= 2;
	wider = realloc(w->data, room);
	if (!wider)
		return fail(ENOMEM, "an archive of %zu bytes", room);
	w->data = wider;
	w->room = room;
	return 0;
}

static void put(struct cpio_writer *w, const void *data, size_t bytes)
{
	if (bytes)
		memcpy(w->data + w->used, data, bytes);
	w->used += bytes;
}

static void pad(struct cpio_writer *w)
{
	while (w->used % 4)
		w->data[w->used++] = 0;
}

int cpio_add(struct cpio_writer *w, const char *name, uint32_t mode, const void *body, size_t bytes)
{
	size_t name_bytes = strlen(name) + 1;
	char head[CPIO_HEAD_BYTES + 1];
	int rc = writer_room(w, CPIO_HEAD_BYTES + name_bytes + bytes + 8);

	if (rc < 0)
		return rc;
	/* Inode, mode, uid, gid, links, mtime, size, device, special device, name size, sum. */
	snprintf(head, sizeof(head), "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		 w->next_inode, mode, 0, 0, S_ISDIR(mode) ? 2 : 1, 0, (unsigned)bytes, 0, 0, 0, 0,
		 (unsigned)name_bytes, 0);
	w->next_inode++;
	put(w, head, CPIO_HEAD_BYTES);
	put(w, name, name_bytes);
	pad(w);
	put(w, body, bytes);
	pad(w);
	return 0;
}

int cpio_end(struct cpio_writer *w)
{
	return cpio_add(w, TRAILER, 0, NULL, 0);
}

void cpio_writer_fini(struct cpio_writer *w)
{
	free(w->data);
	*w = (struct cpio_writer){0};
}
