/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The pipeline's subcommands. Each gets its own argv (argv[0] is its name) and returns the exit
 * status. */
#ifndef CMD_CMD_PIPELINE_H
#define CMD_CMD_PIPELINE_H

#include <jansson.h>
#include <stdbool.h>

#include "pipeline/pipeline.h"

int cmd_pipeline_create(int argc, char **argv);
int cmd_pipeline_run(int argc, char **argv);   /* run, start, retry, cut-over */
int cmd_pipeline_order(int argc, char **argv); /* modify, pause, resume, stop, cancel, delete */
int cmd_pipeline_tidy(int argc, char **argv);
int cmd_pipeline_status(int argc, char **argv);
int cmd_pipeline_clean(int argc, char **argv); /* list, clean */
int cmd_pipeline_account(int argc, char **argv);

/* What the subcommands share. */
struct pipeline_args {
	const char *verb;
	char root[4096];
	const char *job;      /* id or name */
	const char *job_file; /* options */
	json_t *settings;     /* KEY=VALUE words */
	const char *html;
	bool json, watch, quiet, detach, yes, now;
};

/* -1: go on; else the exit status. Says what is wrong. Release with pipeline_args_fini(). */
int pipeline_args(struct pipeline_args *a, int argc, char **argv);
void pipeline_args_fini(struct pipeline_args *a);

/* cmd_usage() for `pipeline VERB`. */
int pipeline_usage(const char *verb, const char *what);

/* Say what failed, with code and advice; the exit status that fits. */
int pipeline_report(const char *verb, int rc);

/* The same for options: all problems that there are, a line each, instead of the first. */
int pipeline_report_options(const char *verb, int rc, const struct pipe_problems *problems);

/* A number of the environment (docs/pipeline.md), 1 to 3600000; 0: not given. */
uint64_t pipeline_number(const char *variable);

/* Paths among a job's options are of the directory in which they were said, wherever it goes on. */
int pipeline_absolute(json_t *options);

/* Make a job of file and settings; prints its id unless quiet. */
int pipeline_make(const struct pipeline_args *a, char id[PIPE_ID_BYTES]);

#endif
