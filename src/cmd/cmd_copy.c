/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `migrator copy`: execute a map that prepare has made. */
#include "cmd/cmd.h"
#include "cmd/copy_args.h"

#include <stdio.h>

#include "base/arena.h"

#define COMMAND "migrator copy"

int cmd_copy(int argc, char **argv)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	struct copy_args args;
	struct map *map;
	int first, rc = copy_args_parse(argc, argv, &args, &first);

	if (rc == -1) {
		copy_args_help("copy --map FILE --activation CODE [OPTION...]");
		return CMD_DONE;
	}
	if (rc != 0)
		return rc;
	if (!args.map || first != argc) {
		fprintf(stderr, COMMAND ": give --map FILE and nothing else\n");
		return CMD_USAGE;
	}
	rc = map_read(a, args.map, &map);
	if (rc < 0)
		return cmd_report(COMMAND, rc);
	return copy_args_run(COMMAND, &args, map);
}
