/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the source needs, handed out three ways: its activation code and job file, the words for its
 * kernel command line, and the lines that put them on a medium or a netboot server. And at the end
 * of a run, the report.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "pipeline/pipe_local.h"

json_t *handout_source_job(const struct course *c, const char *activation)
{
	const json_t *o = c->job->options;
	json_t *job = json_pack("{s:s*, s:o, s:o, s:s}", "activation", activation, "compression",
				json_u64(pipe_option_u64(o, "compression")), "rate_mbit",
				json_u64(pipe_option_u64(o, "rate_mbit")), "exit",
				pipe_option(o, "source_exit"));

	/* The default is true; a migrator of before knows no such key. */
	if (job && json_is_false(json_object_get(o, "diagnostics")))
		json_object_set_new(job, "diagnostics", json_false());
	if (job && *pipe_option(o, "name"))
		json_object_set_new(job, "name", json_string(pipe_option(o, "name")));
	if (job && strcmp(pipe_option(o, "checksum"), "sha-256") == 0)
		json_object_set_new(job, "digest", json_string("sha-256"));
	if (job && strcmp(pipe_option(o, "checksum"), "off") == 0)
		json_object_set_new(job, "verify", json_false());
	/* What only the source's own job knows: holes, allowed refusals, disks left out. */
	if (job && json_object_get(o, "source"))
		json_object_update_missing(job, json_object_get(o, "source"));
	return job;
}

static int write_text(const struct course *c, const char *name, const char *text)
{
	CLEANUP_FREE char *path = pipe_job_path(c->job, name);

	return path ? io_replace_file(path, text, strlen(text), 0600) : -ENOMEM;
}

static int write_lines(struct course *c, const char *activation, const char *job_path)
{
	CLEANUP_FREE char *text = NULL;
	const char *exit_word = pipe_option(c->job->options, "source_exit");
	int n = asprintf(
		&text,
		"# Job %s. The activation code is a secret: who has it can write to the "
		"receiver.\n\n"
		"# ISO or USB stick, in the folder where the image was built:\n"
		"iso/customize --activation %s --job %s --exit %s --output %s.iso "
		"build/coldlift.iso\n\n"
		"# Boot menu (key e), or PXE, behind the other words of the kernel command line; "
		"the source\n# then gets its job from the receiver:\n"
		"coldlift.activation=%s coldlift.exit=%s\n\n"
		"# The same with the job file on a server whose certificate the source can trust "
		"(put\n# %s there; it holds the code, too):\n"
		"coldlift.activation=%s coldlift.job=https://SERVER/job.json coldlift.exit=%s\n",
		c->job->id, activation, job_path, exit_word, c->job->id, activation, exit_word,
		job_path, activation, exit_word);

	return n < 0 ? fail(ENOMEM, "memory for what is handed out")
		     : write_text(c, "handout.txt", text);
}

static int handout_make(struct course *c, json_t *fact)
{
	CLEANUP_FREE char *path = pipe_job_path(c->job, "source-job.json");
	CLEANUP_FREE char *line = NULL;
	CLEANUP_JSON json_t *job = NULL;
	char code[WIRE_ACTIVATION_TEXT];
	int rc = path ? course_activation(c) : -ENOMEM;

	if (rc == 0)
		rc = wire_activation_encode(&c->activation, code);
	if (rc < 0)
		return rc;
	job = handout_source_job(c, code);
	if (!job || asprintf(&line, "%s\n", code) < 0)
		return fail(ENOMEM, "memory for what is handed out");
	rc = json_write_file(path, job);
	if (rc == 0)
		rc = write_text(c, "activation", line);
	if (rc == 0)
		rc = write_lines(c, code, path);
	json_object_set_new(fact, "host", json_string(c->activation.host));
	return rc;
}

const struct pipe_step handout_step = {
	.name = "handout",
	.phase = PIPE_PREPARING,
	.make = handout_make,
};

/* ---- the report ---- */

static bool has_image_of_run(const struct pipe_job *j)
{
	json_t *v;
	size_t i;

	json_array_foreach (j->images, i, v) {
		if (pipe_option_u64(v, "run") == j->run)
			return true;
	}
	return false;
}

static json_t *image_of_run(const struct course *c)
{
	json_t *disks = json_object_get(course_fact(c, "sync"), "disks");
	json_t *files = json_object_get(course_fact(c, "image-files"), "files");
	const char *id = course_fact_text(c, "import", "id");
	json_t *image = json_pack("{s:I, s:s, s:O*}", "run", (json_int_t)c->job->run, "way",
				  c->job->way, "disks", disks);

	if (!image)
		return NULL;
	if (*id) {
		json_object_set_new(image, "id", json_string(id));
		json_object_set_new(image, "name",
				    json_string(course_fact_text(c, "import", "name")));
		json_object_set_new(image, "region",
				    json_string(pipe_option(c->job->options, "storage_region")));
	} else {
		json_object_set_new(image, "id",
				    json_string(course_fact_text(c, "image-files", "stem")));
	}
	if (files)
		json_object_set(image, "files", files);
	return image;
}

static int remove_files_of(const json_t *image)
{
	json_t *files = json_object_get(image, "files"), *file;
	size_t i;

	json_array_foreach (files, i, file) {
		if (unlink(pipe_option(file, "path")) < 0 && errno != ENOENT)
			return fail(errno, "remove %s", pipe_option(file, "path"));
	}
	return 0;
}

/* At most as many images as the job keeps; the oldest go. */
static int retain_images(struct course *c)
{
	uint64_t keep = pipe_option_u64(c->job->options, "max_images");
	int rc = 0;

	while (rc == 0 && keep && json_array_size(c->job->images) > keep) {
		json_t *oldest = json_array_get(c->job->images, 0);
		const char *id = pipe_option(oldest, "id");

		course_say(c, "remove the oldest image, %s", id);
		rc = strcmp(pipe_option(oldest, "way"), "local") == 0 ? remove_files_of(oldest)
								      : cloud_remove_image(c, id);
		if (rc == 0)
			rc = pipe_job_record(
				c->job, json_pack("{s:s, s:s}", "kind", "image", "removed", id));
	}
	return rc;
}

static int report_make(struct course *c, json_t *fact)
{
	CLEANUP_FREE char *path = pipe_job_path(c->job, "image.json");
	CLEANUP_JSON json_t *report = NULL;
	json_t *image;
	int rc = path ? 0 : -ENOMEM;

	(void)fact;
	if (rc == 0 && !has_image_of_run(c->job)) {
		image = image_of_run(c);
		rc = image ? pipe_job_record(c->job, json_pack("{s:s, s:o}", "kind", "image",
							       "image", image))
			   : fail(ENOMEM, "memory for the report");
	}
	if (rc == 0)
		rc = retain_images(c);
	if (rc < 0)
		return rc;
	report = json_pack("{s:s, s:s, s:O, s:O}", "job", c->job->id, "way", c->job->way, "images",
			   c->job->images, "options", c->job->options);
	return report ? json_write_file(path, report) : fail(ENOMEM, "memory for the report");
}

const struct pipe_step report_step = {
	.name = "report",
	.phase = PIPE_PROCESSING,
	.per_run = true,
	.make = report_make,
};
