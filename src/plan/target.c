/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the receiver says that it can take, before anything is decided by it. */
#include "plan/private.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"

static int invalid(const char *what)
{
	return fail_code(EINVAL, "TARGET_INVALID", "the receiver does not say what it can take: %s",
			 what);
}

static int check_disk(const json_t *disk)
{
	uint64_t n;
	int rc = json_get_u64(disk, "index", &n);

	return rc < 0 ? rc : json_get_u64(disk, "size_bytes", &n);
}

int plan_target_check(const json_t *target)
{
	const char *kind;
	json_t *disks, *disk;
	uint64_t n;
	size_t i;

	if (!target)
		return 0;
	if (json_get_string(target, "kind", &kind) < 0)
		return invalid(err_reason());
	if (strcmp(kind, "files") != 0 && strcmp(kind, "devices") != 0)
		return invalid("its kind is neither files nor devices");
	if (json_get_u64_or(target, "max_disks", 0, &n) < 0 ||
	    json_get_u64_or(target, "free_bytes", 0, &n) < 0 ||
	    json_get_array(target, "disks", &disks) < 0)
		return invalid(err_reason());
	json_array_foreach (disks, i, disk) {
		if (check_disk(disk) < 0)
			return invalid(err_reason());
	}
	return 0;
}
