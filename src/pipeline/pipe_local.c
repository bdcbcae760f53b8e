/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way without a cloud: a receiver of our own, or one that runs somewhere already, and files at
 * the end of the line.
 */
#include "pipeline/pipe_local.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/num.h"
#include "image/image.h"

bool local_own_receiver(const struct course *c)
{
	return course_is_way(c, "local") && !*pipe_option(c->job->options, "activation");
}

static char *option_or(const struct course *c, const char *key, const char *name)
{
	const char *given = pipe_option(c->job->options, key);
	char *out = *given ? strdup(given) : pipe_job_path(c->job, name);

	if (!out && *given)
		(void)fail(ENOMEM, "%s", key);
	return out;
}

int local_files_dir(const struct course *c, char **out)
{
	*out = option_or(c, "files", "disks");
	return *out ? 0 : -ENOMEM;
}

/* Where the images of this job go; free() it. */
static int output_dir(const struct course *c, char **out)
{
	const char *given = pipe_option(c->job->options, "output");

	/* Not in the job's directory, which a delete removes. */
	if (asprintf(out, "%s%s", *given ? given : c->root, *given ? "" : "/images") < 0)
		return fail(ENOMEM, "memory for the path of the images");
	return 0;
}

/* ---- our own receiver ---- */

static int receiver_make(struct course *c, json_t *fact)
{
	int rc = course_child_start(c);

	if (rc < 0)
		return rc;
	json_object_set_new(fact, "control_port", json_integer(c->activation.control_port));
	json_object_set_new(fact, "data_port", json_integer(c->activation.data_port));
	return 0;
}

/* Its state and disks are big, and only of this job. A directory that the operator named is not
 * removed, but what the receiver made in it is. */
static int remove_files(const char *dir, const char *suffix)
{
	for (unsigned i = 0; i < PIPE_DISKS_MAX; i++) {
		CLEANUP_FREE char *path = NULL;

		if (asprintf(&path, "%s/disk%u%s", dir, i, suffix) < 0)
			return fail(ENOMEM, "%s", dir);
		if (unlink(path) < 0 && errno != ENOENT)
			return fail(errno, "remove %s", path);
	}
	return 0;
}

static int receiver_undo(struct course *c, json_t *fact)
{
	CLEANUP_FREE char *files = NULL;
	CLEANUP_FREE char *state = pipe_job_path(c->job, "receiver");
	int rc = local_files_dir(c, &files);

	(void)fact;
	course_unlink(c);
	if (rc == 0)
		rc = course_child_forget(c);
	if (rc == 0 && !state)
		rc = -ENOMEM;
	if (rc == 0)
		rc = remove_files(files, ".raw");
	if (rc == 0 && !*pipe_option(c->job->options, "files"))
		rmdir(files);
	return rc < 0 ? rc : pipe_remove_tree(state);
}

const struct pipe_step local_receiver_step = {
	.name = "receiver",
	.phase = PIPE_PREPARING,
	.temporary = true,
	.costs = "the copied disks, room on this host",
	.wanted = local_own_receiver,
	.make = receiver_make,
	.undo = receiver_undo,
};

int course_activation(struct course *c)
{
	const char *given = pipe_option(c->job->options, "activation");
	int rc;

	if (local_own_receiver(c))
		return course_child_start(c);
	if (!*given)
		given = course_fact_text(c, "instance", "activation");
	rc = wire_activation_parse(given, &c->activation);
	c->activation_known = rc == 0;
	return rc;
}

/* ---- the transfer ---- */

/* Who wants proof against tampering gets that, or is told. */
static int check_proof(const struct course *c, const json_t *verify)
{
	const char *digest = pipe_option(verify, "digest");

	if (strcmp(pipe_option(c->job->options, "checksum"), "sha-256") != 0 ||
	    (strcmp(digest, "sha-256") == 0 && !json_is_false(json_object_get(verify, "verified"))))
		return 0;
	return fail_code(EBADMSG, "PROOF_LACKING",
			 "the job wants SHA-256 digests, and the source's run has %s%s",
			 *digest ? digest : "no verification",
			 json_is_false(json_object_get(verify, "verified")) ? ", not read back"
									    : "");
}

/* For a source that was given the code alone, as words of its kernel command line. */
static int offer_job(struct course *c)
{
	CLEANUP_JSON json_t *job = handout_source_job(c, NULL);
	CLEANUP_FREE char *text = job ? json_text(job) : NULL;
	unsigned lost = 0;
	int rc;

	if (!text)
		return fail(ENOMEM, "memory for the source's job");
	do {
		rc = wire_control_put(c->link, "/v1/artefact/job.json", text, strlen(text),
				      "application/json", NULL, NULL);
	} while (course_link_again(c, &lost, &rc));
	return rc;
}

static int sync_make(struct course *c, json_t *fact)
{
	CLEANUP_JSON json_t *verify = NULL;
	CLEANUP_JSON json_t *plan = NULL;
	CLEANUP_FREE char *leaves = NULL;
	size_t leaves_bytes = 0;
	json_t *disks;
	int rc = course_link(c), finished = 0;

	if (rc == 0)
		rc = sync_before(c, fact);
	if (rc == 0)
		rc = offer_job(c);
	if (rc < 0)
		return rc;
	course_command(c, false);
	course_say(c, "waiting for the source's data");
	while (rc == 0 && finished == 0) {
		finished = sync_once(c, fact);
		if (finished < 0)
			rc = finished;
		if (rc == 0)
			rc = course_child_check(c);
		if (rc == 0 && !finished)
			rc = course_wait(c, c->poll_ms);
	}
	if (rc == 0)
		rc = sync_take_artefact(c, "plan.json", &plan);
	if (rc == 0)
		rc = sync_take_artefact(c, "verify.json", &verify);
	if (rc == 0)
		rc = sync_fetch_artefact(c, "verify.leaves", &leaves, &leaves_bytes);
	if (rc == 0 && !plan)
		rc = fail_code(ENODATA, "PLAN_MISSING", "the receiver has no plan of the source");
	if (rc == 0)
		rc = check_proof(c, verify);
	if (rc < 0)
		return rc;
	rc = sync_disks(plan, verify, &disks);
	if (rc < 0)
		return rc;
	json_object_set_new(fact, "disks", disks);
	/* The receiver may be gone when something fails later. */
	sync_diagnostics(c);
	return 0;
}

