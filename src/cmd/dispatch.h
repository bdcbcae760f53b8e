/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the mains share: a table of subcommands, --help, and the choice of one. */
#ifndef CMD_DISPATCH_H
#define CMD_DISPATCH_H

#include <stddef.h>

struct subcommand {
	const char *name;
	int (*run)(int argc, char **argv); /* argv[0] is its name; returns the exit status */
	const char *summary;
};

/* Run the subcommand that argv[1] names; the exit status of the program. */
int cmd_dispatch(const char *program, const struct subcommand *subcommands, size_t count, int argc,
		 char **argv);

#endif
