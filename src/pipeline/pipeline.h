/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pipeline: from a copied machine to an image, as a job that survives everything. A job is one
 * directory with a journal; this library makes, runs, orders and shows jobs. It runs where the
 * operator's keys are, and is the only holder of them.
 *
 * Words and error codes are those of Alibaba Cloud SMC (2019-06-01) wherever it has one.
 * Errors: 0 or -errno with a reason (base/err.h). One thread for each job.
 */
#ifndef PIPELINE_PIPELINE_H
#define PIPELINE_PIPELINE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cloud_options;

/* ------------------------------------------------------------------------------------- states */

enum pipe_state {
	PIPE_READY,
	PIPE_RUNNING,
	PIPE_STOPPED,
	PIPE_IN_ERROR,
	PIPE_FINISHED,
	PIPE_WAITING, /* an incremental job between two runs */
	PIPE_EXPIRED,
	PIPE_DELETING,
	PIPE_STATES
};

/* Only while running. */
enum pipe_phase {
	PIPE_NO_PHASE,
	PIPE_PREPARING,
	PIPE_SYNCING,
	PIPE_PROCESSING,
	PIPE_CLEANING,
	PIPE_PHASES
};

enum pipe_verb {
	PIPE_START,
	PIPE_MODIFY,
	PIPE_PAUSE,
	PIPE_RESUME,
	PIPE_STOP,
	PIPE_RETRY,
	PIPE_CUTOVER,
	PIPE_CANCEL,
	PIPE_DELETE,
	PIPE_VERBS
};

const char *pipe_state_name(enum pipe_state state); /* "InError" */
const char *pipe_phase_name(enum pipe_phase phase); /* "Syncing"; "" for none */
const char *pipe_verb_name(enum pipe_verb verb);    /* "start" */

/* False, and *out unchanged, for a name that is not known. */
bool pipe_state_parse(const char *name, enum pipe_state *out);
bool pipe_phase_parse(const char *name, enum pipe_phase *out);

/*
 * 0, or -EPERM with code ReplicationJob.InvalidStatus and a sentence that says what can be done
 * instead. incremental: the job keeps its instance between runs. Pure.
 */
int pipe_verb_check(enum pipe_verb verb, enum pipe_state state, enum pipe_phase phase,
		    bool incremental);

/*
 * What a job is at NOW: a job that nobody runs and whose validity has passed is Expired. Times are
 * seconds of Unix time. Pure.
 */
enum pipe_state pipe_state_at(enum pipe_state state, uint64_t created_s, unsigned valid_days,
			      uint64_t now_s);
#define PIPE_VALID_DAYS_MIN    7
#define PIPE_VALID_DAYS_MAX    90
#define PIPE_EXPIRED_KEPT_DAYS 7 /* then pipe_tidy() deletes it */
#define PIPE_DAY_S	       86400u

/* ------------------------------------------------------------------------------------ options */

/* What is wrong with a job's options; all of it at once. */
struct pipe_problem {
	char code[64];	/* InvalidParameter.ValidTime */
	char key[64];	/* valid_days */
	char what[200]; /* must be 7 to 90, not 200 */
};
#define PIPE_PROBLEMS_MAX 64

/* All that is wrong at once, as far as there is room. */
struct pipe_problems {
	struct pipe_problem at[PIPE_PROBLEMS_MAX];
	size_t count;
};

/*
 * Check options as an operator gave them and complete them with the defaults. Keys are in
 * docs/pipeline.md; an unknown one is a problem. now_s judges a scheduled start. -EINVAL with the
 * first problem as the reason when there is any; *out is the caller's, NULL on error. Pure.
 */
int pipe_options_check(const json_t *given, uint64_t now_s, struct pipe_problems *problems,
		       json_t **out);

/*
 * Take over CHANGES into OPTIONS (completed ones) as far as state and phase allow: name and
 * description always; frequency and number of images before the start and in Waiting; validity in
 * any state that is not final; rate, compression and checksum also while syncing; the rest before
 * the start. -EPERM with code ReplicationJob.InvalidStatus, and a problem for each key that is too
 * late.
 */
int pipe_options_modify(const json_t *options, const json_t *changes, enum pipe_state state,
			enum pipe_phase phase, uint64_t now_s, struct pipe_problems *problems,
			json_t **out);

/* Whether the key's value is any text, so that "6.8" is no number. */
bool pipe_option_is_text(const char *key);

/* ---------------------------------------------------------------------------------------- jobs */

#define PIPE_ID_BYTES 24 /* "j-" and 16 hex digits, with its NUL */
bool pipe_is_id(const char *text);

