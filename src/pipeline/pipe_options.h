/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading a job's completed options. */
#ifndef PIPELINE_PIPE_OPTIONS_H
#define PIPELINE_PIPE_OPTIONS_H

#include "pipeline/pipeline.h"

#define PIPE_TAGS_MAX	    20
#define PIPE_ENS_DATA_DISKS 4

/* "" and 0 for what is not there; borrowed. */
const char *pipe_option(const json_t *options, const char *key);
uint64_t pipe_option_u64(const json_t *options, const char *key);

/* Whether ECS heeds the format of an export there; elsewhere it writes RAW. */
bool pipe_exports_qcow2(const char *region);

/* A time of the API's form, as Unix seconds; false when there is none. */
bool pipe_option_time(const json_t *options, const char *key, uint64_t *out);

#endif
