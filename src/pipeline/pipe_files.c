/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a receiver's disks to files on this host. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
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
#include "pipeline/pipe_local.h"

#define COPY_BYTES (4u << 20)

json_t *sync_disks(const json_t *plan, const json_t *verify)
{
	json_t *out = json_array(), *planned = json_object_get(plan, "disks"), *disk;
	json_t *proved = json_object_get(verify, "disks");
	size_t i;

	json_array_foreach (planned, i, disk) {
		const char *root = pipe_option(json_array_get(proved, i), "root");
		json_t *d =
			json_pack("{s:o, s:o}", "index", json_u64(pipe_option_u64(disk, "index")),
				  "size_bytes", json_u64(pipe_option_u64(disk, "target_bytes")));

		if (*root)
			json_object_set_new(d, "root", json_string(root));
		json_array_append_new(out, d);
	}
	return out;
}

/* ---- from a file of our receiver ---- */

struct copy {
	struct course *c;
	const char *name;
	int from, to;
	uint64_t size_bytes;
	uint8_t *buf;
};

static int show_copy(struct copy *k, uint64_t at)
{
	k->c->progress.percent = (unsigned)(at * 100.0 / max_of(k->size_bytes, (uint64_t)1));
	return course_wait(k->c, 0);
}

static int copy_range(struct copy *k, uint64_t at, uint64_t end)
{
	int rc = 0;

	while (rc == 0 && at < end) {
		size_t n = (size_t)min_of(end - at, (uint64_t)COPY_BYTES);

		rc = io_pread(k->from, k->buf, n, at, k->name);
		if (rc == 0 && !io_is_zero(k->buf, n))
			rc = io_pwrite(k->to, k->buf, n, at, k->name);
		at += n;
		if (rc == 0)
			rc = show_copy(k, at);
	}
	return rc;
}

static int copy_sparse(struct copy *k)
{
	uint64_t at = 0;
	int rc = 0;

	while (rc == 0 && at < k->size_bytes) {
		off_t data = lseek(k->from, (off_t)at, SEEK_DATA), hole;

		if (data < 0 && errno == ENXIO)
			break;
		hole = data < 0 ? -1 : lseek(k->from, data, SEEK_HOLE);
		if (hole < 0)
			return fail(errno, "%s: find data", k->name);
		rc = copy_range(k, (uint64_t)data, (uint64_t)hole);
		at = (uint64_t)hole;
	}
	return rc;
}

static int copy_own(struct copy *k, const json_t *disk)
{
	CLEANUP_FREE char *dir = NULL;
	CLEANUP_FREE char *path = NULL;
	CLEANUP_CLOSE int fd = -1;
	uint64_t bytes;
	int rc = local_files_dir(k->c, &dir);

	if (rc < 0)
		return rc;
	if (asprintf(&path, "%s/disk%llu.raw", dir,
		     (unsigned long long)pipe_option_u64(disk, "index")) < 0)
		return fail(ENOMEM, "copy");
	fd = io_open(path, O_RDONLY, 0);
	if (fd < 0)
		return fd;
	rc = io_size(fd, path, &bytes);
	if (rc == 0 && bytes != k->size_bytes)
		rc = fail_code(EBADMSG, "DISK_SIZE_DIFFERS",
			       "%s has %llu bytes, the plan says %llu", path,
			       (unsigned long long)bytes, (unsigned long long)k->size_bytes);
	k->name = path;
	k->from = fd;
	return rc < 0 ? rc : copy_sparse(k);
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

int local_fetch_raw(struct course *c, const json_t *disk, const char *path)
{
	CLEANUP_FREE char *part = NULL;
	CLEANUP_FREE uint8_t *buf = malloc(COPY_BYTES);
	CLEANUP_CLOSE int fd = -1;
	struct copy k = {.c = c,
			 .name = path,
			 .size_bytes = pipe_option_u64(disk, "size_bytes"),
			 .buf = buf};
	int rc;

	if (!buf || asprintf(&part, "%s.new", path) < 0)
		return fail(ENOMEM, "%s", path);
	course_say(c, "disk %llu to %s", (unsigned long long)pipe_option_u64(disk, "index"), path);
	fd = k.to = io_open(part, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		return fd;
	if (ftruncate(fd, (off_t)k.size_bytes) < 0)
		return fail(errno, "%s", part);
	rc = local_own_receiver(c) ? copy_own(&k, disk) : fetch_nbd(&k, disk);
	if (rc == 0 && (fsync(fd) < 0 || rename(part, path) < 0))
		rc = fail(errno, "finish %s", path);
	return rc;
}

int local_describe(const json_t *disk, const char *format, const char *path, json_t *files)
{
	struct stat st;
	json_t *file;

	if (stat(path, &st) < 0)
		return fail(errno, "%s", path);
	file = json_pack("{s:s, s:s, s:O, s:O, s:o}", "path", path, "format", format, "disk",
			 json_object_get(disk, "index"), "size_bytes",
			 json_object_get(disk, "size_bytes"), "file_bytes",
			 json_u64((uint64_t)st.st_size));
	if (json_object_get(disk, "root"))
		json_object_set(file, "root", json_object_get(disk, "root"));
	return json_array_append_new(files, file) < 0 ? fail(ENOMEM, "%s", path) : 0;
}

int local_pack(struct course *c, const json_t *disk, const char *raw, const char *path,
	       json_t *files)
{
	(void)c;
	(void)disk;
	(void)raw;
	(void)files;
	return fail(ENOTSUP, "%s", path);
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
