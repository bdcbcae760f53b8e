/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Orders for a job that another process runs: files in its directory, complete from the moment they
 * are seen (written aside, then renamed), taken in the order of their names, which begin with the
 * time, and removed once they are obeyed. A process that runs a job looks here whenever it waits.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "pipeline/pipe_job.h"

#define ORDER_MAX_BYTES (64u << 10)

int pipe_job_leave_order(const char *root, const char *id, const json_t *order, char **path)
{
	CLEANUP_FREE char *dir = NULL;
	struct timespec t;
	int rc;

	*path = NULL;
	clock_gettime(CLOCK_REALTIME, &t);
	if (asprintf(&dir, "%s/%s/orders", root, id) < 0)
		return fail(ENOMEM, "memory for an order");
	if (asprintf(path, "%s/%012lld.%09ld-%d.json", dir, (long long)t.tv_sec, t.tv_nsec,
		     (int)getpid()) < 0)
		return fail(ENOMEM, "memory for an order");
	rc = io_mkdir(dir, 0700);
	return rc < 0 ? rc : json_write_file(*path, order);
}

static int is_order(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return n > 5 && e->d_name[0] != '.' && strcmp(e->d_name + n - 5, ".json") == 0;
}

/* The oldest name, or "" for none. */
static void oldest(const char *dir, char *out, size_t bytes)
{
	struct dirent **found = NULL;
	int n = scandir(dir, &found, is_order, alphasort);

	out[0] = '\0';
	if (n > 0)
		snprintf(out, bytes, "%s", found[0]->d_name);
	for (int i = 0; i < n; i++)
		free(found[i]);
	free(found);
}

int pipe_job_next_order(const struct pipe_job *j, char **path, json_t **order)
{
	CLEANUP_FREE char *dir = pipe_job_path(j, "orders");
	CLEANUP_FREE char *text = NULL;
	char name[256];
	size_t bytes;
	int rc;

	*path = NULL;
	*order = NULL;
	if (!dir)
		return -ENOMEM;
	oldest(dir, name, sizeof(name));
	if (!*name)
		return 0;
	if (asprintf(path, "%s/%s", dir, name) < 0)
		return fail(ENOMEM, "memory for an order");
	rc = io_read_file(*path, ORDER_MAX_BYTES, &text, &bytes);
	return rc < 0 ? rc : json_parse(text, bytes, *path, order);
}
