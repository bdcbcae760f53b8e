/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The program of the source machine: one subcommand a phase, and `run`, which knows their order. */
#include "base/num.h"
#include "cmd/cmd.h"
#include "cmd/dispatch.h"

int main(int argc, char **argv)
{
	static const struct subcommand subcommands[] = {
		{"run", cmd_run, "the whole course, as the live image does it"},
		{"inventory", cmd_inventory, "what machine this is -> inventory.json"},
		{"plan", cmd_plan, "what will be done, or every refusal -> plan.json"},
		{"prepare", cmd_prepare,
		 "views, journal replay, repairs -> prepare.json and copy.map"},
		{"copy", cmd_copy, "execute a map against a receiver"},
		{"send", cmd_send, "copy disk images to a receiver as they are"},
	};

	return cmd_dispatch("migrator", subcommands, ARRAY_SIZE(subcommands), argc, argv);
}
