/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A job in its directory; see pipe_job.h. */
#include "pipeline/pipe_job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/num.h"

bool pipe_job_incremental(const struct pipe_job *j)
{
	return !json_is_true(json_object_get(j->options, "run_once"));
}

char *pipe_job_path(const struct pipe_job *j, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", j->dir, name) < 0) {
		(void)fail(ENOMEM, "path of %s", name);
		return NULL;
	}
	return path;
}

static void copy_text(char *out, size_t bytes, const json_t *record, const char *key)
{
	const char *text = json_string_value(json_object_get(record, key));

	snprintf(out, bytes, "%s", text ? text : "");
}

static int take_job(struct pipe_job *j, const json_t *record)
{
	json_t *options = json_object_get(record, "options");

	if (!json_is_object(options))
		return fail_code(EBADMSG, "JOB_JOURNAL_DAMAGED", "it has no options");
	json_decref(j->options);
	j->options = json_incref(options);
	if (json_object_get(record, "created_s"))
		j->created_s = pipe_option_u64(record, "created_s");
	return 0;
}

static int take_state(struct pipe_job *j, const json_t *record)
{
	const char *state = pipe_option(record, "state"), *phase = pipe_option(record, "phase");

	if (!pipe_state_parse(state, &j->state) || !pipe_phase_parse(phase, &j->phase))
		return fail_code(EBADMSG, "JOB_JOURNAL_DAMAGED", "state \"%.20s\" is not known",
				 state);
	if (j->state != PIPE_IN_ERROR)
		j->error_code[0] = j->error_reason[0] = j->error_step[0] = '\0';
	return 0;
}

static int take_fact(struct pipe_job *j, const json_t *record)
{
	const char *key = pipe_option(record, "step");
	json_t *fact = json_object_get(record, "fact");

	if (!*key || !json_is_object(fact))
		return fail_code(EBADMSG, "JOB_JOURNAL_DAMAGED", "a step without a name or fact");
	return json_object_set(j->facts, key, fact) < 0 ? fail(ENOMEM, "step %s", key) : 0;
}

static void take_flag(const json_t *record, const char *key, bool *flag)
{
	const json_t *v = json_object_get(record, key);

	if (json_is_boolean(v))
		*flag = json_is_true(v);
}

/* Marks of the whole job: run, way, orders that stay. */
static int take_mark(struct pipe_job *j, const json_t *record)
{
	if (json_object_get(record, "run"))
		j->run = (unsigned)pipe_option_u64(record, "run");
	if (json_object_get(record, "began_s"))
		j->began_s = pipe_option_u64(record, "began_s");
	if (json_object_get(record, "produced"))
		j->produced = (unsigned)pipe_option_u64(record, "produced");
	if (json_object_get(record, "way"))
		copy_text(j->way, sizeof(j->way), record, "way");
	take_flag(record, "last_run", &j->last_run);
	take_flag(record, "no_sync", &j->no_sync);
	take_flag(record, "paused", &j->paused);
	take_flag(record, "cancelled", &j->cancelled);
	take_flag(record, "delete", &j->delete_after);
	return 0;
}

static int take_image(struct pipe_job *j, const json_t *record)
{
	json_t *image = json_object_get(record, "image");
	const char *gone = pipe_option(record, "removed");
	json_t *v;
	size_t i;

	if (json_is_object(image))
		return json_array_append(j->images, image) < 0
			       ? fail(ENOMEM, "memory for the record of an image")
			       : 0;
	json_array_foreach (j->images, i, v) {
		if (strcmp(pipe_option(v, "id"), gone) == 0)
			return json_array_remove(j->images, i);
	}
	return 0;
}

static int take_record(void *ctx, const json_t *record)
{
	struct pipe_job *j = ctx;
	const char *kind = pipe_option(record, "kind");

	if (strcmp(kind, "job") == 0)
		return take_job(j, record);
	if (strcmp(kind, "state") == 0)
		return take_state(j, record);
	if (strcmp(kind, "step") == 0)
		return take_fact(j, record);
	if (strcmp(kind, "mark") == 0)
		return take_mark(j, record);
	if (strcmp(kind, "image") == 0)
		return take_image(j, record);
	if (strcmp(kind, "error") == 0) {
		copy_text(j->error_code, sizeof(j->error_code), record, "code");
		copy_text(j->error_reason, sizeof(j->error_reason), record, "reason");
		copy_text(j->error_step, sizeof(j->error_step), record, "step");
		return 0;
	}
	return fail_code(EBADMSG, "JOB_JOURNAL_DAMAGED", "a record of kind \"%.20s\"", kind);
}

