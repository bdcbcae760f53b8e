/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names by which what a job made is known without its state, for kinds that take no tag: how each
 * is made, and whose it is when it is found. All texts are the arena's.
 */
#ifndef PIPELINE_PIPE_NAMES_H
#define PIPELINE_PIPE_NAMES_H

#include "base/arena.h"

#define PIPE_OBJECTS "coldlift/" /* what steps put into the bucket begins so */
#define PIPE_EXPORTS "cl"	 /* and so what the cloud exports, whose prefix takes no slash */

/* Of an object in the job's own folder; KEY "" is the folder. */
const char *name_object(struct arena *a, const char *job, const char *key);

/* Prefix of what one run exports: 1 to 30 letters and digits. */
const char *name_export(struct arena *a, const char *job, unsigned run);

const char *name_ens_image(struct arena *a, const char *prefix, const char *job, unsigned run);

/* The id of the job whose it is; NULL for a name that no job gives. */
const char *job_of_object(struct arena *a, const char *key);
const char *job_of_ens_image(struct arena *a, const char *name);

#endif