/*
 * Make a job in a new directory of ROOT (made when missing). options: checked and completed. Names
 * are unique: code ReplicationJobName.Duplicate. A "plan" is read, and must be one that the way can
 * take. The id goes to ID.
 */
int pipe_create(const char *root, const json_t *options, char id[PIPE_ID_BYTES]);

/* The id of the job with this id or name. -ENOENT, code InvalidJobId.NotFound. */
int pipe_find(const char *root, const char *id_or_name, char id[PIPE_ID_BYTES]);

/* What stands between a job and the outside, so that tests can stand there too. All may be NULL. */
struct pipe_outside {
	/* Something changed that a person may want to see; called often. */
	void (*changed)(void *ctx, const json_t *status);
	/* True: end soon, the job stays as it is and is gone on with later. */
	bool (*stop)(void *ctx);
	void *ctx;
	const char *receiver_path;	   /* the program; NULL: as the job says */
	uint64_t poll_ms;		   /* of the source and the receiver; 0: 1000 */
	uint64_t hour_s;		   /* of "frequency_hours"; 0: 3600 */
	bool no_sync;			   /* PIPE_CUTOVER without another run */
	bool now;			   /* do not wait for a scheduled start or next run */
	uint64_t cloud_poll_ms;		   /* of the cloud; 0: as the kind of thing wants it */
	const struct cloud_options *cloud; /* endpoints and the like; region and pause are ours */
};

/*
 * Run a job from where it is until it is Finished, Waiting, Stopped or InError, or stop() says so
 * (-ECANCELED). retry: as after an error. -EBUSY: another process runs it (code JOB_RUNNING).
 * Returns 0 also for Stopped and Waiting; -errno of the failure for InError.
 */
int pipe_run(const char *root, const char *id, enum pipe_verb verb,
	     const struct pipe_outside *outside);

/*
 * Give an order. A job that runs elsewhere takes it from its directory; else it is done here and
 * now. changes: for PIPE_MODIFY; for PIPE_CUTOVER {"sync": false} or NULL; else NULL. PIPE_START: a
 * job that waits for its time in another process begins at once. START, RETRY, and CUTOVER of a job
 * that nobody runs are pipe_run()'s.
 */
int pipe_order(const char *root, const char *id, enum pipe_verb verb, const json_t *changes,
	       const struct pipe_outside *outside);

/*
 * Whether the job would take CHANGES now: all that is wrong with them at once. -EINVAL and -EPERM
 * as pipe_options_modify(), -EEXIST for a name that another job has. Changes nothing.
 */
int pipe_modify_check(const char *root, const char *id, const json_t *changes,
		      struct pipe_problems *problems);

/*
 * Delete the jobs that expired more than PIPE_EXPIRED_KEPT_DAYS ago. *count: how many. One that
 * cannot be deleted is left for the next time, and the first such error is returned.
 */
int pipe_tidy(const char *root, const struct pipe_outside *outside, size_t *count);

/* The status of one job as an object; of all, as an array in order of creation. */
int pipe_status(const char *root, const char *id, json_t **out);
int pipe_status_all(const char *root, json_t **out);

/* ------------------------------------------------------------------------------------- sweeping */

struct pipe_sweep {
	const char *region; /* where instances are made */
	const char *bucket; /* NULL: objects are not looked for */
	const char *job;    /* NULL: of all jobs */
	const char *root;   /* what jobs that run in this directory use is left; NULL: of none */
	bool remove;	    /* else only look */
	bool images;	    /* remove finished ENS images, too */
	uint64_t poll_ms;   /* 0: as is usual */
};

/*
 * Find what jobs made in the account, by tag and name, also where their state directory is lost;
 * and remove it in the right order; looks again when something that was not in the cloud's lists
 * yet keeps the rest from going. *found (the caller's, also on error): an array of {job, kind, id,
 * name}, each once.
 */
int pipe_sweep(const struct pipe_sweep *what, const struct pipe_outside *outside, json_t **found);

/* -------------------------------------------------------------------------------------- showing */

/*
 * Pure. jobs: what pipe_status_all() gave. Text of at most COLUMNS (40 at least) characters a line;
 * free() it.
 */
char *pipe_show_table(const json_t *jobs, unsigned columns);
char *pipe_show_line(const json_t *job); /* one line that says what is, for logs */
char *pipe_show_html(const json_t *jobs);

/* What to do about one of SMC's or the cloud's codes, or "". */
const char *pipe_advice(const char *code);

#endif
