/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a receiver's disks to files on this host. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/num.h"
#include "image/image.h"
#include "pipeline/pipe_local.h"

#define COPY_BYTES (4u << 20)
#define LOOK_MS	   100

/* What the source's disk did not give and the job allowed: zeros on the target. */
static uint64_t unreadable_bytes(const json_t *proved)
{
	json_t *holes = json_object_get(proved, "holes"), *hole;
	uint64_t total = 0;
	size_t i;

	json_array_foreach (holes, i, hole)
		total += pipe_option_u64(hole, "bytes");
	return total;
}

/* One disk, or NULL with a reason. */
static json_t *sync_disk(const json_t *planned, const json_t *proved)
{
	const char *root = pipe_option(proved, "merkle_root");
	uint64_t index, bytes, lost = unreadable_bytes(proved);
	json_t *out;

	if (json_get_u64(planned, "index", &index) < 0 ||
	    json_get_u64(planned, "target_bytes", &bytes) < 0)
		return NULL;
	if (index >= PIPE_DISKS_MAX || bytes == 0) {
		fail(EINVAL, "a disk of %llu bytes at number %llu", (unsigned long long)bytes,
		     (unsigned long long)index);
		return NULL;
	}
	out = json_pack("{s:o, s:o}", "index", json_u64(index), "size_bytes", json_u64(bytes));
	/* A target that is larger than the plan's disk has the root of all of it. */
	if (*root && pipe_option_u64(proved, "size_bytes") == bytes)
		json_object_set_new(out, "root", json_string(root));
	if (lost)
		json_object_set_new(out, "unreadable_bytes", json_u64(lost));
	return out;
}

int sync_disks(const json_t *plan, const json_t *verify, json_t **out)
{
	CLEANUP_JSON json_t *list = json_array();
	json_t *planned = json_object_get(plan, "disks"), *disk;
	size_t i, count = json_array_size(planned);

	*out = NULL;
	if (count == 0 || count > PIPE_DISKS_MAX)
		return fail_code(EINVAL, "PLAN_BAD", "the receiver's plan names %zu disks", count);
	json_array_foreach (planned, i, disk) {
		json_t *one = sync_disk(disk, json_array_get(json_object_get(verify, "disks"), i));

		if (!one)
			return fail_code(EINVAL, "PLAN_BAD", "the receiver's plan: %s",
					 err_reason());
		if (*pipe_option(verify, "digest"))
			json_object_set(one, "digest", json_object_get(verify, "digest"));
		json_array_append_new(list, one);
	}
	*out = steal_ptr(&list);
	return 0;
}

struct copy {
	struct course *c;
	const char *name;
	int to;
	uint64_t size_bytes;
	uint8_t *buf;
};

static int show_copy(struct copy *k, uint64_t at)
{
	course_progress(k->c, at, k->size_bytes);
	return course_wait(k->c, 0);
}

/* ---- from another's receiver, over NBD ---- */

static int fetch_extent(struct copy *k, struct wire_nbd *nbd, uint64_t at,
			const struct wire_extent *e)
{
	uint64_t end = min_of(at + e->length_bytes, k->size_bytes);
	int rc = 0;

	while (rc == 0 && at < end && !e->zero) {
		size_t n = (size_t)min_of(end - at, (uint64_t)COPY_BYTES);
		struct wire_request r = {.command = NBD_CMD_READ,
					 .offset_bytes = at,
					 .length_bytes = (uint32_t)n,
					 .into = k->buf};
		struct wire_done done;

		rc = wire_nbd_call(nbd, &r, &done);
		if (rc == 0 && !io_is_zero(k->buf, n))
			rc = io_pwrite(k->to, k->buf, n, at, k->name);
		at += n;
		if (rc == 0)
			rc = show_copy(k, at);
	}
	return rc;
}

