/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One job in its directory: what its journal adds up to, and the orders that others leave for the
 * process that runs it.
 *
 *   job/journal   the records (pipe_journal.h); all of the job's state
 *   job/lock      held by the process that runs or changes the job
 *   job/orders/   orders for that process, one small file each, taken and removed in order
 *   job/status    its progress, replaced about once a second; only for showing
 */
#ifndef PIPELINE_PIPE_JOB_H
#define PIPELINE_PIPE_JOB_H

#include "pipeline/pipe_journal.h"
#include "pipeline/pipe_options.h"

struct pipe_job {
	char *dir;
	char id[PIPE_ID_BYTES];
	int lock_fd; /* -1: only read */
	struct pipe_journal journal;

	json_t *options;
	uint64_t created_s;
	enum pipe_state state;
	enum pipe_phase phase;
	unsigned run;	   /* counts from 1; 0 before the first start */
	unsigned produced; /* the run whose image is there, so that only cleaning is left of it */
	uint64_t began_s;  /* when this run began, for the time of the next; 0: not known */
	bool last_run;	   /* a cut-over was ordered: this run is the last */
	bool no_sync;	   /* and the last run has been already */
	bool paused;
	bool cancelled;	   /* everything is to be given back, then it is Stopped or deleted */
	bool delete_after; /* and then the job's directory goes too */
	char way[8];	   /* "local", "ecs" or "direct"; "" until it is decided */
	char error_code[64];
	char error_reason[512];
	char error_step[32];
	json_t *facts;	/* step name (or name#run) -> its fact */
	json_t *images; /* what came out, oldest first */
};

enum pipe_open { PIPE_READ, PIPE_WRITE };

/* PIPE_WRITE takes the lock: -EBUSY, code JOB_RUNNING, when another process has it. */
int pipe_job_open(const char *root, const char *id, enum pipe_open how, struct pipe_job *out);
/* Whether a process has the lock; asks without taking it. */
bool pipe_job_is_run(const struct pipe_job *j);
void pipe_job_close(struct pipe_job *j);
#define CLEANUP_JOB CLEANUP(pipe_job_close)

/* Read the "plan" of a job in the cloud; -EINVAL when it cannot be read, or its disks are too many
 * or too large. */
int pipe_plan_check(const json_t *options);

/* When the next run of a job with a frequency is due; 0: it has none. Unix time. */
uint64_t pipe_job_next_run_s(const struct pipe_job *j);

/* Whether it runs again and again, from state Waiting. */
bool pipe_job_incremental(const struct pipe_job *j);

/* Append a record and take it over. Takes the record over. */
int pipe_job_record(struct pipe_job *j, json_t *record);

/* Records. */
int pipe_job_set_state(struct pipe_job *j, enum pipe_state state, enum pipe_phase phase);
int pipe_job_set_error(struct pipe_job *j, const char *step, const char *code, const char *reason);

/* A path in the job's directory; free() it. NULL only when memory is out, with a reason. */
char *pipe_job_path(const struct pipe_job *j, const char *name);

/*
 * A step's fact: an object with "status" (intend, done, undone) and what the step put there. NULL
 * when the step was never begun (or undone, and begun anew is allowed).
 */
json_t *pipe_job_fact(const struct pipe_job *j, const char *key);
int pipe_job_set_fact(struct pipe_job *j, const char *key, const char *status, json_t *fact);

/*
 * Orders that were left, oldest first: *path is the file of the next one, NULL when there is none;
 * free() it. Who obeyed it removes the file: so who left it knows, and none is lost in between.
 * With *path and an error: it cannot be read and is to be removed, too. *order: caller's reference.
 */
int pipe_job_next_order(const struct pipe_job *j, char **path, json_t **order);

/* Leave an order; *path is its file, to free(). */
int pipe_job_leave_order(const char *root, const char *id, const json_t *order, char **path);

#endif
