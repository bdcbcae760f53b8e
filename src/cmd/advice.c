/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an operator can do about each failure that has a code. Refusals of the plan carry their
 * advice in plan/; these are the failures of everything else. A test checks that no code is missing
 * here.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "cmd/cmd.h"

static const struct advice {
	const char *code;
	const char *text;
} table[] = {
	{"ACTIVATION_BAD", "Copy the activation code again, whole, as the receiver printed it."},
	{"COW_FULL", "Boot the image on a machine with more memory, or shut the source down "
		     "cleanly first, so that there is less to replay."},
	{"FS_DAMAGED",
	 "Repair the file system on the source (e2fsck, xfs_repair), then try again."},
	{"FS_REPLAY_FAILED",
	 "Mount and unmount the file system once on the source, then try again."},
	{"GUEST_BOOT_FULL",
	 "Remove an old kernel on the source to make room in /boot, then try again."},
	{"GUEST_NO_VIRTIO", "Install a kernel with virtio drivers on the source, or remove the one "
			    "that is named, then try again."},
	{"INITRAMFS_DAMAGED",
	 "Make the named initramfs anew on the source (update-initramfs, dracut), then try again."},
	{"INITRAMFS_FORMAT", "Make the named initramfs anew on the source with gzip or zstd, or "
			     "remove that kernel, then try again."},
	{"SOURCE_ASSEMBLED", "Stop the named array, volume or container, then try again."},
	{"SOURCE_CHANGED",
	 "The disks are not those of the plan: start again, so that a new plan is made."},
	{"SOURCE_NOT_READONLY", "Stop here: this controller lets a disk be written that must not "
				"be. Nothing was written yet."},
};

const char *cmd_advice(const char *code)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (strcmp(table[i].code, code) == 0)
			return table[i].text;
	}
	return "";
}

/* What passes by itself: the peer or the network, not a wrong key, a full disk or a bad file. */
static bool is_passing(int rc)
{
	switch (-rc) {
	case ECONNREFUSED:
	case ECONNRESET:
	case ECONNABORTED:
	case EPIPE:
	case ETIMEDOUT:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case ENETDOWN:
	case EAGAIN:
		return true;
	default:
		return false;
	}
}

int cmd_status_of(int rc)
{
	if (rc >= 0)
		return CMD_DONE;
	if (strcmp(err_code(), "PLAN_REFUSED") == 0)
		return CMD_REFUSED;
	return is_passing(rc) ? CMD_TRY_AGAIN : CMD_FAILED;
}

int cmd_report(const char *subcommand, int rc)
{
	const char *code = err_code(), *advice = cmd_advice(code);

	if (rc >= 0)
		return CMD_DONE;
	fprintf(stderr, "migrator %s: %s%s%s\n", subcommand, code, *code ? ": " : "", err_reason());
	if (*advice)
		fprintf(stderr, "%s\n", advice);
	return cmd_status_of(rc);
}
