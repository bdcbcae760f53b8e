/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A kernel that suspends replaces the swap signature by its own and keeps the old one right before
 * it (kernel/power/swap.c, struct swsusp_header); waking up begins with finding that mark. Putting
 * the old signature back is what the kernel itself does after waking up.
 */
#include "prepare/prep_swap.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"

#define PAGE_BYTES	4096
#define SIGNATURE_BYTES 10
#define SIGNATURE_AT	(PAGE_BYTES - SIGNATURE_BYTES)

static bool is_swap(const char signature[SIGNATURE_BYTES])
{
	return !memcmp(signature, "SWAPSPACE2", SIGNATURE_BYTES) ||
	       !memcmp(signature, "SWAP-SPACE", SIGNATURE_BYTES);
}

static bool is_suspended(const char signature[SIGNATURE_BYTES])
{
	static const char *const marks[] = {"S1SUSPEND", "S2SUSPEND", "ULSUSPEND", "LINHIB0001"};

	for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
		if (!memcmp(signature, marks[i], strlen(marks[i])))
			return true;
	return false;
}

/* 1: the mark was there and is gone. */
static int give_up(int fd, const char *name)
{
	char both[2 * SIGNATURE_BYTES];
	const char *old = both, *now = both + SIGNATURE_BYTES;
	int rc = io_pread(fd, both, sizeof(both), SIGNATURE_AT - SIGNATURE_BYTES, name);

	if (rc < 0 || !is_suspended(now))
		return rc;
	rc = io_pwrite(fd, is_swap(old) ? old : "SWAPSPACE2", SIGNATURE_BYTES, SIGNATURE_AT, name);
	if (rc == 0 && fsync(fd))
		rc = fail(errno, "sync %s", name);
	return rc < 0 ? rc : 1;
}

int swap_give_up(const struct view *view, struct prep_report *r)
{
	CLEANUP_CLOSE int fd = io_open(view->path, O_RDWR, 0);
	uint64_t bytes = 0;
	int rc = fd < 0 ? fd : io_size(fd, view->path, &bytes);

	if (rc < 0 || bytes < PAGE_BYTES)
		return rc;
	rc = give_up(fd, view->path);
	if (rc > 0)
		report_note(r->repaired, view->name, "a suspended system was given up");
	return min_of(rc, 0);
}

int swap_files_give_up(struct guest *g, const struct plan *plan, struct prep_report *r)
{
	for (size_t i = 0; i < plan->suspended_file_count; i++) {
		const char *path = plan->suspended_files[i];
		CLEANUP_CLOSE int seen = guest_open(g, path, O_RDONLY | O_NONBLOCK, 0);
		CLEANUP_CLOSE int fd = -1;
		int rc = seen < 0 ? seen : guest_allow_writes(g, seen);

		if (rc < 0)
			return rc;
		fd = guest_open(g, path, O_RDWR | O_NONBLOCK, 0);
		rc = fd < 0 ? fd : give_up(fd, path);
		if (rc < 0)
			return rc;
		if (rc > 0)
			report_note(r->repaired, path, "a suspended system was given up");
	}
	return 0;
}
