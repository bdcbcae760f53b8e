/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Watching the source through the receiver's control service. */
#ifndef PIPELINE_PIPE_SYNC_H
#define PIPELINE_PIPE_SYNC_H

#include "pipeline/pipe_course.h"

/* Find out c->activation: from the job, from our own receiver, or from the instance that was made.
 */
int course_activation(struct course *c);

/* Remember what the source said before this run, so that it is not taken for this run's. */
int sync_before(struct course *c, json_t *fact);

/* What arrived is no more what was verified: the next try waits for the source once more, which
 * then mends it. Leaves the reason of the failure as it is. */
void sync_again(struct course *c);

/* One look: 1 when the source has finished this run, 0 when not, -EREMOTEIO with its own code when
 * it failed. A receiver that does not answer is no error. */
int sync_once(struct course *c, const json_t *fact);

/* Fetch an artefact of the source into the job's directory; *body, which is the caller's, is NULL
 * when it is not there. */
int sync_fetch_artefact(struct course *c, const char *name, char **body, size_t *bytes);

/* The same, of JSON; *out NULL when it is not there. */
int sync_take_artefact(struct course *c, const char *name, json_t **out);

/* Keep the source's log and what the receiver knows of it, as the job's options say; as far as it
 * can be had, and without secrets (pipe_diagnostics.c). Leaves the reason of a failure as it is. */
void sync_diagnostics(struct course *c);

/*
 * The disks of a transfer, from the source's plan and verify.json (may be NULL): index, size_bytes,
 * the Merkle root, and unreadable_bytes where the source's disk did not give all. The caller's.
 * -EINVAL, PLAN_BAD: what the receiver has kept is no plan of 1 to PIPE_DISKS_MAX disks.
 */
int sync_disks(const json_t *plan, const json_t *verify, json_t **out);

#endif
