/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What `migrator copy` and `migrator send` have in common: options, targets, progress, the result.
 */
#ifndef CMD_COPY_ARGS_H
#define CMD_COPY_ARGS_H

#include <getopt.h>

#include "copy/copy.h"
#include "disk/disk.h"

struct copy_args {
	struct copy_options options;
	struct copy_control control;
	struct copy_target targets[MAP_DISKS_MAX];
	char exports[MAP_DISKS_MAX][WIRE_EXPORT_MAX];
	struct wire_activation activation;
	bool have_activation;
	const char *nbd;	     /* a foreign server: "HOST:PORT" or a socket's path */
	const char *export;	     /* the foreign server's name for the disk, "" by default */
	uint8_t pin[WIRE_PIN_BYTES]; /* of the foreign server, with have_pin */
	bool have_pin;
	bool plain; /* a foreign server may do without TLS */
	const char *map;
	bool have_run_id;
	bool whole;	    /* send: take no file system apart */
	bool overwrite;	    /* send: also a machine's copy */
	const char *proof;  /* verify afterwards; verify.json and verify.leaves go to this folder */
	uint64_t holes_max; /* so many places may be unreadable */
	const struct disk_layout *layout; /* to name what cannot be read; NULL: not named */
	bool json;			  /* print the result as JSON on standard output */
	bool quiet;
};

/* Options of both; -1 at the end, 0 taken, else an exit status. *first: index of the first operand.
 */
int copy_args_parse(int argc, char **argv, struct copy_args *args, int *first);
void copy_args_help(const char *synopsis);

/*
 * Run the map and tell how it went. Without --run-id the id is made of the map's digest and of size
 * and time of each source; a source that is no regular file makes it random, so that nothing is
 * taken for unchanged.
 */
int copy_args_run(const char *command, struct copy_args *args, const struct map *map);

#endif