static int fetch_nbd(struct copy *k, const json_t *disk)
{
	struct wire_activation *a = &k->c->activation;
	char name[WIRE_EXPORT_MAX];
	struct wire_nbd_options o = {.host = a->host,
				     .port = a->data_port,
				     .export_name = name,
				     .pin = a->pin,
				     .no_extension = true,
				     .window = 1,
				     .timeout_ms = 60000};
	struct wire_extent extents[64];
	struct wire_nbd *nbd = NULL;
	uint64_t at = 0;
	int rc = course_link(k->c);

	if (rc < 0)
		return rc;
	wire_export_name(a->token, (unsigned)pipe_option_u64(disk, "index"), name);
	rc = wire_nbd_open(&o, &nbd);
	if (rc == 0 && wire_nbd_info(nbd)->size_bytes != k->size_bytes)
		rc = fail_code(EBADMSG, "DISK_SIZE_DIFFERS", "the receiver's disk has %llu bytes",
			       (unsigned long long)wire_nbd_info(nbd)->size_bytes);
	while (rc == 0 && at < k->size_bytes) {
		uint32_t length = (uint32_t)min_of(k->size_bytes - at, (uint64_t)(1u << 30));
		struct wire_request r = {.command = NBD_CMD_BLOCK_STATUS,
					 .offset_bytes = at,
					 .length_bytes = length,
					 .extents = extents,
					 .extent_max = ARRAY_SIZE(extents)};
		struct wire_done done = {.extent_count = 1};

		extents[0] = (struct wire_extent){.length_bytes = length};
		if (wire_nbd_info(nbd)->block_status_ok)
			rc = wire_nbd_call(nbd, &r, &done);
		for (unsigned i = 0; rc == 0 && i < done.extent_count; i++) {
			rc = fetch_extent(k, nbd, at, &extents[i]);
			at += extents[i].length_bytes;
		}
	}
	wire_nbd_close(nbd);
	return rc;
}

static int fetch(struct course *c, const json_t *disk, const char *path)
{
	CLEANUP_FREE uint8_t *buf = malloc(COPY_BYTES);
	CLEANUP_CLOSE int fd = io_open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	struct copy k = {.c = c,
			 .name = path,
			 .to = fd,
			 .size_bytes = pipe_option_u64(disk, "size_bytes"),
			 .buf = buf};

	if (fd < 0)
		return fd;
	if (!buf)
		return fail(ENOMEM, "%s", path);
	course_say(c, "fetch disk %llu", (unsigned long long)pipe_option_u64(disk, "index"));
	return ftruncate(fd, (off_t)k.size_bytes) < 0 ? fail(errno, "%s", path)
						      : fetch_nbd(&k, disk);
}

/* ---- and into images ---- */

int local_disk_open(struct course *c, const json_t *disk, const char *fetched)
{
	unsigned long long index = pipe_option_u64(disk, "index");
	CLEANUP_FREE char *dir = NULL;
	CLEANUP_FREE char *path = NULL;
	CLEANUP_CLOSE int fd = -1;
	uint64_t bytes, want = pipe_option_u64(disk, "size_bytes");
	int rc = local_files_dir(c, &dir);

	if (rc == 0 && local_own_receiver(c))
		rc = asprintf(&path, "%s/disk%llu.raw", dir, index) < 0
			     ? fail(ENOMEM, "memory for the path of a disk")
			     : 0;
	else if (rc == 0)
		rc = fetch(c, disk, fetched);
	if (rc < 0)
		return rc;
	fd = io_open(path ? path : fetched, O_RDONLY, 0);
	if (fd < 0)
		return fd;
	rc = io_size(fd, path ? path : fetched, &bytes);
	if (rc == 0 && bytes != want)
		rc = fail_code(EBADMSG, "DISK_SIZE_DIFFERS",
			       "disk %llu has %llu bytes, the plan says %llu", index,
			       (unsigned long long)bytes, (unsigned long long)want);
	return rc < 0 ? rc : steal_fd(&fd);
}

/* That the disk was verified by. */
static enum wire_digest_kind digest_of(const json_t *disk)
{
	enum wire_digest_kind kind = WIRE_DIGEST_XXH3_128;

	(void)wire_digest_named(pipe_option(disk, "digest"), &kind);
	return kind;
}

