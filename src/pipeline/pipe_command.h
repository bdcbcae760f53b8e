/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Orders to a job. */
#ifndef PIPELINE_PIPE_COMMAND_H
#define PIPELINE_PIPE_COMMAND_H

#include "pipeline/pipe_course.h"

/* What the job is now: Expired when its time is over. */
enum pipe_state pipe_job_state_now(const struct pipe_job *j);

/* pipe_verb_check() of this job. */
int pipe_job_allows(const struct pipe_job *j, enum pipe_verb verb);

/* pipe_options_modify() of this job, now. options: NULL, or the caller's. */
int pipe_job_changed(const struct pipe_job *j, const json_t *changes,
		     struct pipe_problems *problems, json_t **options);

/* Whether the order would be taken now, without doing anything. */
int pipe_job_check_order(const struct pipe_job *j, enum pipe_verb verb, const json_t *changes);

/* Check the order and put it into the journal. *leave says what the course has to do about it. */
int pipe_job_obey(struct pipe_job *j, enum pipe_verb verb, const json_t *changes,
		  enum pipe_leave *leave);

#endif
