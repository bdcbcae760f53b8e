/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What subcommands share, and the migrator's. Each gets its own argv (argv[0] is its name) and
 * returns the exit status. */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include <stdbool.h>
#include <stdint.h>

enum cmd_status {
	CMD_DONE = 0,
	CMD_FAILED = 1,
	CMD_USAGE = 2,
	CMD_REFUSED = 3,    /* the plan was refused; trying again does not help */
	CMD_TRY_AGAIN = 75, /* something that passes: the network, a receiver that restarts */
};

int cmd_inventory(int argc, char **argv);
int cmd_plan(int argc, char **argv);
int cmd_prepare(int argc, char **argv);
int cmd_copy(int argc, char **argv);
int cmd_send(int argc, char **argv);
int cmd_run(int argc, char **argv);

/*
 * Say on standard error what is wrong with the words of COMMAND ("migrator plan"), and where help
 * is; CMD_USAGE. fmt NULL: it was said already, by getopt.
 */
int cmd_usage(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Whether the text of --OPTION is a number in [min, max]; if not, says so on standard error. */
bool cmd_number(const char *command, const char *option, const char *text, uint64_t min,
		uint64_t max, uint64_t *out);

/* Say err_reason() on standard error, with its code and advice; the exit status that fits rc. */
int cmd_report(const char *command, int rc);

/* The exit status that fits rc and the reason that stands. */
int cmd_status_of(int rc);

/* What the operator can do about a failure's code, or "" for one that is not in the table. */
const char *cmd_advice(const char *code);

#endif
