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

static const char *host_name(const json_t *inventory)
{
	const json_t *guest = json_object_get(inventory, "guest");
	const char *name = json_string_value(json_object_get(guest, "hostname"));

	return name ? name : "";
}

static bool has_card(const json_t *nics, const char *mac)
{
	size_t i;
	json_t *nic;

	json_array_foreach (nics, i, nic) {
		const char *one = json_string_value(json_object_get(nic, "mac"));

		if (one && mac && strcmp(one, mac) == 0)
			return true;
	}
	return false;
}

/* By cards, as serial numbers of virtual disks are often the same. Or by name: cards are replaced.
 */
static bool is_same_machine(const json_t *a, const json_t *b)
{
	const json_t *mine = json_object_get(a, "nics"), *others = json_object_get(b, "nics");
	size_t i;
	json_t *nic;

	json_array_foreach (mine, i, nic) {
		if (has_card(others, json_string_value(json_object_get(nic, "mac"))))
			return true;
	}
	return *host_name(a) && strcmp(host_name(a), host_name(b)) == 0;
}

void plan_check_holder(struct planner *p, const json_t *inventory)
{
	const json_t *held = json_object_get(p->target, "holds");
	const char *name = host_name(held);

	if (json_array_size(json_object_get(held, "nics")) == 0 || is_same_machine(held, inventory))
		return;
	plan_note(p, "TARGET_HOLDS_OTHER", "",
		  "the receiver holds the copy of another machine%s%.64s", *name ? ", " : "", name);
}
