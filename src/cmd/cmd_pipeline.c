/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pipeline create, run, start, retry, cut-over, and the orders to jobs. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "cloud/cloud.h"
#include "cmd/cmd.h"
#include "cmd/cmd_pipeline.h"

#define CLEANUP_ARGS CLEANUP(pipeline_args_fini)

int cmd_pipeline_create(int argc, char **argv)
{
	CLEANUP_ARGS struct pipeline_args a;
	char id[PIPE_ID_BYTES] = "";
	int status = pipeline_args(&a, argc, argv);

	if (status >= 0)
		return status;
	status = pipeline_make(&a, id);
	if (status == CMD_DONE)
		printf("%s\n", id);
	return status;
}

/* ---- running ---- */

/* The one signal state there is: set in the handler, looked at in every wait. */
static volatile sig_atomic_t signalled;

static void on_signal(int number)
{
	signalled = number;
}

struct view {
	bool quiet, terminal;
	unsigned columns;
	char state[64];
	uint64_t line_ms;
};

static bool stop(void *ctx)
{
	(void)ctx;
	return signalled != 0;
}

static void show_terminal(const json_t *status)
{
	CLEANUP_FREE char *line = pipe_show_line(status);

	if (line)
		fprintf(stderr, "\r%.78s\033[K", line);
}

/* In a log: a line for each change of state, and one in ten seconds. */
static void show(void *ctx, const json_t *status)
{
	struct view *v = ctx;
	CLEANUP_FREE char *line = NULL;
	char state[64];
	bool same;

	if (v->quiet)
		return;
	if (v->terminal) {
		show_terminal(status);
		return;
	}
	snprintf(state, sizeof(state), "%s/%s", json_string_value(json_object_get(status, "state")),
		 json_string_value(json_object_get(status, "phase")));
	same = strcmp(state, v->state) == 0;
	if (same && clock_ms() - v->line_ms < 10000)
		return;
	snprintf(v->state, sizeof(v->state), "%s", state);
	v->line_ms = clock_ms();
	line = pipe_show_line(status);
	if (line)
		fprintf(stderr, "%s\n", line);
}

/* The receiver beside our own program, where there is one. */
static const char *receiver_beside(char *out, size_t bytes)
{
	ssize_t n = readlink("/proc/self/exe", out, bytes - 16);
	char *slash;

	if (n <= 0)
		return NULL;
	out[n] = '\0';
	slash = strrchr(out, '/');
	if (!slash)
		return NULL;
	memcpy(slash + 1, "receiver", sizeof("receiver"));
	return access(out, X_OK) == 0 ? out : NULL;
}

/* What a running job needs of us; lives as long as it runs. */
struct run {
	struct view view;
	struct pipe_outside outside;
	struct cloud_options cloud;
	char receiver[4096];
};

static int run_init(struct run *r)
{
	uint64_t ms = pipeline_number("COLDLIFT_CLOUD_POLL_MS");

	r->outside = (struct pipe_outside){
		.changed = show,
		.stop = stop,
		.ctx = &r->view,
		.poll_ms = ms && ms < 1000 ? ms : 0,
		.cloud_poll_ms = ms,
		.hour_s = pipeline_number("COLDLIFT_HOUR_S"),
		.cloud = &r->cloud,
		.receiver_path = receiver_beside(r->receiver, sizeof(r->receiver)),
	};
	return cloud_options_from_environment(&r->cloud);
}

static void say_handout(const struct pipeline_args *a, const char *id)
{
	if (!a->quiet)
		fprintf(stderr, "job %s; what the source needs will be in %s/%s/handout.txt\n", id,
			a->root, id);
}

/* In the background: own session, output to the job's log. The parent returns with the exit status,
 * the child with -1. */
static int detach(const struct pipeline_args *a, const char *id)
{
	CLEANUP_FREE char *path = NULL;
	CLEANUP_CLOSE int log = -1;
	CLEANUP_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	pid_t pid;

	if (asprintf(&path, "%s/%s/log", a->root, id) < 0)
		return CMD_FAILED;
	log = io_open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (log < 0 || null < 0)
		return pipeline_report(a->verb, -EIO);
	pid = fork();
	if (pid < 0)
		return pipeline_report(a->verb, fail(errno, "start the process of the job"));
	if (pid > 0)
		return CMD_DONE;
	setsid();
	dup2(null, STDIN_FILENO);
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	return -1;
}

static int say_end(const struct pipeline_args *a, const char *id, const struct view *v, int rc)
{
	CLEANUP_JSON json_t *status = NULL;
	CLEANUP_JSON json_t *jobs = NULL;
	CLEANUP_FREE char *text = NULL;
	char code[64], reason[512];

	snprintf(code, sizeof(code), "%s", err_code());
	snprintf(reason, sizeof(reason), "%s", err_reason());
	if (v->terminal && !v->quiet)
		fputc('\n', stderr);
	if (!a->quiet && rc != -EPERM && pipe_status(a->root, id, &status) == 0) {
		jobs = json_pack("[O]", status);
		text = pipe_show_table(jobs, 80);
		if (text)
			fputs(text, stdout);
	}
	err_adopt(code, reason);
	if (rc == -ECANCELED && signalled) {
		fprintf(stderr, "pipeline: ended by a signal; pipeline start %s goes on\n", id);
		return CMD_TRY_AGAIN;
	}
	return pipeline_report(a->verb, rc);
}

