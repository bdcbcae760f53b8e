/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Journal replay in the views; see prep_replay.h.
 *
 * ext: e2fsck -p, which is what a distribution runs at boot: it replays the journal, then works off
 * the list of orphaned inodes, without which the bitmaps are not those of a clean file system
 * (-E journal_only leaves the orphans). It goes on to a full check only when the superblock says
 * that errors were seen. XFS: only the kernel can replay its log.
 */
#include "prepare/prep_replay.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/run.h"
#include "prepare/prep_swap.h"
#include "prepare/prepare.h"

#define E2FSCK_DEADLINE_MS ((uint64_t)12 * 3600 * 1000)
/* e2fsck(8): 1 corrected, 2 corrected and a reboot is wanted (of a mounted root: not here). */
#define E2FSCK_CORRECTED 3

static int probe_view(struct arena *a, const struct view *view, struct disk_fs *fs)
{
	CLEANUP_CLOSE int fd = io_open(view->path, O_RDONLY, 0);
	uint64_t bytes;
	int rc;

	if (fd < 0)
		return fd;
	/* What was written through another view of the same bytes must be seen. */
	if (ioctl(fd, BLKFLSBUF, 0))
		return fail(errno, "flush %s", view->path);
	rc = io_size(fd, view->path, &bytes);
	return rc == 0 ? disk_probe(a, fd, view->name, 0, bytes, fs) : rc;
}

static int replay_ext(const struct view *view, struct prep_report *r)
{
	const char *const argv[] = {"e2fsck", "-p", view->path, NULL};
	CLEANUP_RUN struct run_result result = {0};
	int rc = run_capture(argv, E2FSCK_DEADLINE_MS, &result);

	if (rc < 0)
		return rc;
	if ((result.exit_status & ~E2FSCK_CORRECTED) == 0) {
		report_note(r->replayed, view->name, "ext journal replayed%s",
			    result.exit_status ? ", orphaned files worked off" : "");
		return 0;
	}
	/* The last words say what could not be mended. */
	for (char *p = result.out; *p; p++)
		if (*p == '\n')
			*p = ' ';
	return report_problem(
		r, EUCLEAN, "FS_DAMAGED", view->name,
		"e2fsck cannot repair it without decisions (status %d): %.200s. Run e2fsck on the "
		"source by hand, then try again.",
		result.exit_status,
		strlen(result.out) > 200 ? result.out + strlen(result.out) - 200 : result.out);
}

static int replay_xfs(const struct view *view, const char *mount_dir, struct prep_report *r)
{
	/* nouuid: a snapshot of the file system may be on another disk. */
	if (mount(view->path, mount_dir, "xfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME,
		  "nouuid"))
		return report_problem(
			r, errno, errno == EUCLEAN ? "FS_DAMAGED" : "FS_REPLAY_FAILED", view->name,
			"the XFS log cannot be replayed (%s). Mount it once on the source, or run "
			"xfs_repair there, then try again.",
			strerror(errno));
	if (umount2(mount_dir, UMOUNT_NOFOLLOW))
		return fail(errno, "unmount %s after its log was replayed", view->path);
	report_note(r->replayed, view->name, "XFS log replayed");
	return 0;
}

static int replay_one(struct arena *a, const struct view *view, const char *mount_dir,
		      struct prep_report *r)
{
	struct disk_fs fs;
	int rc = probe_view(a, view, &fs);

	if (rc < 0 || !fs.dirty)
		return rc;
	if (view->content == DISK_CONTENT_EXT)
		rc = replay_ext(view, r);
	else
		rc = replay_xfs(view, mount_dir, r);
	if (rc == 0)
		rc = prepare_check();
	if (rc == 0)
		rc = probe_view(a, view, &fs);
	if (rc == 0 && fs.dirty)
		return fail_code(EUCLEAN, "FS_REPLAY_FAILED",
				 "%s is still not clean after its journal was replayed. Unmount it "
				 "cleanly on the source, then try again.",
				 view->name);
	return rc;
}

int replay_all(const struct views *v, const char *mount_dir, struct prep_report *r)
{
	for (size_t i = 0; i < v->count; i++) {
		const struct view *view = &v->list[i];
		int rc = 0;

		if (view->content == DISK_CONTENT_SWAP)
			rc = swap_give_up(view, r);
		if (view->content == DISK_CONTENT_EXT || view->content == DISK_CONTENT_XFS)
			rc = replay_one(v->arena, view, mount_dir, r);
		if (rc < 0)
			return rc;
	}
	return 0;
}
