/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The course of a job: steps in one order, walked by one driver. A step knows only itself: how its
 * thing is named before it is made, how it is made (or found, when it was made already), and how it
 * is given back. The journal has "intend" before the first call of a step and "done" behind its
 * last, so a course that was killed anywhere goes on at the step where it was.
 */
#ifndef PIPELINE_PIPE_COURSE_H
#define PIPELINE_PIPE_COURSE_H

#include "base/arena.h"
#include "pipeline/pipe_job.h"
#include "wire/wire.h"

#define PIPE_DISKS_MAX 32

struct cloud;

/* Why a course leaves a wait before its time. */
enum pipe_leave { PIPE_STAY, PIPE_LEAVE_PROCESS, PIPE_LEAVE_STOP, PIPE_LEAVE_CANCEL };

struct pipe_disk_progress {
	char name[32];
	uint64_t done_bytes;
	uint64_t total_bytes;
};

struct pipe_progress {
	struct pipe_disk_progress disks[PIPE_DISKS_MAX];
	size_t disk_count;
	char step[160];	  /* what is being done */
	char source[160]; /* what the source said last: state, phase, message */
	unsigned percent; /* of the step, where it is known */
	uint64_t rate_bytes_s;
	uint64_t eta_s; /* UINT64_MAX: not known */
};

struct pipe_step;

struct course {
	const char *root;
	struct pipe_job *job;
	const struct pipe_outside *outside;
	const struct pipe_step *step; /* the one that is being done */
	struct arena *arena;	      /* of the whole course */
	struct pipe_progress progress;
	bool resumed; /* the step was begun by an earlier process: look before making */
	enum pipe_leave leave;
	bool hurry; /* an order: begin now what waits for its time */
	uint64_t shown_ms;
	uint64_t poll_ms;
	uint64_t cloud_poll_ms; /* 0: as is usual in cloud/ */

	int child; /* pid of the receiver that we started, 0: none */
	bool activation_known;
	struct wire_activation activation;
	struct wire_control *link;
	uint64_t rate_at_ms, rate_at_bytes; /* for the rate of the transfer */

	char hook_told[64];  /* state that the webhook was told last */
	bool hook_silent;    /* it did not take that */
	struct cloud *cloud; /* NULL until a step needs it */
};

struct pipe_step {
	const char *name;
	enum pipe_phase phase;
	bool per_run;	/* made anew in each run of an incremental job */
	bool temporary; /* given back when the job has finished; else only by cancel and delete */
	bool result;	/* what the job is for: kept once its run has produced */
	/* What it costs while it is kept, or NULL; a fact's "costs" knows better. */
	const char *costs;
	bool (*wanted)(const struct course *c); /* NULL: always */
	/* Choose names and tokens, no call to the outside; NULL: nothing to choose. */
	int (*intend)(struct course *c, json_t *fact);
	/* Make it or find it; may be called again after any interruption. Puts ids into the fact;
	 * what must not be lost before the end is saved at once with course_keep(). */
	int (*make)(struct course *c, json_t *fact);
	/* Give it back; what is gone already is success. NULL: nothing to give back. */
	int (*undo)(struct course *c, json_t *fact);
};

/* All steps, in order; ends with a NULL name. */
extern const struct pipe_step *const pipe_steps[];

/* Save the fact of the step that is being made, still as "intend". */
int course_keep(struct course *c, json_t *fact);

/* The fact of another step, of this run when it is per run; NULL when there is none. */
json_t *course_fact(const struct course *c, const char *step);
const char *course_fact_text(const struct course *c, const char *step, const char *key);

bool course_is_way(const struct course *c, const char *way);

/* Whether this run is the last of the job. */
bool course_last_run(const struct course *c);

/*
 * Look after orders and the outside for MS (0: only look). -ECANCELED with c->leave set when the
 * step is to be left. Each wait in a step is this one.
 */
int course_wait(struct course *c, uint64_t ms);

/* Say what is being done; shown at once. */
void course_say(struct course *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* So much of the step is done: its percentage, rate and time left. */
void course_progress(struct course *c, uint64_t done, uint64_t total);

/* Write the status file and tell the outside, at most every 500 ms unless it must be now. */
void course_show(struct course *c, bool now);

/* The whole course, from where the job is. See pipe_run(). */
int course_run(struct course *c, enum pipe_verb verb);

/* ---- orders (pipe_orders.c takes them, this does them) ---- */
int course_take_orders(struct course *c);

/* ---- the receiver that the data comes to (pipe_link.c, pipe_child.c) ---- */

/* Connect to the control service of the job's receiver; starts our own when there is none. */
int course_link(struct course *c);
void course_unlink(struct course *c);

/*
 * Whether a call on the link that gave *rc is to be made once more: the receiver did not answer, as
 * when it restarts or the network is away, and there was no minute of pauses yet (in *lost, 0 at
 * first, is their count). Pauses before it says yes. An order that the pause brought, or the end of
 * our own receiver, is then in *rc.
 */
bool course_link_again(struct course *c, unsigned *lost, int *rc);

/* Hand pause, rate and cancel on to the source. No failure when there is no link. */
void course_command(struct course *c, bool cancel);

/* End the receiver that we started, in order; everything that arrived is then on the medium. */
void course_child_stop(struct course *c);
int course_child_start(struct course *c);

/* ---- cloud (pipe_cloud.c) ---- */
void course_cloud_close(struct course *c);

#endif