static int take_lock(struct pipe_job *j)
{
	CLEANUP_FREE char *path = pipe_job_path(j, "lock");
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (!path)
		return -ENOMEM;
	j->lock_fd = io_open(path, O_RDWR | O_CREAT, 0600);
	if (j->lock_fd < 0)
		return j->lock_fd;
	if (fcntl(j->lock_fd, F_OFD_SETLK, &whole) == 0)
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return fail_code(EBUSY, "JOB_RUNNING", "another pipeline works on job %s", j->id);
	return fail(errno, "lock %s", path);
}

bool pipe_job_is_run(const struct pipe_job *j)
{
	CLEANUP_FREE char *path = pipe_job_path(j, "lock");
	CLEANUP_CLOSE int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fd >= 0 && fcntl(fd, F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
}

int pipe_job_open(const char *root, const char *id, enum pipe_open how, struct pipe_job *out)
{
	CLEANUP_FREE char *path = NULL;
	int rc = 0;

	*out = (struct pipe_job){.lock_fd = -1, .journal.fd = -1};
	snprintf(out->id, sizeof(out->id), "%s", id);
	out->facts = json_object();
	out->images = json_array();
	if (asprintf(&out->dir, "%s/%s", root, id) < 0)
		out->dir = NULL;
	path = out->dir ? pipe_job_path(out, "journal") : NULL;
	if (!path || !out->facts || !out->images)
		rc = fail(ENOMEM, "job %s", id);
	if (rc == 0 && how == PIPE_WRITE)
		rc = take_lock(out);
	if (rc == 0)
		rc = how == PIPE_WRITE ? pipe_journal_open(path, take_record, out, &out->journal)
				       : pipe_journal_read(path, take_record, out);
	if (rc == 0 && !out->options && how == PIPE_READ)
		rc = fail_code(ENOENT, "InvalidJobId.NotFound", "%s holds no job", out->dir);
	if (rc < 0)
		pipe_job_close(out);
	return rc;
}

void pipe_job_close(struct pipe_job *j)
{
	pipe_journal_close(&j->journal);
	if (j->lock_fd >= 0)
		close(j->lock_fd);
	json_decref(j->options);
	json_decref(j->facts);
	json_decref(j->images);
	free(j->dir);
	*j = (struct pipe_job){.lock_fd = -1, .journal.fd = -1};
}

uint64_t pipe_job_next_run_s(const struct pipe_job *j)
{
	uint64_t hours = pipe_option_u64(j->options, "frequency_hours");

	return hours ? j->began_s + hours * 3600 : 0;
}

int pipe_job_record(struct pipe_job *j, json_t *record)
{
	CLEANUP_JSON json_t *kept = json_incref(record);
	int rc = pipe_journal_append(&j->journal, record);

	return rc < 0 ? rc : take_record(j, kept);
}

int pipe_job_set_state(struct pipe_job *j, enum pipe_state state, enum pipe_phase phase)
{
	if (j->state == state && j->phase == phase)
		return 0;
	return pipe_job_record(j,
			       json_pack("{s:s, s:s, s:s}", "kind", "state", "state",
					 pipe_state_name(state), "phase", pipe_phase_name(phase)));
}

int pipe_job_set_error(struct pipe_job *j, const char *step, const char *code, const char *reason)
{
	int rc = pipe_job_set_state(j, PIPE_IN_ERROR, PIPE_NO_PHASE);

	if (rc < 0)
		return rc;
	return pipe_job_record(j, json_pack("{s:s, s:s, s:o, s:o}", "kind", "error", "step", step,
					    "code", json_str(code), "reason", json_str(reason)));
}

json_t *pipe_job_fact(const struct pipe_job *j, const char *key)
{
	json_t *fact = json_object_get(j->facts, key);

	return fact && strcmp(pipe_option(fact, "status"), "undone") == 0 ? NULL : fact;
}

int pipe_job_set_fact(struct pipe_job *j, const char *key, const char *status, json_t *fact)
{
	CLEANUP_JSON json_t *copy = json_copy(fact);

	if (!copy || json_object_set_new(copy, "status", json_string(status)) < 0)
		return fail(ENOMEM, "step %s", key);
	return pipe_job_record(
		j, json_pack("{s:s, s:s, s:O}", "kind", "step", "step", key, "fact", copy));
}
