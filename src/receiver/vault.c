/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the numbers of the vault stand for, and opening it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"
#include "receiver/vault_private.h"

#define ENTRY_BYTES 64 /* longest name in one of the directories, with ".new" */

static const char *const artefacts[] = {
	"inventory.json", "job.json",	   "plan.json",	      "prepare.json",  "map.txt",
	"verify.json",	  "handover.json", "copy-state.json", "verify.leaves",
};

/* For the resolver of names, for TLS, and for how much may be held in memory. */
static const char *const host_files[] = {
	"/etc/resolv.conf",
	"/etc/hosts",
	"/proc/meminfo",
	"/etc/ssl/certs/ca-certificates.crt", /* Debian, Ubuntu, Alpine, Arch */
	"/etc/pki/tls/certs/ca-bundle.crt",   /* Red Hat and its kin */
	"/etc/ssl/ca-bundle.pem",	      /* SUSE */
	"/etc/ssl/cert.pem",
};

int vault_host(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(host_files); i++)
		if (strcmp(path, host_files[i]) == 0)
			return (int)i;
	return -1;
}

int vault_artefact(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(artefacts); i++)
		if (strcmp(name, artefacts[i]) == 0)
			return (int)i;
	return -1;
}

/* The directory and the name in it; devices have a path instead: -1. -EINVAL: no such thing. */
static int place_of(const struct vault *v, enum vault_kind kind, unsigned index, int *dir_fd,
		    char entry[ENTRY_BYTES])
{
	*dir_fd = v->artefacts_fd;
	switch (kind) {
	case VAULT_DISK:
		*dir_fd = v->files_fd;
		snprintf(entry, ENTRY_BYTES, "disk%u.raw", index);
		return 0;
	case VAULT_JOURNAL:
		*dir_fd = v->state_fd;
		snprintf(entry, ENTRY_BYTES, "disk%u.journal", index);
		return 0;
	case VAULT_TOKEN:
		*dir_fd = v->state_fd;
		snprintf(entry, ENTRY_BYTES, "token.json");
		return 0;
	case VAULT_LOG:
		snprintf(entry, ENTRY_BYTES, "source.log");
		return 0;
	case VAULT_ARTEFACT:
		if (index >= ARRAY_SIZE(artefacts))
			return -EINVAL;
		snprintf(entry, ENTRY_BYTES, "%s", artefacts[index]);
		return 0;
	case VAULT_ORDER:
		*dir_fd = v->state_fd;
		snprintf(entry, ENTRY_BYTES, "images.json");
		return 0;
	case VAULT_UPLOAD:
		*dir_fd = v->state_fd;
		snprintf(entry, ENTRY_BYTES, "disk%u.upload", index);
		return 0;
	case VAULT_HOST:
	case VAULT_KINDS:
		break;
	}
	return -EINVAL;
}

const char *vault_name(const struct vault *v, enum vault_kind kind, unsigned index,
		       char buf[VAULT_NAME_BYTES])
{
	char entry[ENTRY_BYTES] = "?";
	int dir_fd;

	if (kind == VAULT_DISK && !v->o.files_dir) {
		snprintf(buf, VAULT_NAME_BYTES, "%s",
			 index < v->o.device_count ? v->o.devices[index] : "no device");
		return buf;
	}
	place_of(v, kind, index, &dir_fd, entry);
	snprintf(buf, VAULT_NAME_BYTES, "%.4000s/%s%s",
		 kind == VAULT_DISK ? v->o.files_dir : v->o.state_dir,
		 dir_fd == v->artefacts_fd ? "artefacts/" : "", entry);
	return buf;
}

/*
 * One that the keeper opened before it gave up the right to. That for writing, which is exclusive,
 * is handed over: a keeper that outlives a killed server for a moment must not hold its disks.
 */