static int describe(const json_t *disk, const char *format, const char *path,
		    const struct image_result *result, json_t *files)
{
	char root[2 * MERKLE_ROOT_BYTES + 1];

	hex_encode(result->root, MERKLE_ROOT_BYTES, root);
	return json_array_append_new(
		       files, json_pack("{s:s, s:s, s:O, s:o, s:o, s:s, s:s, s:b}", "path", path,
					"format", format, "disk", json_object_get(disk, "index"),
					"size_bytes", json_u64(result->image_bytes), "file_bytes",
					json_u64(result->file_bytes), "digest",
					wire_digest_name(digest_of(disk)), "root", root, "proved",
					*pipe_option(disk, "root") != 0)) < 0
		       ? fail(ENOMEM, "%s", path)
		       : 0;
}

static int watch_packing(void *ctx, uint64_t done_bytes)
{
	struct local_packing *k = ctx;
	uint64_t now = clock_ms();
	int rc;

	if (now - k->looked_ms < LOOK_MS)
		return 0;
	k->looked_ms = now;
	course_progress(k->course, k->before_bytes + done_bytes, k->total_bytes);
	rc = course_wait(k->course, 0);
	while (rc == 0 && k->course->job->paused)
		rc = course_wait(k->course, LOOK_MS);
	return rc;
}

/* What was verified, for the source; *proof stays NULL where nothing was. */
static int prove_by(struct course *c, const json_t *disk, struct image_source *source,
		    struct image_proof **proof)
{
	CLEANUP_FREE char *leaves = pipe_job_path(c->job, "verify.leaves");
	const char *text = pipe_option(disk, "root");
	uint8_t root[MERKLE_ROOT_BYTES];

	if (!*text)
		return 0;
	if (!leaves)
		return -ENOMEM;
	if (hex_decode(text, root, sizeof(root)) < 0)
		return fail_code(EBADMSG, "PROOF_INVALID", "verify.json has no root of %s",
				 source->name);
	return image_proof_open(root, access(leaves, F_OK) == 0 ? leaves : NULL,
				(unsigned)pipe_option_u64(disk, "index"), source, proof);
}

int local_pack(struct local_packing *k, const json_t *disk, int fd, const char *format,
	       const char *path, json_t *files)
{
	struct course *c = k->course;
	unsigned long long index = pipe_option_u64(disk, "index");
	struct image_options options = {.watch = watch_packing, .watch_ctx = k};
	struct image_proof *proof = NULL;
	struct image_result result;
	char name[32];
	enum wire_digest_kind digest = digest_of(disk);
	struct image_source source = {.fd = fd,
				      .name = name,
				      .disk_bytes = pipe_option_u64(disk, "size_bytes"),
				      .digest_kind = (enum image_digest)digest,
				      .digest = wire_digest_of(digest)};
	int rc = image_format_parse(format, &options.format);

	snprintf(name, sizeof(name), "disk %llu", index);
	if (rc < 0)
		return fail(-rc, "format %s", format);
	course_say(c, "disk %llu into a %s file", index, format);
	rc = prove_by(c, disk, &source, &proof);
	if (rc == 0)
		rc = image_write_file(&source, &options, path, &result);
	image_proof_close(proof);
	k->before_bytes += source.disk_bytes;
	return rc < 0 ? rc : describe(disk, format, path, &result, files);
}

/* ---- away with it ---- */

static int remove_at(int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), rc = 0;
	struct dirent *e;
	DIR *dir;

	if (fd < 0) {
		/* ENOENT is what is wanted; everything else that is no directory is unlinked. */
		if (errno == ENOENT || unlinkat(parent, name, 0) == 0)
			return 0;
		return fail(errno, "remove %s", name);
	}
	dir = fdopendir(fd);
	if (!dir) {
		rc = fail(errno, "remove %s", name);
		close(fd);
		return rc;
	}
	while (rc == 0 && (e = readdir(dir))) {
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			rc = remove_at(fd, e->d_name);
	}
	closedir(dir);
	if (rc == 0 && unlinkat(parent, name, AT_REMOVEDIR) < 0)
		rc = fail(errno, "remove %s", name);
	return rc;
}

int pipe_remove_tree(const char *path)
{
	return remove_at(AT_FDCWD, path);
}
