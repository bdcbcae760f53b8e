/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the environment says about the cloud account, for the subcommands of pipeline. */
#ifndef CMD_CLOUD_ENV_H
#define CMD_CLOUD_ENV_H

#include "cloud/cloud.h"

/* Where a test wants the program to be killed; part of the options themselves. */
struct cloud_kill {
	uint64_t call_number;
};

static inline int cloud_env_read(struct cloud_options *options, struct cloud_kill *kill)
{
	int rc = cloud_options_from_environment(options);

	kill->call_number = options->kill_call;
	return rc;
}

#endif
