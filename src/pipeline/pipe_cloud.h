/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the steps that work in a cloud account share. */
#ifndef PIPELINE_PIPE_CLOUD_H
#define PIPELINE_PIPE_CLOUD_H

#include <string.h>

#include "cloud/cloud.h"
#include "pipeline/pipe_local.h"

/* Everything that can carry a tag carries this one, with the job's id: what finds it when the
 * state directory is lost. */
#define PIPE_TAG "coldlift-job"

#define PIPE_INSTANCE_NAME "No_Delete_SMC_Transition_Instance" /* SMC's own name for it */

/* Waits for one thing of a kind; generous, as the user may wait longer than we do. */
#define PIPE_WAIT_MS	  (30ull * 60 * 1000)
#define PIPE_LONG_WAIT_MS (24ull * 3600 * 1000)

bool is_cloud(const struct course *c); /* for pipe_step.wanted */
bool is_ecs(const struct course *c);
bool is_direct(const struct course *c);

/* Opens the account when it is not open yet. */
int course_cloud(struct course *c);
const char *course_region(const struct course *c); /* of the intermediate instance */

/* Where this job's objects are: KEY below the job's own prefix, in the arena; NULL: the prefix. */
struct cloud_object course_object(struct course *c, const char *key);

/* Tags for creating calls: the job's and PIPE_TAG. The caller's. */
json_t *course_tags(const struct course *c);

/* A name that no other job uses: "coldlift-JOB-WHAT", in the arena. */
const char *course_name(struct course *c, const char *what);

/* Put a new ClientToken into the fact, and a name. For pipe_step.intend. */
int course_intend(struct course *c, json_t *fact, const char *name);

/*
 * Make the step's thing and wait until it is ready. What was made by an earlier try is found by
 * name and tag, so that nothing is made twice, even long after the ClientToken was forgotten.
 * tagged: kinds that have no tags are found by name alone.
 */
int course_make_thing(struct course *c, json_t *fact, enum cloud_kind kind, const json_t *params,
		      bool tagged);

/* Only look for it: *id NULL when it is not there. */
int course_find_thing(struct course *c, const json_t *fact, enum cloud_kind kind, bool tagged,
		      const char **id);

/* Wait until it is so, with progress; course_wait() in between. */
int course_wait_thing(struct course *c, enum cloud_kind kind, const char *id,
		      enum cloud_wanted wanted, uint64_t for_ms, struct cloud_thing *out);

/*
 * Behind a wait that ended with RC: a thing that failed for good is given back and its id and token
 * forgotten, so that the next try makes another. thing is the fact or a part of it. Returns RC with
 * its reason.
 */
int course_drop_failed(struct course *c, json_t *fact, json_t *thing, enum cloud_kind kind, int rc);

/* Delete the step's thing, found by id, or else by name and tag, and wait until it is gone. */
int course_delete_thing(struct course *c, const json_t *fact, enum cloud_kind kind, bool tagged);

/* Delete all objects and unfinished uploads whose key begins so. */
int course_delete_objects(struct course *c, const char *prefix);

/* The sizes of the job's disks in GiB, system disk first. */
int course_disk_gib(const struct course *c, uint64_t gib[PIPE_DISKS_MAX], size_t *count);

/* The smallest disk of at least GIB that the category has. */
static inline uint64_t pipe_category_gib(const char *category, uint64_t gib)
{
	bool any = strcmp(category, "cloud_essd") == 0 || strcmp(category, "cloud_auto") == 0;
	uint64_t least = any ? 1 : strcmp(category, "cloud_essd_entry") == 0 ? 10 : 20;

	return gib < least ? least : gib;
}

/* The performance level of an ESSD: the cheapest starts at 1 GiB, the usual one at 20. */
static inline const char *pipe_essd_level(uint64_t gib)
{
	return gib < 20 ? "PL0" : "PL1";
}

/* Put into the instance's fact what it costs, with the price where the cloud tells it. */
void instance_costs(struct course *c, json_t *fact);

/* The vSwitch that was given by its id, or found by the VPC's name; "": the job makes one. */
const char *course_vswitch(const struct course *c);

/* See that the instance runs (it is stopped for snapshots). */
int course_power_on(struct course *c);

extern const struct pipe_step network_step;
extern const struct pipe_step bucket_step, diagnostics_step, zone_step, vpc_step, vswitch_step,
	group_step, rules_step, program_step, instance_step, power_step, stop_step, snapshot_step,
	image_step, export_step, upload_step, import_step;

#endif
