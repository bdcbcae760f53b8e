/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Appending drivers to the guest's initramfs images; see prep_boot.h. */
#include "prepare/prep_boot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"

#define MODULE_MAX_BYTES ((size_t)64 << 20)
#define KEEP_FREE_BYTES	 (1 * MIB)

static int read_index(const struct guest *g, const char *dir, const char *name, char **text)
{
	char path[512];
	int rc;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	rc = guest_read(g, path, MODULES_FILE_MAX_BYTES, text, NULL);
	return rc == -ENOENT ? 0 : rc;
}

/* Read the guest's /lib/modules/VERSION. -ENOENT when it has none. */
static int read_modules(struct arena *a, const struct guest *g, const char *version,
			struct module_tree *out)
{
	CLEANUP_FREE char *dep = NULL, *builtin = NULL, *alias = NULL, *softdep = NULL;
	const char *dir = arena_printf(a, "/lib/modules/%s", version);
	int rc;

	*out = (struct module_tree){.arena = a};
	if (!guest_exists(g, dir))
		return fail(ENOENT, "%s of the guest", dir);
	rc = read_index(g, dir, "modules.dep", &dep);
	if (rc == 0)
		rc = read_index(g, dir, "modules.builtin", &builtin);
	if (rc == 0)
		rc = read_index(g, dir, "modules.alias", &alias);
	if (rc == 0)
		rc = read_index(g, dir, "modules.softdep", &softdep);
	if (rc < 0)
		return rc;
	modules_parse_dep(out, dep ? dep : "");
	modules_parse_builtin(out, builtin ? builtin : "");
	modules_parse_alias(out, alias ? alias : "");
	modules_parse_softdep(out, softdep ? softdep : "");
	return 0;
}

struct module_reader {
	const struct guest *guest;
	const char *version;
};

static int read_module(void *ctx, const char *path, char **data, size_t *bytes)
{
	const struct module_reader *r = ctx;
	char full[1024];

	if (snprintf(full, sizeof(full), "/lib/modules/%s/%s", r->version, path) >=
	    (int)sizeof(full))
		return fail(ENAMETOOLONG, "module %s of the guest", path);
	return guest_read(r->guest, full, MODULE_MAX_BYTES, data, bytes);
}

static int64_t read_image(void *ctx, uint64_t offset_bytes, void *buf, size_t bytes)
{
	ssize_t n;

	do {
		n = pread(*(int *)ctx, buf, bytes, (off_t)offset_bytes);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? fail(errno, "read the image at byte %" PRIu64, offset_bytes) : n;
}

static int check_room(int fd, const char *path, uint64_t need_bytes)
{
	struct statvfs v;
	char have[32], need[32];
	uint64_t free_bytes;

	if (fstatvfs(fd, &v))
		return fail(errno, "free space around %s of the guest", path);
	free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
	if (free_bytes >= need_bytes + KEEP_FREE_BYTES)
		return 0;
	return fail_code(ENOSPC, "GUEST_BOOT_FULL",
			 "%s needs %s more for drivers and its file system has %s free. Remove an "
			 "old kernel on the source, then try again.",
			 path, num_bytes_text(need_bytes, need, sizeof(need)),
			 num_bytes_text(free_bytes, have, sizeof(have)));
}

/* Behind the last segment come at least eight zeros, which end an lz4 frame for the kernel, up to
 * a multiple of sixteen. */
static int append(int fd, const char *path, const struct boot_survey *survey,
		  const struct cpio_writer *segment)
{
	static const uint8_t zeros[32];
	uint64_t size_bytes, at_bytes;
	int rc = io_size(fd, path, &size_bytes);

	if (rc < 0)
		return rc;
	at_bytes = round_up(max_of(size_bytes, survey->shape.content_bytes + 8), 16);
	rc = check_room(fd, path, at_bytes - size_bytes + segment->used);
	if (rc == 0)
		rc = io_pwrite(fd, zeros, at_bytes - size_bytes, size_bytes, path);
	if (rc == 0)
		rc = io_pwrite(fd, segment->data, segment->used, at_bytes, path);
	if (rc == 0 && fsync(fd))
		rc = fail(errno, "sync %s", path);
	if (rc < 0 && ftruncate(fd, (off_t)size_bytes))
		return fail_in(rc, "%s is cut short", path);
	return rc;
}

static void describe(char *text, size_t room, const struct name_list *names)
{
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < names->count && used + 1 < room; i++)
		used += (size_t)snprintf(text + used, room - used, "%s%s", i ? " " : "",
					 names->list[i]);
}

struct image_job {
	struct guest *guest;
	struct prep_report *report;
	struct arena *arena;
	const struct module_tree *tree;
	const char *version;
	const char *path;
};

static int survey_image(const struct image_job *j, int fd, struct boot_survey *out)
{
	struct initrd_input input = {.read = read_image, .ctx = &fd, .name = j->path};

	return boot_survey(j->arena, &input, j->version, out);
}

