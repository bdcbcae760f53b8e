/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "receiver/owner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/num.h"

/* Whether the name is WORD, or WORD with a number in the place of its '#'. */
static bool is_like(const char *name, const char *word)
{
	const char *number = strchr(word, '#');
	size_t n = number ? (size_t)(number - word) : 0, digits;

	if (!number)
		return strcmp(name, word) == 0;
	if (strncmp(name, word, n) != 0)
		return false;
	digits = strspn(name + n, "0123456789");
	return digits > 0 && strcmp(name + n + digits, number + 1) == 0;
}

/* What a receiver makes there. */
static bool is_ours(const char *name, bool state)
{
	static const char *const in_state[] = {
		"lock",
		"key.pem",
		"cert.pem",
		"token.json",
		"images.json",
		"disk#.journal",
		"disk#.upload",
		"artefacts",
		"key.pem.new",
		"cert.pem.new",
		"token.json.new",
		"images.json.new",
		"disk#.upload.new",
	};
	static const char *const in_files[] = {"disk#.raw", "lost+found"};
	const char *const *words = state ? in_state : in_files;
	size_t count = state ? ARRAY_SIZE(in_state) : ARRAY_SIZE(in_files);

	for (size_t i = 0; i < count; i++)
		if (is_like(name, words[i]))
			return true;
	return false;
}

/* Call fn for each entry; its first answer that is not 0. */
static int each_entry(int dir_fd, int (*fn)(void *ctx, int dir_fd, const char *name), void *ctx)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	CLEANUP_CLOSEDIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!dir)
		return -errno;
	while (rc == 0 && (e = readdir(dir)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			rc = fn(ctx, dir_fd, e->d_name);
	return rc;
}

struct handing {
	const struct confine_user *user;
	bool state;
};

static int stop_at_foreign(void *ctx, int dir_fd, const char *name)
{
	const struct handing *h = ctx;

	(void)dir_fd;
	return is_ours(name, h->state) ? 0 : 1;
}

static int give_entry(void *ctx, int dir_fd, const char *name)
{
	const struct handing *h = ctx;
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != 0 || st.st_nlink != 1)
		return 0;
	return fchownat(dir_fd, name, h->user->uid, h->user->gid, AT_SYMLINK_NOFOLLOW) < 0 ? -errno
											   : 0;
}

/* 0: it is the user's now; 1: it stays another's. */
static int hand_over(const char *path, struct handing *h, bool check)
{
	/* What nobody has checked is what stands there itself: the user may write beside it. */
	CLEANUP_CLOSE int fd = io_open(path, O_RDONLY | O_DIRECTORY | (check ? 0 : O_NOFOLLOW), 0);
	struct stat st;
	int rc;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return fail(errno, "%s", path);
	if (st.st_uid == h->user->uid)
		return 0;
	rc = st.st_uid != 0 ? 1 : check ? each_entry(fd, stop_at_foreign, h) : 0;
	/* The directory last: until then all is done again. */
	if (rc == 0)
		rc = each_entry(fd, give_entry, h);
	if (rc == 0 && fchown(fd, h->user->uid, h->user->gid) < 0)
		rc = -errno;
	return rc < 0 ? fail(rc, "make %s the keeper's", path) : rc;
}

static int settle(const char *path, bool state, struct owner *o)
{
	struct handing h = {.user = &o->user, .state = state};
	int rc = hand_over(path, &h, true);

	if (rc == 1) {
		o->override = true;
		log_warn("%s has other things in it, or is another's: the keeper keeps the right "
			 "to open any file; give the receiver a directory of its own",
			 path);
	}
	return min_of(rc, 0);
}

int owner_settle(const char *state_dir, const char *files_dir, struct owner *out)
{
	char artefacts[4200];
	struct stat st;
	int rc;

	*out = (struct owner){.user = {.change = geteuid() == 0}};
	if (!out->user.change)
		return 0;
	if (stat(state_dir, &st) < 0)
		return fail(errno, "%s", state_dir);
	out->user.uid = st.st_uid ? st.st_uid : OWNER_ID;
	out->user.gid = st.st_uid ? st.st_gid : OWNER_ID;
	snprintf(artefacts, sizeof(artefacts), "%.4000s/artefacts", state_dir);
	rc = io_mkdir(artefacts, 0700);
	/* Nobody else writes into it, so what is in it need not be looked at. It is root's also
	 * where somebody has emptied a state directory that had been handed over. */
	if (rc == 0) {
		struct handing h = {.user = &out->user};

		rc = min_of(hand_over(artefacts, &h, false), 0);
	}
	if (rc == 0)
		rc = settle(state_dir, true, out);
	if (rc == 0 && files_dir)
		rc = settle(files_dir, false, out);
	return rc;
}

/* The way to the directory may lead through others': to go through and to read, not to write. */
static int keep_search(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data) < 0)
		return -1;
	data[0].effective = data[0].permitted & 1u << CAP_DAC_READ_SEARCH;
	data[1].effective = 0;
	return (int)syscall(SYS_capset, &head, data);
}

int owner_enter(const struct owner *o)
{
	if (!o->user.change || o->override)
		return 0;
	if (setegid(o->user.gid) < 0 || seteuid(o->user.uid) < 0 || keep_search() < 0)
		return fail(errno, "become the user %u", (unsigned)o->user.uid);
	return 0;
}

int owner_leave(const struct owner *o)
{
	if (!o->user.change || o->override)
		return 0;
	if (seteuid(0) < 0 || setegid(0) < 0)
		return fail(errno, "become root again");
	return 0;
}
