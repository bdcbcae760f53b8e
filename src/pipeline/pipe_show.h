/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a job looks like from outside. */
#ifndef PIPELINE_PIPE_SHOW_H
#define PIPELINE_PIPE_SHOW_H

#include "pipeline/pipe_course.h"

/* Calls fn with the id of each job in order of creation; a result other than 0 ends it. */
int pipe_each(const char *root, int (*fn)(void *ctx, const char *id), void *ctx);

/* The caller's; NULL when memory is out. Without progress. */
json_t *pipe_job_status(const struct pipe_job *j, bool running);

/* Tell the job's webhook when state or phase are others than it was told last. */
void pipe_hook(struct course *c, const json_t *status);

#endif