static int take_device(struct vault *v, unsigned index, enum vault_how how)
{
	int *kept = &v->devices[index * VAULT_HOWS + how], fd = *kept;

	if (fd < 0)
		return fd;
	if (how == VAULT_WRITE) {
		*kept = -EBUSY;
		return fd;
	}
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

static int open_device(struct vault *v, unsigned index, enum vault_how how)
{
	static const int flags[] = {
		[VAULT_READ] = O_RDONLY,
		/* Exclusive: not while it is mounted or belongs to something. */
		[VAULT_WRITE] = O_RDWR | O_EXCL,
		[VAULT_DIRECT_WRITE] = O_WRONLY | O_DIRECT,
		[VAULT_DIRECT_READ] = O_RDONLY | O_DIRECT,
		[VAULT_HOWS] = 0,
	};
	struct stat st;
	int fd;

	if (index >= v->o.device_count || how == VAULT_NEW || how == VAULT_CREATE)
		return -EINVAL;
	if (v->devices)
		return take_device(v, index, how);
	fd = open(v->o.devices[index], flags[how] | O_CLOEXEC);
	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISBLK(st.st_mode))) {
		close(fd);
		return -ENOTBLK;
	}
	return fd < 0 ? -errno : fd;
}

int vault_open_devices(struct vault *v)
{
	size_t count = v->o.device_count * VAULT_HOWS;
	int *devices = calloc(count + 1, sizeof(*devices));

	if (!devices)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		devices[i] = open_device(v, (unsigned)(i / VAULT_HOWS), i % VAULT_HOWS);
	v->devices = devices;
	return 0;
}

static int open_host(unsigned number)
{
	struct stat st;
	int fd = number < ARRAY_SIZE(host_files)
			 ? open(host_files[number], O_RDONLY | O_CLOEXEC | O_NONBLOCK)
			 : -EINVAL;

	if (fd < 0)
		return fd == -EINVAL ? fd : -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EACCES;
	}
	return fd;
}

