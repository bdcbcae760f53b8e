/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What could not be read at the source: named, judged by what the job allows, and kept, as a
 * migrator that is started again does not look there a second time. Private to cmd/.
 */
#ifndef CMD_HOLES_H
#define CMD_HOLES_H

#include <jansson.h>
#include <pthread.h>

#include "copy/copy.h"
#include "disk/disk.h"
#include "plan/plan.h"

struct holes {
	struct arena *arena;
	const struct map *map;
	const struct disk_layout *layout; /* of the map's sources; NULL: nothing is named */
	const struct plan *plan;	  /* for mount points; may be NULL */
	uint64_t max;			  /* so many are allowed */
	const char *const *outside; /* only in files outside of these paths; NULL-ended, or NULL */
	/* All holes, as in verify.json; each with its "disk". The caller's to json_decref(). */
	json_t *list;
	/* Called when the list has grown and was allowed, before the copy goes on; may be NULL. */
	int (*keep)(void *ctx, const json_t *list);
	void *ctx;
	pthread_mutex_t lock; /* of the list, while the copy runs */
};

/* A copy_judge_fn; ctx is a struct holes. -EIO, SOURCE_READ_ERROR, with the first hole's name. */
int holes_judge(void *ctx, unsigned disk, const struct copy_hole *list, size_t count);

/* Give each disk of verify.json its "holes". */
void holes_into_proof(const struct holes *h, json_t *verify);

/* Of all disks. */
uint64_t holes_bytes(const struct holes *h);

/* What lies where on the sources of a plan, looked into through the views. */
int layout_of_plan(struct arena *a, const struct plan *plan, struct disk_layout *out);

#endif
