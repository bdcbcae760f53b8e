/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The order of the phase, and undoing it; see prepare.h. */
#include "prepare/prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/num.h"
#include "prepare/prep_boot.h"
#include "prepare/prep_bootargs.h"
#include "prepare/prep_guest.h"
#include "prepare/prep_map.h"
#include "prepare/prep_names.h"
#include "prepare/prep_replay.h"
#include "prepare/prep_swap.h"
#include "prepare/prep_views.h"

#define RUN_DIR "/run/coldlift"

struct job {
	const struct plan *plan;
	struct prepare_options options;
	struct views views;
	struct guest guest;
	struct prep_report report;
	char replay_dir[300];
};

static void step(const struct job *j, const char *what, const char *object)
{
	log_info("prepare: %s%s%s", what, *object ? " " : "", object);
	if (j->options.step)
		j->options.step(j->options.ctx, what, object);
}

/* Mount points of the guest that hold what is repaired; the others are copied unseen. */
static bool is_wanted(const char *mountpoint)
{
	static const char *const wanted[] = {"/",    "/usr", "/boot", "/boot/efi",
					     "/efi", "/etc", "/lib"};

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		if (strcmp(mountpoint, wanted[i]) == 0)
			return true;
	return false;
}

static int mount_one(struct job *j, const struct plan_mount *m)
{
	const struct view *view = views_find(&j->views, m->device);
	const char *fs_type = m->fs_type;
	char reason[ERR_REASON_MAX];

	if (!view) {
		report_warn(&j->report, "GUEST_MOUNT_MISSING", m->mountpoint,
			    "%s is not among the views, so nothing on it is repaired", m->device);
		return 0;
	}
	if (view->fs_type && (!fs_type || strcmp(fs_type, "auto") == 0))
		fs_type = view->fs_type;
	if (guest_mount(&j->guest, m->mountpoint, view->path, fs_type, m->options) == 0)
		return 0;
	/* The reason is used up as text by the line that makes the next one. */
	snprintf(reason, sizeof(reason), "%s", err_reason());
	return report_problem(&j->report, EIO, "GUEST_MOUNT_FAILED", m->mountpoint,
			      "%.300s; nothing on it can be repaired", reason);
}

static int mount_guest(struct job *j)
{
	const struct plan *plan = j->plan;
	int rc = 0;

	if (plan->mount_count == 0 || strcmp(plan->mounts[0].mountpoint, "/")) {
		report_warn(&j->report, "GUEST_NOT_FOUND", "/",
			    "no root file system of a Linux was found; nothing is repaired");
		return 0;
	}
	for (size_t i = 0; rc == 0 && i < plan->mount_count; i++) {
		/* Nothing can be mounted below a root that was allowed to be missing. */
		if (i > 0 && j->guest.root_fd < 0)
			break;
		if (is_wanted(plan->mounts[i].mountpoint))
			rc = mount_one(j, &plan->mounts[i]);
	}
	return rc;
}

/* s_last_mounted of the superblock: 64 bytes at 0x88 of it, the superblock at 1024. */
static void last_mounted(void *ctx, const char *part, char *out, size_t out_bytes)
{
	const struct job *j = ctx;
	const struct view *view = views_find(&j->views, part);
	CLEANUP_CLOSE int fd = view ? open(view->path, O_RDONLY | O_CLOEXEC) : -1;
	char text[65] = "";

	out[0] = '\0';
	if (fd >= 0 && pread(fd, text, 64, 1024 + 0x88) == 64)
		snprintf(out, out_bytes, "%s", text);
}

static int repair_guest(struct job *j)
{
	struct names names = {.plan = j->plan, .last_mounted = last_mounted, .ctx = j};
	int rc;

	if (j->guest.root_fd < 0)
		return 0;
	step(j, "adding drivers to", "initramfs");
	rc = boot_repair(&j->guest, &j->report);
	if (rc == 0) {
		step(j, "looking through", "/etc/fstab");
		rc = fstab_repair(&j->guest, &names, &j->report);
	}
	if (rc == 0)
		rc = bootargs_check(&j->guest, &j->report);
	if (rc == 0)
		rc = swap_files_give_up(&j->guest, j->plan, &j->report);
	return rc;
}

/* A random id of this set of views: what is read from another set need not be the same bytes. */
static json_t *view_id(void)
{
	uint8_t id[16];
	char hex[33];

	if (getrandom(id, sizeof(id), 0) != sizeof(id))
		return NULL;
	hex_encode(id, sizeof(id), hex);
	return json_string(hex);
}

static int make_report(const struct job *j, json_t *sizes, json_t **out)
{
	char now[CLOCK_TEXT_BYTES];
	json_t *id = view_id();

	*out = json_pack("{s:o, s:o, s:o, s:o, s:O, s:O, s:O, s:O}", "plan_digest",
			 json_str(j->plan->digest), "made", json_str(clock_text(now)), "view_id",
			 id ? id : json_null(), "disks", json_incref(sizes), "replayed",
			 j->report.replayed, "repaired", j->report.repaired, "skipped",
			 j->report.skipped, "warnings", j->report.warnings);
	return *out && id ? 0 : fail(ENOMEM, "memory for prepare.json");
}

