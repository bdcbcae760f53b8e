/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SMC's states, what each allows, and how long a job is valid. */
#include "pipeline/pipeline.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"

static const char *const state_names[PIPE_STATES] = {
	[PIPE_READY] = "Ready",	     [PIPE_RUNNING] = "Running",   [PIPE_STOPPED] = "Stopped",
	[PIPE_IN_ERROR] = "InError", [PIPE_FINISHED] = "Finished", [PIPE_WAITING] = "Waiting",
	[PIPE_EXPIRED] = "Expired",  [PIPE_DELETING] = "Deleting",
};

static const char *const phase_names[PIPE_PHASES] = {
	[PIPE_NO_PHASE] = "",	      [PIPE_PREPARING] = "Preparing",
	[PIPE_SYNCING] = "Syncing",   [PIPE_PROCESSING] = "Processing",
	[PIPE_CLEANING] = "Cleaning",
};

static const char *const verb_names[PIPE_VERBS] = {
	[PIPE_START] = "start",	     [PIPE_MODIFY] = "modify", [PIPE_PAUSE] = "pause",
	[PIPE_RESUME] = "resume",    [PIPE_STOP] = "stop",     [PIPE_RETRY] = "retry",
	[PIPE_CUTOVER] = "cut-over", [PIPE_CANCEL] = "cancel", [PIPE_DELETE] = "delete",
};

const char *pipe_state_name(enum pipe_state state)
{
	return state_names[state];
}

const char *pipe_phase_name(enum pipe_phase phase)
{
	return phase_names[phase];
}

const char *pipe_verb_name(enum pipe_verb verb)
{
	return verb_names[verb];
}

bool pipe_state_parse(const char *name, enum pipe_state *out)
{
	for (int i = 0; i < PIPE_STATES; i++) {
		if (strcmp(name, state_names[i]) == 0) {
			*out = (enum pipe_state)i;
			return true;
		}
	}
	return false;
}

bool pipe_phase_parse(const char *name, enum pipe_phase *out)
{
	for (int i = 0; i < PIPE_PHASES; i++) {
		if (strcmp(name, phase_names[i]) == 0) {
			*out = (enum pipe_phase)i;
			return true;
		}
	}
	return false;
}

/* Columns of the table below: the states, with Running split into its phases. */
enum column {
	READY,
	PREP,
	SYNC,
	PROC,
	CLEAN,
	STOPPED,
	IN_ERROR,
	FINISHED,
	WAITING,
	EXPIRED,
	DELETING
};

static enum column column_of(enum pipe_state state, enum pipe_phase phase)
{
	static const enum column columns[PIPE_STATES] = {
		[PIPE_READY] = READY,	    [PIPE_STOPPED] = STOPPED, [PIPE_IN_ERROR] = IN_ERROR,
		[PIPE_FINISHED] = FINISHED, [PIPE_WAITING] = WAITING, [PIPE_EXPIRED] = EXPIRED,
		[PIPE_DELETING] = DELETING,
	};
	static const enum column running[PIPE_PHASES] = {PREP, PREP, SYNC, PROC, CLEAN};

	return state == PIPE_RUNNING ? running[phase] : columns[state];
}

/*
 * SMC's own rules: start from Ready, Stopped, InError (and Waiting, for the next run); stop while
 * Syncing and in Waiting; delete whenever it does not run, and while deleting to go on with it;
 * cut-over only in Waiting. Ours beside them: cancel, which stops what runs and gives everything
 * back, until the image is being cleaned up after; pause and resume, of the transfer and of the
 * making of images, which SMC does not let one stop. A start of a job that says Running goes on
 * with one whose process ended.
 */
/* clang-format off */
static const char allowed[PIPE_VERBS][DELETING + 2] = {
	/* Ready, Preparing, Syncing, Processing, Cleaning; Stopped, InError; Finished; Waiting;
	 * Expired, Deleting */
	[PIPE_START]   = "yyyyyyy-y--",
	[PIPE_MODIFY]  = "yyyyyyyyy--",
	[PIPE_PAUSE]   = "--yy-------",
	[PIPE_RESUME]  = "--yy-------",
	[PIPE_STOP]    = "--yy----y--",
	[PIPE_RETRY]   = "-----yy----",
	[PIPE_CUTOVER] = "--------y--",
	[PIPE_CANCEL]  = "yyyy-yy-yyy",
	[PIPE_DELETE]  = "y----yyyyyy",
};
/* clang-format on */

static const char *instead(enum column column)
{
	switch (column) {
	case READY:
		return "start it first";
	case PREP:
		return "wait until it is through, or cancel it";
	case SYNC:
	case PROC:
		return "pause, stop or cancel it first";
	case CLEAN:
		return "wait until it has finished";
	case STOPPED:
	case IN_ERROR:
		return "retry or delete it";
	case WAITING:
		return "start the next run, cut over, stop or delete it";
	case EXPIRED:
		return "delete it and make another job";
	case FINISHED:
		return "make another job for another image";
	case DELETING:
		break;
	}
	return "wait until it is deleted, or delete it again if that was interrupted";
}

int pipe_verb_check(enum pipe_verb verb, enum pipe_state state, enum pipe_phase phase,
		    bool incremental)
{
	enum column column = column_of(state, phase);

	if (allowed[verb][column] == 'y' && !(verb == PIPE_CUTOVER && !incremental))
		return 0;
	return fail_code(EPERM, "ReplicationJob.InvalidStatus",
			 "a job that is %s%s%s takes no %s; %s", state_names[state],
			 phase != PIPE_NO_PHASE ? ": " : "", phase_names[phase], verb_names[verb],
			 instead(column));
}

enum pipe_state pipe_state_at(enum pipe_state state, uint64_t created_s, unsigned valid_days,
			      uint64_t now_s)
{
	uint64_t end_s = created_s + (uint64_t)valid_days * PIPE_DAY_S;

	switch (state) {
	case PIPE_READY:
	case PIPE_STOPPED:
	case PIPE_IN_ERROR:
	case PIPE_WAITING:
		return now_s >= end_s ? PIPE_EXPIRED : state;
	default:
		return state;
	}
}
