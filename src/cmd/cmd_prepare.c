/* SPDX-License-Identifier: GPL-2.0-or-later */
/* migrator prepare: a plan becomes views and a map. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/num.h"
#include "cmd/cmd.h"
#include "inventory/inventory.h"
#include "map/map.h"
#include "plan/plan.h"
#include "prepare/prepare.h"

#define COMMAND "migrator prepare"

struct prepare_args {
	const char *plan;
	const char *out;
	const char *map;
	struct prepare_options options;
	const char *look;
	bool teardown;
	bool quiesce;
};

static int usage(void)
{
	printf("usage: migrator prepare [--plan FILE] [--out FILE] [--map FILE] [--allow CODES]\n"
	       "                         [--memory MIB]\n"
	       "       migrator prepare --look FILE\n"
	       "       migrator prepare --teardown\n"
	       "       migrator prepare --quiesce\n"
	       "\n"
	       "Makes copy-on-write views of the source disks, replays journals and repairs the\n"
	       "guest in them, and writes what is to be copied. The source is never written.\n"
	       "\n"
	       "  --plan FILE      the plan (default /run/coldlift/plan.json)\n"
	       "  --out FILE       what was done (default /run/coldlift/prepare.json)\n"
	       "  --map FILE       what is to be copied (default /run/coldlift/copy.map)\n"
	       "  --allow CODES    go on in spite of these, separated by commas\n"
	       "  --memory MIB     what changes may take of it (default: by what is free)\n"
	       "  --look FILE      add to this inventory what is inside the guest, seen in views\n"
	       "  --teardown       remove the views and all that was changed in them\n"
	       "  --quiesce        only make all disks read-only and verify it\n");
	return CMD_DONE;
}

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct prepare_args *args)
{
	static const struct option longs[] = {
		{"plan", required_argument, NULL, 'p'}, {"out", required_argument, NULL, 'o'},
		{"map", required_argument, NULL, 'm'},	{"allow", required_argument, NULL, 'a'},
		{"look", required_argument, NULL, 'l'}, {"memory", required_argument, NULL, 'M'},
		{"teardown", no_argument, NULL, 't'},	{"quiesce", no_argument, NULL, 'q'},
		{"help", no_argument, NULL, 'h'},	{NULL, 0, NULL, 0},
	};
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (option) {
		case 'p':
			args->plan = optarg;
			break;
		case 'o':
			args->out = optarg;
			break;
		case 'm':
			args->map = optarg;
			break;
		case 'a':
			args->options.allow = optarg;
			break;
		case 'M':
			if (num_parse(optarg, 1, 1 << 20, &args->options.cow_limit_bytes) < 0)
				return cmd_usage(COMMAND, "--memory is 1 to %d MiB", 1 << 20);
			args->options.cow_limit_bytes *= MIB;
			break;
		case 'l':
			args->look = optarg;
			break;
		case 't':
			args->teardown = true;
			break;
		case 'q':
			args->quiesce = true;
			break;
		case 'h':
			return usage();
		default:
			return cmd_usage(COMMAND, NULL);
		}
	}
	if (optind < argc)
		return cmd_usage(COMMAND, "unexpected argument \"%s\"", argv[optind]);
	return -1;
}

static void say_step(void *ctx, const char *what, const char *object)
{
	(void)ctx;
	printf("%s %s\n", what, object);
	fflush(stdout);
}

static int prepare_from_files(const struct prepare_args *args)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_JSON json_t *json = NULL, *report = NULL;
	struct plan *plan;
	struct map *map;
	int rc;

	if (!a)
		return fail(ENOMEM, "memory to prepare");
	rc = io_mkdir("/run/coldlift", 0755);
	if (rc == 0)
		rc = json_read_file(args->plan, &json);
	if (rc == 0)
		rc = plan_read(a, json, &plan);
	if (rc == 0)
		rc = prepare_make(plan, &args->options, a, &map, &report);
	if (rc == 0)
		rc = map_write(map, args->map);
	return rc == 0 ? json_write_file(args->out, report) : rc;
}

/* As `run` does between inventory and plan. */
static int look_from_file(const struct prepare_args *args)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_JSON json_t *inventory = NULL, *draft_json = NULL;
	const char *root_device;
	struct plan *draft;
	json_t *guest;
	int rc;

	if (!a)
		return fail(ENOMEM, "memory to prepare");
	rc = io_mkdir("/run/coldlift", 0755);
	if (rc == 0)
		rc = json_read_file(args->look, &inventory);
	if (rc == 0)
		rc = plan_draft(inventory, &draft_json);
	if (rc == 0)
		rc = plan_read(a, draft_json, &draft);
	if (rc == 0)
		rc = prepare_look(draft, inventory, &args->options, a, &root_device, &guest);
	if (rc == 0 && guest)
		rc = inventory_set_guest(inventory, root_device, guest);
	return rc == 0 ? json_write_file(args->look, inventory) : rc;
}

int cmd_prepare(int argc, char **argv)
{
	struct prepare_args args = {
		.plan = "/run/coldlift/plan.json",
		.out = "/run/coldlift/prepare.json",
		.map = "/run/coldlift/copy.map",
		.options.step = say_step,
	};
	int rc = parse(argc, argv, &args);

	if (rc >= 0)
		return rc;
	if (args.quiesce)
		rc = prepare_quiesce();
	else if (args.look)
		rc = look_from_file(&args);
	else if (args.teardown)
		rc = prepare_teardown(NULL);
	else
		rc = prepare_from_files(&args);
	return cmd_report(COMMAND, rc);
}
