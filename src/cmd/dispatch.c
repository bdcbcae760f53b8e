/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/dispatch.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "cmd/cmd.h"

static int usage(FILE *to, const char *program, const struct subcommand *subcommands, size_t count)
{
	fprintf(to, "usage: %s SUBCOMMAND [OPTION...]\n\n", program);
	for (size_t i = 0; i < count; i++)
		fprintf(to, "  %-10s %s\n", subcommands[i].name, subcommands[i].summary);
	fprintf(to,
		"\n%s SUBCOMMAND --help says more. Exit status: 0 done, 1 failed, 2 usage, "
		"3 refused, 75 try again.\n",
		program);
	return to == stdout ? CMD_DONE : CMD_USAGE;
}

int cmd_usage(const char *command, const char *fmt, ...)
{
	va_list args;

	if (fmt) {
		fprintf(stderr, "%s: ", command);
		va_start(args, fmt);
		vfprintf(stderr, fmt, args);
		va_end(args);
		fputc('\n', stderr);
	}
	fprintf(stderr, "%s --help says more\n", command);
	return CMD_USAGE;
}

int cmd_dispatch(const char *program, const struct subcommand *subcommands, size_t count, int argc,
		 char **argv)
{
	/* A peer that goes away is an error of the write, not the end of the process. */
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2)
		return usage(stderr, program, subcommands, count);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return usage(stdout, program, subcommands, count);
	for (size_t i = 0; i < count; i++) {
		if (strcmp(argv[1], subcommands[i].name) == 0)
			return subcommands[i].run(argc - 1, argv + 1);
	}
	fprintf(stderr, "%s: there is no subcommand \"%s\"\n", program, argv[1]);
	return usage(stderr, program, subcommands, count);
}

bool cmd_number(const char *command, const char *option, const char *text, uint64_t min,
		uint64_t max, uint64_t *out)
{
	if (num_parse(text, min, max, out) == 0)
		return true;
	fprintf(stderr, "%s: --%s takes %" PRIu64 " to %" PRIu64 ", not \"%s\"\n", command, option,
		min, max, text);
	return false;
}