/* Made when it is not there, and then its name is durable. */
static int create_entry(int dir_fd, const char *entry)
{
	int fd = openat(dir_fd, entry, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	if (fd >= 0 || errno != ENOENT)
		return fd < 0 ? -errno : fd;
	fd = openat(dir_fd, entry, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && fsync(dir_fd) < 0) {
		int error = errno;

		close(fd);
		errno = error;
		fd = -1;
	}
	return fd < 0 ? -errno : fd;
}

int vault_open_here(struct vault *v, enum vault_kind kind, unsigned index, enum vault_how how)
{
	char entry[ENTRY_BYTES];
	int dir_fd, fd, flags = O_RDONLY, rc;
	struct stat st;

	if (kind == VAULT_HOST)
		return how == VAULT_READ ? open_host(index) : -EINVAL;
	rc = place_of(v, kind, index, &dir_fd, entry);
	if (rc < 0)
		return rc;
	if (kind == VAULT_DISK && !v->o.files_dir)
		return open_device(v, index, how);
	switch (how) {
	case VAULT_READ:
		break;
	case VAULT_WRITE:
		flags = O_RDWR;
		break;
	case VAULT_DIRECT_WRITE:
		flags = O_WRONLY | O_DIRECT;
		break;
	case VAULT_DIRECT_READ:
		flags = O_RDONLY | O_DIRECT;
		break;
	case VAULT_NEW:
		strcat(entry, ".new");
		flags = O_RDWR | O_CREAT | O_TRUNC;
		break;
	case VAULT_CREATE:
		flags = -1;
		break;
	case VAULT_HOWS:
		return -EINVAL;
	}
	fd = flags < 0 ? create_entry(dir_fd, entry)
		       : openat(dir_fd, entry, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (fd < 0)
		return flags < 0 ? fd : -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -ENOTSUP;
	}
	return fd;
}

int vault_commit_here(struct vault *v, enum vault_kind kind, unsigned index)
{
	char entry[ENTRY_BYTES], fresh[ENTRY_BYTES + 4];
	int dir_fd, rc = place_of(v, kind, index, &dir_fd, entry);

	if (rc < 0)
		return rc;
	snprintf(fresh, sizeof(fresh), "%s.new", entry);
	return renameat(dir_fd, fresh, dir_fd, entry) < 0 || fsync(dir_fd) < 0 ? -errno : 0;
}

static int open_dir(const char *path, int *fd)
{
	*fd = io_open(path, O_RDONLY | O_DIRECTORY, 0);
	return min_of(*fd, 0);
}

int vault_start(const struct vault_options *o, bool keeper, struct vault **out)
{
	struct vault *v = calloc(1, sizeof(*v));
	char artefacts_dir[4200];
	int rc;

	if (!v)
		return fail(ENOMEM, "memory for the vault");
	v->o = *o;
	v->state_fd = v->artefacts_fd = v->files_fd = v->keeper_fd = v->host_fd = -1;
	pthread_mutex_init(&v->lock, NULL);
	snprintf(artefacts_dir, sizeof(artefacts_dir), "%.4000s/artefacts", o->state_dir);
	rc = io_mkdir(artefacts_dir, 0700);
	if (rc == 0)
		rc = open_dir(o->state_dir, &v->state_fd);
	if (rc == 0)
		rc = open_dir(artefacts_dir, &v->artefacts_fd);
	if (rc == 0 && o->files_dir)
		rc = open_dir(o->files_dir, &v->files_fd);
	if (rc == 0 && keeper)
		rc = keeper_start(v);
	if (rc < 0) {
		vault_stop(v);
		return rc;
	}
	*out = v;
	return 0;
}

int vault_take_host_end(struct vault *v)
{
	return steal_fd(&v->host_fd);
}

void vault_stop(struct vault *v)
{
	if (!v)
		return;
	keeper_stop(v);
	for (size_t i = 0; i < 4; i++) {
		const int fds[] = {v->state_fd, v->artefacts_fd, v->files_fd, v->host_fd};

		if (fds[i] >= 0)
			close(fds[i]);
	}
	pthread_mutex_destroy(&v->lock);
	free(v);
}

int vault_open(struct vault *v, enum vault_kind kind, unsigned index, enum vault_how how)
{
	char name[VAULT_NAME_BYTES];
	int fd = v->keeper_fd >= 0 ? keeper_open(v, kind, index, how)
				   : vault_open_here(v, kind, index, how);

	if (fd >= 0 || fd == -ENOENT)
		return fd;
	return fail(fd, "open %s", vault_name(v, kind, index, name));
}

bool vault_has(struct vault *v, enum vault_kind kind, unsigned index)
{
	CLEANUP_CLOSE int fd = vault_open(v, kind, index, VAULT_READ);

	return fd >= 0;
}

int vault_commit(struct vault *v, enum vault_kind kind, unsigned index)
{
	char name[VAULT_NAME_BYTES];
	int rc = v->keeper_fd >= 0 ? keeper_commit(v, kind, index)
				   : vault_commit_here(v, kind, index);

	return rc < 0 ? fail(rc, "put a new %s in its place", vault_name(v, kind, index, name)) : 0;
}

int vault_replace(struct vault *v, enum vault_kind kind, unsigned index, const void *data,
		  size_t bytes)
{
	CLEANUP_CLOSE int fd = vault_open(v, kind, index, VAULT_NEW);
	char name[VAULT_NAME_BYTES];
	int rc;

	vault_name(v, kind, index, name);
	if (fd < 0)
		return fail(fd, "write %s", name);
	rc = io_write(fd, data, bytes, name);
	if (rc == 0 && fsync(fd) < 0)
		rc = fail(errno, "sync %s", name);
	return rc < 0 ? rc : vault_commit(v, kind, index);
}

int vault_read(struct vault *v, enum vault_kind kind, unsigned index, size_t max_bytes, char **data,
	       size_t *bytes)
{
	CLEANUP_CLOSE int fd = vault_open(v, kind, index, VAULT_READ);
	CLEANUP_FREE char *text = NULL;
	char name[VAULT_NAME_BYTES];
	struct stat st;
	int rc;

	vault_name(v, kind, index, name);
	if (fd < 0)
		return fail(fd, "read %s", name);
	if (fstat(fd, &st) < 0)
		return fail(errno, "read %s", name);
	if ((uint64_t)st.st_size > max_bytes)
		return fail(EFBIG, "read %s: more than %zu bytes", name, max_bytes);
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return fail(ENOMEM, "read %s", name);
	rc = io_pread(fd, text, (size_t)st.st_size, 0, name);
	if (rc < 0)
		return rc;
	text[st.st_size] = '\0';
	*bytes = (size_t)st.st_size;
	*data = steal_ptr(&text);
	return 0;
}

uint64_t vault_free_bytes(const struct vault *v)
{
	struct statvfs st;

	if (v->files_fd < 0 || fstatvfs(v->files_fd, &st) < 0)
		return 0;
	return (uint64_t)st.f_bavail * st.f_frsize;
}
