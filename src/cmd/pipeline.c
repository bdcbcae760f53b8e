/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The program of the operator's host. */
#include <sys/prctl.h>

#include "base/num.h"
#include "cmd/cmd_pipeline.h"
#include "cmd/dispatch.h"

int main(int argc, char **argv)
{
	static const struct subcommand subcommands[] = {
		{"create", cmd_pipeline_create, "make a job; prints its id"},
		{"run", cmd_pipeline_run, "make a job and run it to its end; or go on with one"},
		{"start", cmd_pipeline_run, "run a job from where it is"},
		{"retry", cmd_pipeline_run, "run a job again that was stopped or failed"},
		{"cut-over", cmd_pipeline_run, "the last run of an incremental job"},
		{"modify", cmd_pipeline_order, "change options: KEY=VALUE..."},
		{"pause", cmd_pipeline_order, "let the source pause its transfer"},
		{"resume", cmd_pipeline_order, "let it go on"},
		{"stop", cmd_pipeline_order, "stop a job; what it has is kept"},
		{"cancel", cmd_pipeline_order, "stop a job and give back everything it made"},
		{"delete", cmd_pipeline_order, "the same, and forget the job"},
		{"account", cmd_pipeline_account,
		 "whose keys these are, and whether a job could run"},
		{"status", cmd_pipeline_status, "what jobs are doing: a table, JSON, or a page"},
		{"tidy", cmd_pipeline_tidy, "delete jobs that expired a week ago"},
		{"list", cmd_pipeline_clean, "what jobs made in the account, by tag and name"},
		{"clean", cmd_pipeline_clean, "remove it, in the right order"},
	};

	/* Keys are in memory: no core file, no look from other processes of the user. */
	prctl(PR_SET_DUMPABLE, 0);
	return cmd_dispatch("pipeline", subcommands, ARRAY_SIZE(subcommands), argc, argv);
}
