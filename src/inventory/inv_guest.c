/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's own files. Its paths are resolved by the kernel as if dir were the root, so a link of
 * the guest leads to the guest's file or nowhere (openat2, RESOLVE_IN_ROOT).
 */
#include "inventory/inv_guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/num.h"

#define SMALL_MAX_BYTES (256 * KIB)
#define NAMES_MAX	4096
#define ELF_HEAD_BYTES	20
#define PAGE_BYTES	4096

static int open_in(const struct inv_guest *g, const char *path, int flags)
{
	struct open_how how = {.flags = (uint64_t)flags | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	long fd;

	do {
		fd = syscall(SYS_openat2, g->dir_fd, path, &how, sizeof(how));
	} while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	return fd < 0 ? -errno : (int)fd;
}

bool inv_guest_has(const struct inv_guest *g, const char *path)
{
	/* A link counts although it may lead to a file system that is not mounted. */
	CLEANUP_CLOSE int fd = open_in(g, path, O_PATH | O_NOFOLLOW);

	return fd >= 0;
}

const char *inv_guest_text(const struct inv_guest *g, const char *path, size_t max_bytes)
{
	CLEANUP_CLOSE int fd = open_in(g, path, O_RDONLY | O_NONBLOCK);
	struct stat st;
	char *text;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size < 0 ||
	    (uint64_t)st.st_size > max_bytes)
		return NULL;
	text = arena_alloc(g->arena, (size_t)st.st_size + 1);
	return io_pread(fd, text, (size_t)st.st_size, 0, path) < 0 ? NULL : text;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

size_t inv_guest_names(const struct inv_guest *g, const char *path, const char ***names)
{
	CLEANUP_CLOSE int fd = open_in(g, path, O_RDONLY | O_DIRECTORY);
	CLEANUP_CLOSEDIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	size_t count = 0;

	*names = NULL;
	if (!dir)
		return 0;
	steal_fd(&fd);
	while ((e = readdir(dir)) && count < NAMES_MAX)
		if (e->d_name[0] != '.')
			*arena_push(g->arena, names, &count) = arena_strdup(g->arena, e->d_name);
	if (count)
		qsort(*names, count, sizeof(**names), by_text);
	return count;
}

static int guest_open(struct inv_guest *g, struct arena *a, const char *dir)
{
	*g = (struct inv_guest){.arena = a, .dir_fd = io_open(dir, O_PATH | O_DIRECTORY, 0)};
	return min_of(g->dir_fd, 0);
}

static void guest_close(struct inv_guest *g)
{
	if (g->dir_fd >= 0)
		close(g->dir_fd);
}

#define CLEANUP_GUEST CLEANUP(guest_close)

static bool has_any(const struct inv_guest *g, const char *const paths[])
{
	for (; *paths; paths++)
		if (inv_guest_has(g, *paths))
			return true;
	return false;
}

bool inventory_is_root(const char *dir)
{
	static const char *const systems[] = {"/etc/os-release",	"/usr/lib/os-release",
					      "/etc/redhat-release",	"/etc/debian_version",
					      "/etc/SuSE-release",	"/etc/gentoo-release",
					      "/etc/slackware-version", NULL};
	static const char *const inits[] = {"/sbin/init", "/usr/sbin/init", "/lib/systemd/systemd",
					    "/usr/lib/systemd/systemd", NULL};
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_GUEST struct inv_guest g = {.dir_fd = -1};

	if (!a || guest_open(&g, a, dir) < 0)
		return false;
	/* On a separate /usr even init may be missing, but then the mount point of /usr is there.
	 */
	return has_any(&g, systems) && (has_any(&g, inits) || inv_guest_has(&g, "/etc/fstab"));
}

/* EM_X86_64 and its like, of the first program that is there; NULL when none can be read. */
static const char *architecture(const struct inv_guest *g)
{
	static const char *const programs[] = {"/usr/lib/systemd/systemd",
					       "/lib/systemd/systemd",
					       "/sbin/init",
					       "/bin/sh",
					       "/usr/bin/sh",
					       NULL};
	static const struct {
		unsigned machine;
		const char *name;
	} machines[] = {{62, "x86_64"}, {3, "i386"},   {183, "aarch64"}, {40, "arm"},
			{21, "ppc64"},	{22, "s390x"}, {243, "riscv"}};

	for (const char *const *p = programs; *p; p++) {
		CLEANUP_CLOSE int fd = open_in(g, *p, O_RDONLY | O_NONBLOCK);
		uint8_t head[ELF_HEAD_BYTES] = {0};
		struct cursor c = cursor_of(head, sizeof(head));
		unsigned machine;

		if (fd < 0 || io_pread(fd, head, sizeof(head), 0, *p) < 0 ||
		    memcmp(cursor_bytes(&c, 4), "\177ELF", 4))
			continue;
		cursor_skip(&c, 14);
		machine = head[5] == 2 ? cursor_be16(&c) : cursor_le16(&c);
		for (size_t i = 0; i < ARRAY_SIZE(machines); i++)
			if (machines[i].machine == machine)
				return machines[i].name;
		return "other";
	}
	return NULL;
}

static const char *first_line(struct arena *a, const char *text)
{
	return text ? arena_strndup(a, text, strcspn(text, "\r\n")) : NULL;
}

static json_t *os_release(const struct inv_guest *g)
{
	static const char *const old[] = {"/etc/redhat-release",    "/etc/SuSE-release",
					  "/etc/debian_version",    "/etc/gentoo-release",
					  "/etc/slackware-version", NULL};
	const char *text = inv_guest_text(g, "/etc/os-release", SMALL_MAX_BYTES);
	const char *name = NULL, *id = NULL, *version = NULL;

	if (!text)
		text = inv_guest_text(g, "/usr/lib/os-release", SMALL_MAX_BYTES);
	if (text) {
		id = inv_os_value(g->arena, text, "ID");
		version = inv_os_value(g->arena, text, "VERSION_ID");
		name = inv_os_value(g->arena, text, "PRETTY_NAME");
	}
	for (const char *const *p = old; !name && *p; p++)
		name = first_line(g->arena, inv_guest_text(g, *p, SMALL_MAX_BYTES));
	return json_pack("{s:o, s:o, s:o}", "id", inv_text(id), "version_id", inv_text(version),
			 "pretty_name", inv_text(name));
}

static size_t read_fstab(const struct inv_guest *g, struct inventory_fstab **list)
{
	const char *text = inv_guest_text(g, "/etc/fstab", MIB);
	size_t count = 0;

	*list = NULL;
	if (text)
		inventory_parse_fstab(g->arena, text, list, &count);
	return count;
}

static json_t *fstab(const struct inv_guest *g)
{
	struct inventory_fstab *list;
	size_t count = read_fstab(g, &list);
	json_t *json = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(json, json_pack("{s:o, s:o, s:o, s:o}", "spec",
						      inv_text(list[i].spec), "mountpoint",
						      inv_text(list[i].mountpoint), "type",
						      inv_text(list[i].type), "options",
						      inv_text(list[i].options)));
	return json;
}

/* The mark that a kernel leaves in the first page of a swap space which holds a suspended system.
 */
static bool is_suspended(const struct inv_guest *g, const char *path)
{
	static const char *const marks[] = {"S1SUSPEND", "S2SUSPEND", "ULSUSPEND", "LINHIB0001"};
	CLEANUP_CLOSE int fd = open_in(g, path, O_RDONLY | O_NONBLOCK);
	char mark[11] = {0};
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size < PAGE_BYTES ||
	    io_pread(fd, mark, sizeof(mark) - 1, PAGE_BYTES - 10, path) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
		if (!strncmp(mark, marks[i], strlen(marks[i])))
			return true;
	return false;
}

/* Swap files of the fstab, for partitions and volumes are looked at from outside. */
static json_t *suspended_files(const struct inv_guest *g)
{
	struct inventory_fstab *list;
	size_t count = read_fstab(g, &list);
	json_t *json = json_array();

	for (size_t i = 0; i < count; i++)
		if (!strcmp(list[i].type, "swap") && list[i].spec[0] == '/' &&
		    strncmp(list[i].spec, "/dev/", 5) && is_suspended(g, list[i].spec))
			json_array_append_new(json, inv_text(list[i].spec));
	return json;
}

int inventory_read_fstab(struct arena *a, const char *dir, struct inventory_fstab **list,
			 size_t *count)
{
	CLEANUP_GUEST struct inv_guest g = {.dir_fd = -1};
	const char *text;
	int rc = guest_open(&g, a, dir);

	*list = NULL;
	*count = 0;
	if (rc < 0)
		return rc;
	text = inv_guest_text(&g, "/etc/fstab", MIB);
	if (text)
		inventory_parse_fstab(a, text, list, count);
	return 0;
}

int inventory_guest(const char *dir, json_t **out)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_GUEST struct inv_guest g = {.dir_fd = -1};
	const char *host;
	int rc = a ? guest_open(&g, a, dir) : fail(ENOMEM, "inventory of %s", dir);

	if (rc < 0)
		return rc;
	if (!inventory_is_root(dir))
		return fail_code(ENOENT, "LINUX_ROOT_NOT_FOUND",
				 "%s holds no Linux root file system", dir);
	host = first_line(a, inv_guest_text(&g, "/etc/hostname", SMALL_MAX_BYTES));
	*out = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "os", os_release(&g), "hostname",
			 inv_text(host), "architecture", inv_text(architecture(&g)), "kernels",
			 inv_kernels(&g), "boot_loader", inv_boot_loader(&g), "fstab", fstab(&g),
			 "suspended_files", suspended_files(&g));
	return *out ? 0 : fail(ENOMEM, "inventory of %s", dir);
}
