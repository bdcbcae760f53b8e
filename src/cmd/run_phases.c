/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The phases of a run, each from its files to its file; see run.h. cmd_run.c knows their order. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/num.h"
#include "cmd/run.h"
#include "inventory/inventory.h"
#include "prepare/prepare.h"

static const char *path_in(struct run *r, const char *name)
{
	return arena_printf(r->arena, "%s/%s", r->dir, name);
}

static void show_prepare_step(void *ctx, const char *what, const char *object)
{
	run_show_step(ctx, "%s %s", what, object);
}

static struct prepare_options prepare_options(struct run *r)
{
	return (struct prepare_options){
		.allow = r->cmdline.allow, .step = show_prepare_step, .ctx = r};
}

/* The guest is looked at in views of the disks, which a draft of the plan lays out. */
static int look_into_guest(struct run *r)
{
	struct prepare_options options = prepare_options(r);
	CLEANUP_JSON json_t *draft_json = NULL;
	const char *root_device = NULL;
	json_t *guest = NULL;
	struct plan *draft;
	int rc = plan_draft(r->inventory, &draft_json);

	if (rc == 0)
		rc = plan_read(r->arena, draft_json, &draft);
	if (rc == 0)
		rc = prepare_look(draft, r->inventory, &options, r->arena, &root_device, &guest);
	if (rc == 0 && guest)
		rc = inventory_set_guest(r->inventory, root_device, guest);
	return rc;
}

/*
 * A migrator that was restarted in the same boot, with views standing: looking into the guest again
 * would remove them, and would see what was repaired in them instead of the source. Views of a disk
 * that has left are of no use: if it is back, it has another name.
 */
static bool take_up_inventory(struct run *r)
{
	CLEANUP_JSON json_t *inventory = NULL;
	const char *disk = NULL;

	if (access(path_in(r, "prepare.json"), F_OK) ||
	    access(path_in(r, "inventory.json"), F_OK) ||
	    json_read_file(path_in(r, "inventory.json"), &inventory) < 0 ||
	    json_get_string(json_array_get(json_object_get(inventory, "disks"), 0), "name", &disk) <
		    0)
		return false;
	if (access(arena_printf(r->arena, "/dev/mapper/view-%s", disk), F_OK) ||
	    !prepare_disks_are_there() || prepare_check() < 0)
		return false;
	r->inventory = steal_ptr(&inventory);
	return true;
}

int run_inventory(struct run *r)
{
	const struct inventory_options options = {.sample = true};
	int rc;

	run_show_step(r, "making every disk read-only");
	rc = prepare_quiesce();
	if (rc < 0)
		return rc;
	if (take_up_inventory(r)) {
		run_show_machine(r);
		return 0;
	}
	run_show_step(r, "looking at the machine and its disks");
	rc = inventory_make(&options, &r->inventory);
	if (rc < 0)
		return fail_in(rc, "inventory");
	run_show_machine(r);
	rc = look_into_guest(r);
	if (rc < 0)
		return rc;
	run_show_machine(r);
	return json_write_file(path_in(r, "inventory.json"), r->inventory);
}

/* For whoever looks into what was refused; the reason stays that of the refusal. */
static void keep_refused_inventory(struct run *r)
{
	char code[ERR_CODE_MAX], reason[ERR_REASON_MAX];

	snprintf(code, sizeof(code), "%s", err_code());
	snprintf(reason, sizeof(reason), "%s", err_reason());
	if (run_keep(r, "inventory.json", r->inventory) < 0)
		log_warn("%s", err_reason());
	err_adopt(code, reason);
}

/*
 * All refusals at once: each in the log, the first on the screen with how many more there are.
 * Where the receiver has another machine's copy, it keeps that one's inventory.
 */
