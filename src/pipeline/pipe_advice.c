/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What to do about SMC's codes. The cloud's own are in cloud/, those of the programs in cmd/. */
#include <string.h>

#include "base/num.h"
#include "pipeline/pipeline.h"

static const struct {
	const char *code, *advice;
} table[] = {
	{"InvalidJobId.NotFound",
	 "pipeline status shows the jobs and their names; --state says where they are."},
	{"ReplicationJob.InvalidStatus", "pipeline status says where the job is; docs/pipeline.md "
					 "has the table of what each state allows."},
	{"ReplicationJobName.Duplicate",
	 "Give the job another name, or delete the one that has it."},
};

const char *pipe_advice(const char *code)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (strcmp(table[i].code, code) == 0)
			return table[i].advice;
	}
	return "";
}