/* What was written is read again as the kernel will read it. */
static int check_image(const struct image_job *j, int fd, const struct name_list *added)
{
	struct boot_survey after;
	int rc = survey_image(j, fd, &after);

	if (rc < 0)
		return fail_in(rc, "after adding drivers");
	for (size_t i = 0; i < added->count; i++)
		if (!modules_find(&after.have, added->list[i]))
			return fail_code(EIO, "INITRAMFS_DAMAGED",
					 "%s: %s is not in it after it was added", j->path,
					 added->list[i]);
	return 0;
}

static int extend_image(const struct image_job *j, int fd, const struct boot_survey *survey,
			const struct name_list *missing)
{
	struct module_reader reader = {.guest = j->guest, .version = j->version};
	CLEANUP(cpio_writer_fini) struct cpio_writer segment = {0};
	CLEANUP_CLOSE int out = -1;
	char names[300], size[32];
	int rc = boot_segment(j->tree, survey, missing, read_module, &reader, &segment);

	if (rc == 0)
		rc = guest_allow_writes(j->guest, fd);
	if (rc < 0)
		return rc;
	out = guest_open(j->guest, j->path, O_RDWR, 0);
	if (out < 0)
		return out;
	rc = append(out, j->path, survey, &segment);
	if (rc == 0)
		rc = check_image(j, out, missing);
	if (rc < 0)
		return rc;
	describe(names, sizeof(names), missing);
	report_note(j->report->repaired, j->path, "drivers added (%s): %s",
		    num_bytes_text(segment.used, size, sizeof(size)), names);
	return 0;
}

static int repair_image(const struct image_job *j)
{
	CLEANUP_CLOSE int fd = guest_open(j->guest, j->path, O_RDONLY | O_NONBLOCK, 0);
	struct name_list missing = {0};
	struct boot_survey survey;
	const char *lacks;
	int rc;

	if (fd < 0)
		return fd;
	rc = survey_image(j, fd, &survey);
	if (rc < 0)
		return rc;
	if (!boot_missing(j->tree, &survey, &missing, &lacks))
		return fail_code(ENODEV, "GUEST_NO_VIRTIO",
				 "kernel %s has no %s, neither built in nor as a module, and "
				 "cannot boot on the target. Install a kernel with virtio on the "
				 "source, then try again.",
				 j->version, lacks);
	if (missing.count == 0) {
		report_note(j->report->skipped, j->path, "has all drivers of the target");
		return 0;
	}
	if (!survey.has_loader)
		report_warn(j->report, "INITRAMFS_NO_LOADER", j->path,
			    "has no modprobe; drivers are added, but nothing may load them");
	return extend_image(j, fd, &survey, &missing);
}

/* A kernel that boots without an image must have its drivers built in. */
static int check_imageless(struct prep_report *r, const struct module_tree *tree,
			   const struct boot_kernel *k)
{
	if (modules_is_builtin(tree, "virtio_blk") && modules_is_builtin(tree, "virtio_pci"))
		report_note(r->skipped, k->path, "needs no initramfs: virtio is built in");
	else
		report_warn(r, "KERNEL_NO_INITRAMFS", k->path,
			    "has no initramfs that could be found and no virtio built in; it "
			    "will not boot on the target");
	return 0;
}

static int repair_kernel(struct guest *g, struct prep_report *r, const struct boot_kernel *k)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	struct module_tree tree;
	int rc;

	if (!a)
		return fail(ENOMEM, "kernel %s", k->version);
	rc = read_modules(a, g, k->version, &tree);
	if (rc == -ENOENT) {
		report_warn(r, "KERNEL_WITHOUT_MODULES", k->path,
			    "/lib/modules/%s does not exist: left over from a removed kernel; not "
			    "touched",
			    k->version);
		return 0;
	}
	if (rc < 0)
		return rc;
	if (k->image_count == 0)
		return check_imageless(r, &tree, k);
	for (size_t i = 0; i < k->image_count; i++) {
		struct image_job j = {
			.guest = g,
			.report = r,
			.arena = a,
			.tree = &tree,
			.version = k->version,
			.path = k->images[i],
		};
		char code[ERR_CODE_MAX], reason[ERR_REASON_MAX];

		rc = repair_image(&j);
		if (rc == 0)
			continue;
		snprintf(code, sizeof(code), "%s", *err_code() ? err_code() : "REPAIR_FAILED");
		snprintf(reason, sizeof(reason), "%s", err_reason());
		rc = report_problem(r, rc, code, k->images[i], "%.380s", reason);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int boot_repair(struct guest *g, struct prep_report *r)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	struct boot_kernels kernels;
	int rc;

	if (!a)
		return fail(ENOMEM, "memory for the kernels of the guest");
	rc = boot_kernels_find(a, g, r, &kernels);
	if (rc == 0 && kernels.count == 0)
		report_warn(r, "GUEST_NO_KERNEL", "/boot", "no kernel was found; nothing is added");
	for (size_t i = 0; rc == 0 && i < kernels.count; i++)
		rc = repair_kernel(g, r, &kernels.list[i]);
	return rc;
}