const struct pipe_step sync_step = {
	.name = "sync",
	.phase = PIPE_SYNCING,
	.per_run = true,
	.make = sync_make,
};

/* ---- the images ---- */

/* Names are chosen at the intent, so that what a cancelled run left is found. */
static int local_image_intend(struct course *c, json_t *fact)
{
	const char *prefix = pipe_option(c->job->options, "image_name_prefix");
	CLEANUP_FREE char *dir = NULL;
	int rc = output_dir(c, &dir);

	if (rc < 0)
		return rc;
	json_object_set_new(
		fact, "stem",
		json_sprintf("%s/%s-%s-run%u", dir, prefix, c->job->id + 2, c->job->run));
	json_object_set_new(fact, "dir", json_string(dir));
	return 0;
}

static char *image_path(const json_t *fact, unsigned disk, const char *suffix)
{
	char *path;

	if (asprintf(&path, "%s-disk%u.%s", pipe_option(fact, "stem"), disk, suffix) < 0) {
		(void)fail(ENOMEM, "memory for the record of an image");
		return NULL;
	}
	return path;
}

/* Made by an earlier try, and still there. */
static bool is_made(const json_t *files, const char *path)
{
	const json_t *file;
	struct stat st;
	size_t i;

	json_array_foreach ((json_t *)files, i, file)
		if (strcmp(pipe_option(file, "path"), path) == 0)
			return stat(path, &st) == 0 &&
			       (uint64_t)st.st_size == pipe_option_u64(file, "file_bytes");
	return false;
}

static int disk_images(struct local_packing *k, json_t *fact, const json_t *disk)
{
	json_t *formats = json_object_get(k->course->job->options, "formats"), *format;
	json_t *files = json_object_get(fact, "files");
	unsigned index = (unsigned)pipe_option_u64(disk, "index");
	CLEANUP_FREE char *fetched = image_path(fact, index, "fetched");
	CLEANUP_CLOSE int fd = -1;
	int rc = fetched ? 0 : -ENOMEM;
	size_t i;

	json_array_foreach (formats, i, format) {
		const char *name = json_string_value(format);
		CLEANUP_FREE char *path = image_path(fact, index, name);

		if (rc == 0 && !path)
			rc = -ENOMEM;
		if (rc == 0 && is_made(files, path))
			k->before_bytes += pipe_option_u64(disk, "size_bytes");
		if (rc < 0 || is_made(files, path))
			continue;
		if (fd < 0)
			fd = local_disk_open(k->course, disk, fetched);
		rc = fd < 0 ? fd : local_pack(k, disk, fd, name, path, files);
		if (rc == 0)
			rc = course_keep(k->course, fact);
	}
	if (rc == 0 && unlink(fetched) < 0 && errno != ENOENT)
		rc = fail(errno, "remove %s", fetched);
	return rc;
}

static int local_image_make(struct course *c, json_t *fact)
{
	json_t *disks = json_object_get(course_fact(c, "sync"), "disks"), *disk;
	struct local_packing k = {.course = c};
	int rc = io_mkdir(pipe_option(fact, "dir"), 0700);
	size_t i;

	/* Nobody writes to the files while they are read; what arrived is then on the medium. */
	if (rc == 0 && local_own_receiver(c)) {
		course_unlink(c);
		rc = course_child_forget(c);
		c->activation_known = false;
	}
	if (!json_object_get(fact, "files"))
		json_object_set_new(fact, "files", json_array());
	json_array_foreach (disks, i, disk)
		k.total_bytes += pipe_option_u64(disk, "size_bytes") *
				 json_array_size(json_object_get(c->job->options, "formats"));
	json_array_foreach (disks, i, disk) {
		if (rc == 0)
			rc = disk_images(&k, fact, disk);
	}
	if (rc == -EBADMSG && strcmp(err_code(), "IMAGE_MEDIUM_DIFFERS") == 0)
		sync_again(c);
	return rc;
}

static int local_image_undo(struct course *c, json_t *fact)
{
	static const char *const suffixes[] = {"fetched", "raw", "qcow2"};

	(void)c;
	for (unsigned i = 0; i < PIPE_DISKS_MAX * ARRAY_SIZE(suffixes); i++) {
		CLEANUP_FREE char *path = image_path(fact, i / ARRAY_SIZE(suffixes),
						     suffixes[i % ARRAY_SIZE(suffixes)]);
		int rc = path ? image_file_forget(path) : -ENOMEM;

		if (rc < 0)
			return rc;
		if (unlink(path) < 0 && errno != ENOENT)
			return fail(errno, "remove %s", path);
	}
	return 0;
}

static bool is_local(const struct course *c)
{
	return course_is_way(c, "local");
}

const struct pipe_step local_image_step = {
	.name = "image-files",
	.phase = PIPE_PROCESSING,
	.per_run = true,
	.result = true,
	.wanted = is_local,
	.intend = local_image_intend,
	.make = local_image_make,
	.undo = local_image_undo,
};
