/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the environment says about the cloud account (docs/cloud.md, "Settings"): endpoints,
 * certificates, signatures, patience, and where a test wants the program to be killed.
 */
#ifndef CMD_CLOUD_ENV_H
#define CMD_CLOUD_ENV_H

#include <stdint.h>

#include "cloud/cloud.h"

/* COLDLIFT_CLOUD_KILL=NUMBER:before|sent|reply, of the calls of this process from 1. */
struct cloud_kill {
	uint64_t call_number; /* 0: never */
	enum cloud_stage stage;
};

/*
 * Fill OPTIONS, which is all zeros or holds what the command line said and wins. KILL lives as long
 * as the account. The hook and its context are set only when a kill is asked for and no other hook
 * is there. Texts are borrowed from the environment. -EINVAL: a setting is wrong.
 */
int cloud_env_read(struct cloud_options *options, struct cloud_kill *kill);

#endif