int cmd_pipeline_run(int argc, char **argv)
{
	CLEANUP_ARGS struct pipeline_args a;
	struct sigaction action = {.sa_handler = on_signal};
	struct run r = {.view.terminal = isatty(STDERR_FILENO)};
	char id[PIPE_ID_BYTES] = "";
	enum pipe_verb verb = PIPE_START;
	int status = pipeline_args(&a, argc, argv), rc;

	if (status >= 0)
		return status;
	if (strcmp(a.verb, "retry") == 0)
		verb = PIPE_RETRY;
	if (strcmp(a.verb, "cut-over") == 0)
		verb = PIPE_CUTOVER;
	if (!a.job && strcmp(a.verb, "run") == 0) {
		status = pipeline_make(&a, id);
		if (status != CMD_DONE)
			return status;
	} else if (!a.job) {
		return pipeline_usage(a.verb, "say which job");
	} else {
		rc = pipe_find(a.root, a.job, id);
		if (rc < 0)
			return pipeline_report(a.verb, rc);
	}
	say_handout(&a, id);
	if (a.detach) {
		status = detach(&a, id);
		if (status >= 0)
			return status;
		r.view.terminal = false;
	}
	r.view.quiet = a.quiet;
	rc = run_init(&r);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	r.outside.no_sync =
		verb == PIPE_CUTOVER && json_is_false(json_object_get(a.settings, "sync"));
	r.outside.now = a.now;
	if (rc == 0)
		rc = pipe_run(a.root, id, verb, &r.outside);
	/* A job that waits for its next run in another process is told there. */
	if (rc == -EBUSY && (verb == PIPE_CUTOVER || (verb == PIPE_START && a.now)) &&
	    strcmp(err_code(), "JOB_RUNNING") == 0)
		rc = pipe_order(a.root, id, verb, a.settings, &r.outside);
	return say_end(&a, id, &r.view, rc);
}

/* ---- orders ---- */

int cmd_pipeline_tidy(int argc, char **argv)
{
	CLEANUP_ARGS struct pipeline_args a;
	struct run r = {.view.quiet = true};
	int status = pipeline_args(&a, argc, argv), rc;
	size_t count = 0;

	if (status >= 0)
		return status;
	rc = run_init(&r);
	if (rc == 0)
		rc = pipe_tidy(a.root, &r.outside, &count);
	if (!a.quiet)
		printf("%zu expired jobs deleted\n", count);
	return pipeline_report(a.verb, rc);
}

int cmd_pipeline_order(int argc, char **argv)
{
	static const enum pipe_verb verbs[] = {PIPE_MODIFY, PIPE_PAUSE,	 PIPE_RESUME,
					       PIPE_STOP,   PIPE_CANCEL, PIPE_DELETE};
	CLEANUP_ARGS struct pipeline_args a;
	struct run r = {.view.quiet = true};
	struct sigaction action = {.sa_handler = on_signal};
	enum pipe_verb verb = PIPE_MODIFY;
	struct pipe_problems problems = {.count = 0};
	CLEANUP_JSON json_t *changes = NULL;
	char id[PIPE_ID_BYTES] = "";
	int status = pipeline_args(&a, argc, argv), rc = 0;

	if (status >= 0)
		return status;
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
		if (strcmp(a.verb, pipe_verb_name(verbs[i])) == 0)
			verb = verbs[i];
	}
	if (a.job_file)
		rc = json_read_file(a.job_file, &changes);
	if (rc == 0 && !changes)
		changes = json_object();
	if (rc == 0 && json_object_update(changes, a.settings) < 0)
		rc = fail(ENOMEM, "memory for the changes");
	if (rc == 0)
		rc = pipeline_absolute(changes);
	if (!a.job || (verb == PIPE_MODIFY) != (json_object_size(changes) > 0))
		return pipeline_usage(a.verb,
				      verb == PIPE_MODIFY
					      ? "say which job, and KEY=VALUE what is to change"
					      : "say which job, and nothing else");
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	if (rc == 0)
		rc = run_init(&r);
	if (rc == 0)
		rc = pipe_find(a.root, a.job, id);
	if (rc == 0 && verb == PIPE_MODIFY)
		rc = pipe_modify_check(a.root, id, changes, &problems);
	if (rc == 0)
		rc = pipe_order(a.root, id, verb, verb == PIPE_MODIFY ? changes : NULL, &r.outside);
	return pipeline_report_options(a.verb, rc, &problems);
}
