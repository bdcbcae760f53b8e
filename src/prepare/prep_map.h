/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a plan and its settled views to the map that the copy engine executes. */
#ifndef PREPARE_PREP_MAP_H
#define PREPARE_PREP_MAP_H

#include "map/map.h"
#include "prepare/prep_report.h"
#include "prepare/prep_views.h"

/* Everything is in the arena of the views. *sizes says for each disk what is copied (JSON,
 * caller's). */
int map_of_plan(const struct plan *plan, const struct views *v, struct prep_report *r,
		struct map **out, json_t **sizes);

#endif
