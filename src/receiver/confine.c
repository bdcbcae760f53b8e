/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The user and the capabilities; confine_filter.c has the system calls. */
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/num.h"
#include "receiver/confine_private.h"

#define NOBODY 65534 /* where there is no list of users, as in the live image */

static int unknown(const char *name, const char *why)
{
	return fail_code(EINVAL, "USER_UNKNOWN", "the receiver cannot become the user %s: %s", name,
			 why);
}

int confine_find_user(const char *name, struct confine_user *out)
{
	const struct passwd *p;
	uint64_t number;

	*out = (struct confine_user){.change = geteuid() == 0, .uid = NOBODY, .gid = NOBODY};
	if (!out->change)
		return name ? unknown(name, "it was not started by root") : 0;
	if (name && num_parse(name, 1, UINT32_MAX - 1, &number) == 0) {
		out->uid = (uid_t)number;
		out->gid = (gid_t)number;
		return 0;
	}
	p = getpwnam(name ? name : "nobody");
	if (p) {
		out->uid = p->pw_uid;
		out->gid = p->pw_gid;
	} else if (name) {
		return unknown(name, "there is none of this name");
	}
	return out->uid == 0 ? unknown(name, "that would be root") : 0;
}

/* Exactly these, of those that it has. */
static int keep_capabilities(uint32_t kept)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data) < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(data); i++) {
		data[i].permitted &= i == 0 ? kept : 0;
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	/* Ambient ones go with the inheritable ones. */
	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

static int become(const struct confine_user *user, uint32_t capabilities)
{
	int rc = 0;

	/* Capabilities outlive the change of the user only when that is said, and as permitted. */
	if (user->change && capabilities && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		rc = -errno;
	if (rc == 0 && user->change &&
	    (setgroups(0, NULL) < 0 || setresgid(user->gid, user->gid, user->gid) < 0 ||
	     setresuid(user->uid, user->uid, user->uid) < 0))
		rc = -errno;
	if (rc == 0)
		rc = keep_capabilities(capabilities);
	if (rc == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		rc = -errno;
	if (rc == 0 && user->change && setuid(0) == 0)
		rc = -EPERM;
	return rc;
}

static int failed(int rc, const char *what)
{
	return rc < 0 ? fail_code(rc, "CONFINE_FAILED", "%s: %s", what, strerror(-rc)) : 0;
}

int confine_user(const struct confine_user *user)
{
	return failed(become(user, 0), "the receiver cannot give up its privileges");
}

int confine_server(void)
{
	return failed(filter_install(FILTER_SERVER),
		      "this kernel cannot keep the receiver from opening files");
}

int confine_keeper(const struct confine_user *user, bool override)
{
	int rc = become(user, override ? 1u << CAP_DAC_OVERRIDE : 0);

	if (rc == 0)
		rc = filter_install(FILTER_KEEPER);
	return failed(rc, "the receiver's keeper cannot give up its privileges");
}
