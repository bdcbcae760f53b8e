/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A look into the guest before there is a plan: which file system is the root, and what is in it.
 * The plan needs to know; a file system that wants a journal replay can only be read in a view. See
 * prepare.h.
 */
#include "prepare/prepare.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/num.h"
#include "inventory/inventory.h"
#include "prepare/prep_guest.h"
#include "prepare/prep_replay.h"
#include "prepare/prep_views.h"

/* What the inventory looks at besides the root; the rest of the guest stays unseen. */
static bool is_wanted(const char *mountpoint)
{
	static const char *const wanted[] = {"/usr", "/boot", "/boot/efi", "/efi"};

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		if (strcmp(mountpoint, wanted[i]) == 0)
			return true;
	return false;
}

static void mount_rest(struct arena *a, const json_t *inventory, const struct views *views,
		       struct guest *g)
{
	struct inventory_fstab *list = NULL;
	size_t count = 0;

	if (inventory_read_fstab(a, g->dir, &list, &count) < 0) {
		log_warn("prepare: %s", err_reason());
		return;
	}
	for (size_t i = 0; i < count; i++) {
		const char *device;
		const struct view *view;

		if (!is_wanted(list[i].mountpoint))
			continue;
		device = inventory_resolve(a, inventory, list[i].spec);
		view = device ? views_find(views, device) : NULL;
		/* What is missing shows in the inventory as kernels or a boot loader not found. */
		if (!view)
			log_warn("prepare: %s of the guest's fstab is not on the source's disks",
				 list[i].spec);
		else if (guest_mount(g, list[i].mountpoint, view->path,
				     view->fs_type ? view->fs_type : list[i].type,
				     list[i].options) < 0)
			log_warn("prepare: %s", err_reason());
	}
}

/* True when device holds the root; then *guest is what the inventory found in it. */
static bool try_root(struct arena *a, const json_t *inventory, const struct views *views,
		     const struct inventory_candidate *c, struct guest *g, json_t **guest)
{
	const struct view *view = views_find(views, c->device);
	bool found = false;

	if (!view)
		return false;
	if (guest_mount(g, "/", view->path, view->fs_type ? view->fs_type : c->fs_type, NULL) < 0) {
		log_warn("prepare: %s", err_reason());
		return false;
	}
	if (inventory_is_root(g->dir)) {
		mount_rest(a, inventory, views, g);
		found = inventory_guest(g->dir, guest) == 0;
		if (!found)
			log_warn("prepare: %s: %s", c->device, err_reason());
	}
	if (guest_unmount(g) < 0)
		log_warn("prepare: %s", err_reason());
	return found;
}

static int look(struct arena *a, const json_t *inventory, const struct views *views,
		struct guest *g, const char **root_device, json_t **guest)
{
	struct inventory_candidate *list = NULL;
	size_t count = 0;
	int rc = inventory_candidates(a, inventory, &list, &count);

	for (size_t i = 0; rc == 0 && i < count; i++) {
		if (try_root(a, inventory, views, &list[i], g, guest)) {
			*root_device = list[i].device;
			return 0;
		}
	}
	return rc;
}

int prepare_look(const struct plan *draft, const json_t *inventory,
		 const struct prepare_options *options, struct arena *a, const char **root_device,
		 json_t **guest)
{
	const char *dir = options->guest_dir ? options->guest_dir : PREPARE_GUEST_DIR;
	struct prep_report report = {0};
	struct views views = {0};
	char replay_dir[300];
	struct guest g;
	int rc;

	*root_device = NULL;
	*guest = NULL;
	if (draft->disk_count == 0)
		return 0;
	snprintf(replay_dir, sizeof(replay_dir), "%s-replay", dir);
	guest_init(&g, dir);
	rc = prepare_teardown(dir);
	if (rc == 0)
		rc = prepare_quiesce();
	if (rc == 0)
		rc = io_mkdir(dir, 0755);
	if (rc == 0)
		rc = io_mkdir(replay_dir, 0755);
	if (rc == 0)
		rc = report_init(&report, options->allow);
	if (rc == 0)
		rc = views_make(a, draft, options->cow_limit_bytes, &views);
	if (rc == 0) {
		if (options->step)
			options->step(options->ctx, "replaying journals, in views of", "the disks");
		rc = replay_all(&views, replay_dir, &report);
	}
	if (rc == 0) {
		if (options->step)
			options->step(options->ctx, "looking into", "the guest");
		rc = look(a, inventory, &views, &g, root_device, guest);
	}
	report_fini(&report);
	if (g.root_fd >= 0)
		close(steal_fd(&g.root_fd));
	return rc < 0 ? views_give_up(rc, dir) : prepare_teardown(dir);
}
