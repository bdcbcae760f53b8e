/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an earlier run has left at the receiver, and whether the source was used since. A run id
 * lives as long as the views do; after a restart of the source all is read again and only what
 * differs is sent, so nothing depends on the print that is taken here: it tells the operator which
 * of the two he is looking at.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/num.h"
#include "cmd/run.h"

#define PRINT_BYTES (64 * KIB) /* superblocks, AG headers, labels */
#define HASH_BYTES  32

struct print {
	uint8_t value[HASH_BYTES];
	uint8_t buf[HASH_BYTES + PRINT_BYTES];
};

/* The chain so far and these bytes. What cannot be read counts as nothing. */
static void add_bytes(struct print *p, int fd, const char *name, uint64_t offset_bytes,
		      uint64_t length_bytes)
{
	size_t n = (size_t)min_of(length_bytes, (uint64_t)PRINT_BYTES);

	memcpy(p->buf, p->value, HASH_BYTES);
	if (io_pread(fd, p->buf + HASH_BYTES, n, offset_bytes, name) < 0)
		n = 0;
	hash_sha256(p->buf, HASH_BYTES + n, p->value);
}

/*
 * Superblocks hold times of mounting and writing, counters of mounts and of free blocks; LVM
 * metadata its number. Of the raw disk, not of its view, in which things were repaired.
 */
static int add_disk(struct print *p, const struct plan_disk *d)
{
	char path[300];
	CLEANUP_CLOSE int fd = -1;

	snprintf(path, sizeof(path), "/dev/%s", d->source);
	fd = io_open(path, O_RDONLY, 0);
	if (fd < 0)
		return fd;
	for (size_t i = 0; i < d->part_count; i++) {
		const struct plan_part *part = &d->parts[i];

		if (part->kind == PLAN_PART_CONTENT)
			add_bytes(p, fd, path, part->offset_bytes, part->length_bytes);
		for (size_t k = 0; k < part->keep.count; k++)
			add_bytes(p, fd, path, part->keep.list[k].offset_bytes,
				  part->keep.list[k].length_bytes);
	}
	return 0;
}

/* Volumes have their superblocks, too. */
static void add_volume(struct print *p, const struct plan *plan, const struct plan_volume *v)
{
	const struct plan_segment *first = v->segment_count ? &v->segments[0] : NULL;
	CLEANUP_CLOSE int fd = -1;
	char path[300];

	if (!first)
		return;
	snprintf(path, sizeof(path), "/dev/%s", plan->disks[first->disk].source);
	fd = io_open(path, O_RDONLY, 0);
	if (fd >= 0)
		add_bytes(p, fd, path, first->disk_offset_bytes, first->length_bytes);
}

static int take_print(const struct plan *plan, char text[2 * HASH_BYTES + 1])
{
	CLEANUP_FREE struct print *p = calloc(1, sizeof(*p));
	int rc = p ? 0 : fail(ENOMEM, "the source's print");

	for (size_t i = 0; rc == 0 && i < plan->disk_count; i++)
		rc = add_disk(p, &plan->disks[i]);
	for (size_t i = 0; rc == 0 && i < plan->volume_count; i++)
		add_volume(p, plan, &plan->volumes[i]);
	if (rc == 0)
		hex_encode(p->value, HASH_BYTES, text);
	return rc;
}

static void tell(struct run *r, const char *run_id, const char *print)
{
	if (strcmp(run_id, r->run_id_text) == 0)
		log_info("going on with the run that was interrupted");
	else if (strcmp(print, r->source_print) == 0)
		run_show_step(r,
			      "the source was restarted, its disks have not been used since: what "
			      "has arrived is compared and kept");
	else
		run_show_step(r,
			      "the source was used since the last run: all is read, and what has "
			      "changed is sent");
}

/* A receiver that cannot be asked is the copy's matter. */
int run_recognise(struct run *r)
{
	CLEANUP_FREE char *body = NULL;
	CLEANUP_JSON json_t *state = NULL;
	const char *run_id, *print;
	size_t bytes;
	int rc;

	hex_encode(r->run_id, sizeof(r->run_id), r->run_id_text);
	rc = take_print(r->plan, r->source_print);
	if (rc < 0)
		return fail_in(rc, "the source's print");
	if (wire_control_fetch(r->control_link, "/v1/artefact/" COPY_STATE, NULL, &body, &bytes) ==
		    0 &&
	    json_parse(body, bytes, COPY_STATE, &state) == 0 &&
	    json_get_string(state, "run_id", &run_id) == 0 &&
	    json_get_string(state, "source_print", &print) == 0)
		tell(r, run_id, print);
	return 0;
}
