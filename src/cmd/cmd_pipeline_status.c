/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pipeline status: all jobs or one, once or until all is through; as a table, JSON or a page. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "cmd/cmd.h"
#include "cmd/cmd_pipeline.h"

static int look(const struct pipeline_args *a, json_t **jobs)
{
	char id[PIPE_ID_BYTES] = "";
	json_t *one = NULL;
	int rc;

	if (!a->job)
		return pipe_status_all(a->root, jobs);
	rc = pipe_find(a->root, a->job, id);
	if (rc == 0)
		rc = pipe_status(a->root, id, &one);
	if (rc == 0)
		*jobs = json_pack("[o]", one);
	return rc;
}

static int put_json(const struct pipeline_args *a, const json_t *jobs)
{
	const json_t *what = a->job ? json_array_get(jobs, 0) : jobs;
	/* While watching each look is a line. */
	CLEANUP_FREE char *text =
		a->watch ? json_dumps(what, JSON_COMPACT | JSON_SORT_KEYS) : json_text(what);

	if (!text)
		return fail(ENOMEM, "memory for the jobs' status");
	printf(a->watch ? "%s\n" : "%s", text);
	return fflush(stdout) ? fail(errno, "write to standard output") : 0;
}

static unsigned columns(void)
{
	struct winsize w;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col ? w.ws_col : 80;
}

/* Over what is there, line by line, so that nothing flickers; no more lines than fit. */
static void put_screen(const char *text)
{
	struct winsize w;
	unsigned rows = ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_row ? w.ws_row : 24, row;

	fputs("\033[H", stdout);
	for (row = 1; row < rows && *text; row++) {
		size_t n = strcspn(text, "\n");

		if (row + 1 == rows && text[n] && text[n + 1]) {
			fputs("... and more: pipeline status JOB\033[K\n", stdout);
			break;
		}
		printf("%.*s\033[K\n", (int)n, text);
		text += n + (text[n] == '\n');
	}
	fputs("\033[J", stdout);
}

static int put_html(const struct pipeline_args *a, const json_t *jobs)
{
	CLEANUP_FREE char *text = pipe_show_html(jobs);

	return text ? io_replace_file(a->html, text, strlen(text), 0644)
		    : fail(ENOMEM, "memory for the jobs' status");
}

static int put_table(const struct pipeline_args *a, const json_t *jobs, char **last)
{
	bool terminal = isatty(STDOUT_FILENO);
	CLEANUP_FREE char *text = pipe_show_table(jobs, columns());

	if (!text)
		return fail(ENOMEM, "memory for the jobs' status");
	if (a->watch && terminal)
		put_screen(text);
	/* In a log only what changed. */
	else if (!a->watch || !*last || strcmp(*last, text) != 0)
		fputs(text, stdout);
	fflush(stdout);
	free(*last);
	*last = steal_ptr(&text);
	return 0;
}

static int put(const struct pipeline_args *a, const json_t *jobs, char **last)
{
	if (a->html)
		return put_html(a, jobs);
	return a->json ? put_json(a, jobs) : put_table(a, jobs, last);
}

/* The exit status says what is worst: a failed job, one that is not through, or nothing. */
static int judge(const json_t *jobs, bool *through)
{
	int status = CMD_DONE;
	size_t i;
	json_t *job;

	*through = true;
	json_array_foreach ((json_t *)jobs, i, job) {
		const char *state = json_string_value(json_object_get(job, "state"));

		if (strcmp(state, "InError") == 0 || strcmp(state, "Expired") == 0)
			status = CMD_FAILED;
		else if (strcmp(state, "Finished") != 0 && status == CMD_DONE)
			status = CMD_TRY_AGAIN;
		if (strcmp(state, "Running") == 0 || strcmp(state, "Deleting") == 0 ||
		    json_is_true(json_object_get(job, "running")))
			*through = false;
	}
	return status;
}

int cmd_pipeline_status(int argc, char **argv)
{
	CLEANUP(pipeline_args_fini) struct pipeline_args a;
	CLEANUP_FREE char *last = NULL;
	int status = pipeline_args(&a, argc, argv), rc = 0;
	bool through = true;

	if (status >= 0)
		return status;
	do {
		CLEANUP_JSON json_t *jobs = NULL;

		rc = look(&a, &jobs);
		if (rc == 0)
			rc = put(&a, jobs, &last);
		if (rc < 0)
			return pipeline_report(a.verb, rc);
		status = judge(jobs, &through);
		if (a.watch && !through)
			nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
	} while (a.watch && !through);
	/* Asked for one job, the exit status speaks of it; a table of all is just shown. */
	return a.job ? status : CMD_DONE;
}
