/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The program of the intermediate instance. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "cmd/cmd.h"
#include "cmd/cmd_receiver.h"

static const struct subcommand {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
} subcommands[] = {
	{"serve", cmd_receiver_serve, "take a machine's disks; prints the activation code"},
};

static int usage(FILE *to)
{
	fprintf(to, "usage: receiver SUBCOMMAND [OPTION...]\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(subcommands); i++)
		fprintf(to, "  %-10s %s\n", subcommands[i].name, subcommands[i].summary);
	fprintf(to, "\nreceiver SUBCOMMAND --help says more. Exit status: 0 done, 1 failed, 2 "
		    "usage.\n");
	return to == stdout ? CMD_DONE : CMD_USAGE;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2)
		return usage(stderr);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return usage(stdout);
	for (size_t i = 0; i < ARRAY_SIZE(subcommands); i++) {
		if (strcmp(argv[1], subcommands[i].name) == 0)
			return subcommands[i].run(argc - 1, argv + 1);
	}
	fprintf(stderr, "receiver: there is no subcommand \"%s\"\n", argv[1]);
	return usage(stderr);
}
