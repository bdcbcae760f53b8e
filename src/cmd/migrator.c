/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The program of the source machine: one subcommand a phase, and `run`, which knows their order. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "cmd/cmd.h"

static const struct subcommand {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
} subcommands[] = {
	{"run", cmd_run, "the whole course, as the live image does it"},
	{"inventory", cmd_inventory, "what machine this is -> inventory.json"},
	{"plan", cmd_plan, "what will be done, or every refusal -> plan.json"},
	{"prepare", cmd_prepare, "views, journal replay, repairs -> prepare.json and copy.map"},
	{"copy", cmd_copy, "execute a map against a receiver"},
	{"send", cmd_send, "copy disk images to a receiver as they are"},
};

static int usage(FILE *to)
{
	fprintf(to, "usage: migrator SUBCOMMAND [OPTION...]\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(subcommands); i++)
		fprintf(to, "  %-10s %s\n", subcommands[i].name, subcommands[i].summary);
	fprintf(to,
		"\nmigrator SUBCOMMAND --help says more. Exit status: 0 done, 1 failed, 2 usage, "
		"3 refused, 75 try again.\n");
	return to == stdout ? CMD_DONE : CMD_USAGE;
}

int main(int argc, char **argv)
{
	/* A receiver that goes away is an error of the write, not the end of the process. */
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2)
		return usage(stderr);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return usage(stdout);
	for (size_t i = 0; i < ARRAY_SIZE(subcommands); i++) {
		if (strcmp(argv[1], subcommands[i].name) == 0)
			return subcommands[i].run(argc - 1, argv + 1);
	}
	fprintf(stderr, "migrator: there is no subcommand \"%s\"\n", argv[1]);
	return usage(stderr);
}