static int explain_refusals(struct run *r, int rc)
{
	const json_t *list = json_object_get(r->plan_json, "refusals"), *one;
	bool others = false;
	size_t i;

	json_array_foreach (list, i, one) {
		others |= strcmp(json_string_value(json_object_get(one, "code")),
				 "TARGET_HOLDS_OTHER") == 0;
		log_error("refused: %s %s: %s %s", json_string_value(json_object_get(one, "code")),
			  json_string_value(json_object_get(one, "object")),
			  json_string_value(json_object_get(one, "what")),
			  json_string_value(json_object_get(one, "advice")));
	}
	if (list && !others)
		keep_refused_inventory(r);
	return rc;
}

/* Whose copy the receiver has, if one was begun. */
static int add_holder(struct run *r, json_t *target)
{
	CLEANUP_FREE char *state = NULL, *text = NULL;
	json_t *held = NULL;
	unsigned status = 0;
	size_t bytes;
	int rc = wire_control_fetch(r->control_link, "/v1/artefact/" COPY_STATE, &status, &state,
				    &bytes);

	if (rc == 0)
		rc = wire_control_fetch(r->control_link, "/v1/artefact/inventory.json", &status,
					&text, &bytes);
	if (rc < 0)
		return status == 404 ? 0 : rc;
	rc = json_parse(text, bytes, "the receiver's inventory.json", &held);
	if (rc == 0 && json_object_set_new(target, "holds", held) < 0)
		rc = fail(ENOMEM, "plan");
	return rc;
}

int run_plan(struct run *r)
{
	CLEANUP_JSON json_t *target = NULL;
	int rc;

	run_show_step(r, "asking the receiver what it can take");
	rc = wire_control_get(r->control_link, "/v1/target", NULL, &target);
	if (rc == 0)
		rc = add_holder(r, target);
	if (rc < 0)
		return rc;
	run_show_step(r, "making the plan");
	rc = plan_make(r->inventory, r->job, target, r->cmdline.allow, &r->plan_json);
	if (rc < 0)
		return explain_refusals(r, rc);
	rc = plan_read(r->arena, r->plan_json, &r->plan);
	if (rc < 0)
		return fail_in(rc, "plan");
	run_show_plan(r);
	run_show_step(r, "handing the plan to the receiver");
	rc = run_keep(r, "plan.json", r->plan_json);
	return rc < 0 ? rc : run_keep(r, "inventory.json", r->inventory);
}

/*
 * Views of this boot that were made for the same plan, with their map: a migrator that was
 * restarted goes on with them, and what is durable need not even be read again.
 */
static bool take_up_views(struct run *r)
{
	CLEANUP_JSON json_t *report = NULL;
	const char *digest = NULL;

	if (access(path_in(r, "prepare.json"), F_OK) || r->plan->disk_count == 0 ||
	    access(arena_printf(r->arena, "/dev/mapper/view-%s", r->plan->disks[0].source), F_OK))
		return false;
	if (json_read_file(path_in(r, "prepare.json"), &report) < 0 ||
	    json_get_string(report, "plan_digest", &digest) < 0 ||
	    strcmp(digest, r->plan->digest) != 0 || prepare_check() < 0 ||
	    map_read(r->arena, path_in(r, "copy.map"), &r->map) < 0)
		return false;
	r->prepare_json = steal_ptr(&report);
	run_show_step(r, "going on with the views that stand");
	return true;
}

int run_prepare(struct run *r)
{
	struct prepare_options options = prepare_options(r);
	int rc;

	/* What the job allows, too. */
	options.allow = r->plan->allow;
	if (take_up_views(r))
		return 0;
	/* An old report must not outlive the views that it speaks of. */
	unlink(path_in(r, "prepare.json"));
	rc = prepare_make(r->plan, &options, r->arena, &r->map, &r->prepare_json);
	if (rc == 0)
		rc = map_write(r->map, path_in(r, "copy.map"));
	return rc == 0 ? run_keep(r, "prepare.json", r->prepare_json) : rc;
}

int run_clean(struct run *r)
{
	run_show_step(r, "removing the views");
	return prepare_teardown(NULL);
}
