/* SPDX-License-Identifier: GPL-2.0-or-later */
/* migrator inventory: what machine this is, as JSON. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/num.h"
#include "cmd/cmd.h"
#include "inventory/inventory.h"

#define COMMAND	  "migrator inventory"
#define DISKS_MAX 64

struct request {
	struct inventory_options options;
	struct inventory_disk disks[DISKS_MAX];
	char names[DISKS_MAX][64];
	const char *ignore[DISKS_MAX];
	const char *guest_dir;
	const char *guest_device;
	const char *out;
};

static int usage(void)
{
	printf("usage: migrator inventory [OPTION...]\n\n"
	       "  --root DIR         read DIR/sys, DIR/proc and DIR/dev instead of the machine's\n"
	       "  --disk [NAME=]FILE a file that stands for a disk, instead of the machine's "
	       "disks\n"
	       "  --ignore NAME      a disk that is not the source's\n"
	       "  --guest DIR        the guest's file systems are mounted at DIR: look inside "
	       "too\n"
	       "  --guest-device D   the device of the guest's root: sda1, vg0/root, "
	       "/dev/mapper/NAME\n"
	       "  --sample           read some blocks to estimate how well the disks compress\n"
	       "  -o FILE            write there instead of to standard output\n");
	return CMD_DONE;
}

/* Names sda, sdb, ... unless given. */
static int add_disk(struct request *r, char *text)
{
	size_t i = r->options.disk_count;
	char *equals = strchr(text, '=');

	if (i == DISKS_MAX)
		return fail(E2BIG, "--disk %s", text);
	if (equals && !memchr(text, '/', (size_t)(equals - text)))
		snprintf(r->names[i], sizeof(r->names[i]), "%.*s", (int)(equals - text), text);
	else
		snprintf(r->names[i], sizeof(r->names[i]), i < 26 ? "sd%c" : "sda%c",
			 (char)('a' + i % 26));
	if (equals && !memchr(text, '/', (size_t)(equals - text)))
		text = equals + 1;
	r->disks[i] = (struct inventory_disk){.name = r->names[i], .path = text};
	r->options.disk_count++;
	return 0;
}

/* -1: go on; else the exit status. */
static int parse(struct request *r, int argc, char **argv)
{
	static const struct option longs[] = {{"root", required_argument, NULL, 'r'},
					      {"disk", required_argument, NULL, 'd'},
					      {"ignore", required_argument, NULL, 'i'},
					      {"guest", required_argument, NULL, 'g'},
					      {"guest-device", required_argument, NULL, 'D'},
					      {"sample", no_argument, NULL, 's'},
					      {"help", no_argument, NULL, 'h'},
					      {0}};
	int c;

	optind = 1;
	while ((c = getopt_long(argc, argv, "o:h", longs, NULL)) >= 0) {
		switch (c) {
		case 'r':
			r->options.root = optarg;
			break;
		case 'd':
			if (add_disk(r, optarg) < 0)
				return cmd_report(COMMAND, -E2BIG);
			break;
		case 'i':
			if (r->options.ignore_count < DISKS_MAX)
				r->ignore[r->options.ignore_count++] = optarg;
			break;
		case 'g':
			r->guest_dir = optarg;
			break;
		case 'D':
			r->guest_device = optarg;
			break;
		case 's':
			r->options.sample = true;
			break;
		case 'o':
			r->out = optarg;
			break;
		case 'h':
			return usage();
		default:
			return cmd_usage(COMMAND, NULL);
		}
	}
	if (optind < argc)
		return cmd_usage(COMMAND, "unexpected argument \"%s\"", argv[optind]);
	/* A guest belongs to a device, or the plan could not place it. */
	if (!r->guest_dir != !r->guest_device)
		return cmd_usage(COMMAND, "--guest and --guest-device go together");
	return -1;
}

static int look_inside(const struct request *r, json_t *inventory)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	const char *spec = r->guest_device, *device;
	json_t *guest = NULL;
	int rc;

	if (!a)
		return fail(ENOMEM, "memory for the inventory");
	if (*spec != '/' && !strchr(spec, '='))
		spec = arena_printf(a, "/dev/%s", spec);
	device = inventory_resolve(a, inventory, spec);
	if (!device)
		return fail(ENODEV, "--guest-device %s is on none of the disks that can be read",
			    r->guest_device);
	rc = inventory_guest(r->guest_dir, &guest);
	return rc < 0 ? rc : inventory_set_guest(inventory, device, guest);
}

int cmd_inventory(int argc, char **argv)
{
	CLEANUP_FREE struct request *r = calloc(1, sizeof(*r));
	CLEANUP_JSON json_t *inventory = NULL;
	CLEANUP_FREE char *text = NULL;
	int rc;

	if (!r)
		return cmd_report(COMMAND, fail(ENOMEM, "memory for the inventory"));
	r->options.disks = r->disks;
	r->options.ignore = r->ignore;
	rc = parse(r, argc, argv);
	if (rc >= 0)
		return rc;
	rc = inventory_make(&r->options, &inventory);
	if (rc == 0 && r->guest_dir)
		rc = look_inside(r, inventory);
	if (rc == 0 && r->out)
		rc = json_write_file(r->out, inventory);
	if (rc == 0 && !r->out) {
		text = json_text(inventory);
		rc = text ? io_write(STDOUT_FILENO, text, strlen(text), "standard output")
			  : fail(ENOMEM, "memory for the inventory");
	}
	return cmd_report(COMMAND, rc);
}
