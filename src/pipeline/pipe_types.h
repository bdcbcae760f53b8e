/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which instance type, in which zone. */
#ifndef PIPELINE_PIPE_TYPES_H
#define PIPELINE_PIPE_TYPES_H

#include "pipeline/pipe_cloud.h"

/*
 * Choose the zone ("" in given: any) that has the best of the wanted types, and list its types, the
 * best first. The type that the job names is the only one, when it names one. -ENODEV, code
 * OperationDenied.NoStock: there is none. *zone is in the arena, *types the caller's.
 */
int types_choose(struct course *c, const char *given, const char **zone, json_t **types);

/* The place of a type in the order in which SMC tries them, 0 the best; -1: not wanted (another
 * architecture, a GPU). Pure. */
int types_rank(const char *type, unsigned cores, double memory_gib);

#endif
