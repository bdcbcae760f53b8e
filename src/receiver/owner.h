/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whose the state directory and the files are: an unprivileged user's, whom the keeper becomes, so
 * that it needs no privilege to do its work. Private to receiver. Only while the process has one
 * thread.
 */
#ifndef RECEIVER_OWNER_H
#define RECEIVER_OWNER_H

#include "receiver/confine.h"

/* The user of what root's receiver makes, who is nobody else: of the range that no system gives
 * out. */
#define OWNER_ID 65533

struct owner {
	struct confine_user user; /* change false: this process is not root */
	bool override;		  /* not all of it is the user's: CAP_DAC_OVERRIDE is kept */
};

/*
 * Who is to be the keeper. A state directory of another user than root is that user's. One of root
 * is handed over to OWNER_ID, and so is a directory of files (NULL: devices) of root, when nothing
 * stands in them but what a receiver makes; else override is set, with a line in the log. What
 * stands in a directory that is the user's already is never handed over: the user may have put it
 * there.
 */
int owner_settle(const char *state_dir, const char *files_dir, struct owner *out);

/* As that user, and root again. Without effect when nobody is to be changed. */
int owner_enter(const struct owner *o);
int owner_leave(const struct owner *o);

#endif
