/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keys of the kernel command line that are ours: coldlift.KEY=VALUE. Network keys belong to the
 * init script. */
#ifndef CMD_CMDLINE_H
#define CMD_CMDLINE_H

#include "base/arena.h"

enum cmdline_exit { CMDLINE_EXIT_SHELL, CMDLINE_EXIT_POWEROFF, CMDLINE_EXIT_REBOOT };

struct cmdline {
	const char *activation; /* NULL when not given, as all strings here */
	const char *job;   /* as given; the init script has fetched it to /run/coldlift/job.json */
	const char *mode;  /* "migrate", "receive" or "shell"; "migrate" when not given */
	const char *allow; /* refusal codes, separated by commas */
	const char *progress;	/* name of a tty for JSON lines: "ttyS1" */
	const char *device;	/* the receive role's targets; the init script reads it */
	enum cmdline_exit exit; /* what happens at the end; SHELL when not given */
};

/*
 * Parse the text of /proc/cmdline: words separated by blanks, a value or word may stand in double
 * quotes as the kernel allows, the last of a repeated key counts. An unknown coldlift key or value
 * is -EINVAL with code CMDLINE_INVALID, as a mistyped key that is ignored would migrate with the
 * wrong settings.
 */
int cmdline_parse(struct arena *a, const char *text, struct cmdline *out);

#endif