static int make_dirs(const struct job *j)
{
	int rc = io_mkdir(RUN_DIR, 0755);

	if (rc == 0)
		rc = io_mkdir(j->options.guest_dir, 0755);
	return rc == 0 ? io_mkdir(j->replay_dir, 0755) : rc;
}

static int change_views(struct job *j, struct arena *a)
{
	int rc;

	step(j, "making views of", "the source disks");
	rc = views_make(a, j->plan, j->options.cow_limit_bytes, &j->views);
	if (rc == 0) {
		step(j, "replaying journals of", "file systems that were not unmounted");
		rc = replay_all(&j->views, j->replay_dir, &j->report);
	}
	if (rc == 0) {
		step(j, "mounting", "the guest");
		rc = mount_guest(j);
	}
	if (rc == 0)
		rc = repair_guest(j);
	return rc;
}

static int make_all(struct job *j, struct arena *a, struct map **map, json_t **report)
{
	CLEANUP_JSON json_t *sizes = NULL;
	int rc = prepare_quiesce();

	if (rc == 0)
		rc = make_dirs(j);
	if (rc == 0)
		rc = change_views(j, a);
	if (j->guest.mount_count) {
		int off = rc < 0 ? 0 : guest_unmount(&j->guest);

		rc = rc < 0 ? rc : off;
	}
	if (rc == 0)
		rc = views_settle(j->plan, &j->views);
	if (rc == 0)
		rc = prepare_check();
	if (rc == 0) {
		step(j, "finding out", "what is in use");
		rc = map_of_plan(j->plan, &j->views, &j->report, map, &sizes);
	}
	if (rc == 0)
		rc = make_report(j, sizes, report);
	return rc;
}

int prepare_make(const struct plan *plan, const struct prepare_options *options, struct arena *a,
		 struct map **map, json_t **report)
{
	struct job j = {.plan = plan, .options = *options};
	int rc;

	if (!j.options.guest_dir)
		j.options.guest_dir = PREPARE_GUEST_DIR;
	snprintf(j.replay_dir, sizeof(j.replay_dir), "%s-replay", j.options.guest_dir);
	guest_init(&j.guest, j.options.guest_dir);
	*map = NULL;
	*report = NULL;
	rc = prepare_teardown(j.options.guest_dir);
	if (rc == 0)
		rc = report_init(&j.report, options->allow);
	if (rc == 0)
		rc = make_all(&j, a, map, report);
	if (rc < 0) {
		if (j.guest.root_fd >= 0)
			close(steal_fd(&j.guest.root_fd));
		json_decref(*report);
		*report = NULL;
		*map = NULL;
		rc = views_give_up(rc, j.options.guest_dir);
	}
	report_fini(&j.report);
	return rc;
}

/* Last mounted first. A line of /proc/self/mounts is "device path type ...". */
static int unmount_below(const char *dir)
{
	char deepest[4096];
	size_t n = strlen(dir);

	for (;;) {
		CLEANUP_FREE char *text = NULL;
		char *save = NULL;
		int rc = io_read_file("/proc/self/mounts", 1 << 20, &text, NULL);

		if (rc < 0)
			return rc;
		deepest[0] = '\0';
		for (char *line = strtok_r(text, "\n", &save); line;
		     line = strtok_r(NULL, "\n", &save)) {
			char path[4096];

			if (sscanf(line, "%*s %4095s", path) == 1 && !strncmp(path, dir, n) &&
			    (path[n] == '\0' || path[n] == '/' || !strcmp(path + n, "-replay")))
				memcpy(deepest, path, sizeof(path));
		}
		if (!*deepest)
			return 0;
		if (umount2(deepest, UMOUNT_NOFOLLOW))
			return fail(errno, "unmount %s", deepest);
	}
}

int prepare_teardown(const char *guest_dir)
{
	int rc = unmount_below(guest_dir ? guest_dir : PREPARE_GUEST_DIR);

	return rc == 0 ? views_remove() : rc;
}

int views_give_up(int rc, const char *guest_dir)
{
	char code[ERR_CODE_MAX], reason[ERR_REASON_MAX];

	/* A view without memory shows itself as any I/O error; say what is behind it. */
	snprintf(code, sizeof(code), "%s", err_code());
	snprintf(reason, sizeof(reason), "%s", err_reason());
	if (prepare_check() == -ENOSPC) {
		rc = -ENOSPC;
		snprintf(code, sizeof(code), "%s", err_code());
		snprintf(reason, sizeof(reason), "%s", err_reason());
	}
	/* The reason that stands is the cause; what undoing says comes after and is only logged. */
	if (prepare_teardown(guest_dir) < 0)
		log_error("prepare: %s", err_reason());
	err_adopt(code, reason);
	return rc;
}
