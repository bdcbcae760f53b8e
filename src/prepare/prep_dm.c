/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Device-mapper devices; see prep_dm.h. */
#include "prepare/prep_dm.h"

#include <errno.h>
#include <libdevmapper.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"

#define SECTOR_BYTES 512

static void cleanup_task(struct dm_task **t)
{
	if (*t)
		dm_task_destroy(*t);
}

#define CLEANUP_TASK CLEANUP(cleanup_task)

__attribute__((format(printf, 5, 6))) static void to_log(int level, const char *file, int line,
							 int class, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	(void)file;
	(void)line;
	(void)class;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* The library counts as syslog does; what it calls an error may be an answer to us. */
	if ((level & 7) <= 4)
		log_debug("devmapper: %s", text);
}

static struct dm_task *task_of(int type, const char *name)
{
	struct dm_task *t;

	dm_log_with_errno_init(to_log);
	dm_udev_set_sync_support(0);
	t = dm_task_create(type);
	if (t && name && !dm_task_set_name(t, name)) {
		dm_task_destroy(t);
		t = NULL;
	}
	return t;
}

static int task_error(struct dm_task *t)
{
	int errnum = t ? dm_task_get_errno(t) : 0;

	return errnum ? errnum : EIO;
}

/* Creates, or loads a table that takes effect when the device is resumed. */
static int set_table(int type, const char *name, const struct dm_line *lines, size_t count,
		     bool readonly)
{
	CLEANUP_TASK struct dm_task *t = task_of(type, name);

	if (!t || (type == DM_DEVICE_CREATE && !dm_task_set_add_node(t, DM_ADD_NODE_ON_CREATE)) ||
	    (readonly && !dm_task_set_ro(t)))
		return fail(ENOMEM, "device %s", name);
	for (size_t i = 0; i < count; i++) {
		const struct dm_line *l = &lines[i];

		if (!dm_task_add_target(t, l->offset_bytes / SECTOR_BYTES,
					l->length_bytes / SECTOR_BYTES, l->type, l->params))
			return fail(ENOMEM, "device %s", name);
	}
	if (!dm_task_run(t))
		return fail(task_error(t), "make device %s (%s %s)", name, lines[0].type,
			    lines[0].params);
	dm_task_update_nodes();
	return 0;
}

int dm_create(const char *name, const struct dm_line *lines, size_t count)
{
	return set_table(DM_DEVICE_CREATE, name, lines, count, false);
}

int dm_create_readonly(const char *name, const struct dm_line *line)
{
	return set_table(DM_DEVICE_CREATE, name, line, 1, true);
}

static int simple_task(int type, const char *name, const char *what)
{
	CLEANUP_TASK struct dm_task *t = task_of(type, name);

	/* Nothing is written here that a freeze of a file system would have to bring to an end. */
	if (!t || !dm_task_skip_lockfs(t) || !dm_task_no_flush(t) || !dm_task_run(t))
		return fail(task_error(t), "%s device %s", what, name);
	return 0;
}

int dm_replace_readonly(const char *name, const struct dm_line *line)
{
	int rc = set_table(DM_DEVICE_RELOAD, name, line, 1, true);

	if (rc == 0)
		rc = simple_task(DM_DEVICE_SUSPEND, name, "suspend");
	return rc < 0 ? rc : simple_task(DM_DEVICE_RESUME, name, "resume");
}

int dm_remove(const char *name, bool patient)
{
	CLEANUP_TASK struct dm_task *t = task_of(DM_DEVICE_REMOVE, name);

	if (!t || (patient && !dm_task_retry_remove(t)) || !dm_task_run(t))
		return fail(task_error(t), "remove device %s", name);
	dm_task_update_nodes();
	return 0;
}

int dm_first_line(const char *name, bool status, char *params, size_t params_bytes)
{
	CLEANUP_TASK struct dm_task *t = task_of(status ? DM_DEVICE_STATUS : DM_DEVICE_TABLE, name);
	char *type = NULL, *text = NULL;
	uint64_t start, length;
	struct dm_info info;

	if (!t || !dm_task_run(t) || !dm_task_get_info(t, &info))
		return fail(task_error(t), "look at device %s", name);
	if (!info.exists)
		return fail(ENXIO, "device %s", name);
	dm_get_next_target(t, NULL, &start, &length, &type, &text);
	snprintf(params, params_bytes, "%s", text ? text : "");
	return 0;
}

static bool is_wanted(const char *const prefixes[], const char *name)
{
	for (size_t i = 0; prefixes[i]; i++)
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

int dm_list(const char *const prefixes[], char ***names, size_t *count)
{
	CLEANUP_TASK struct dm_task *t = task_of(DM_DEVICE_LIST, NULL);
	struct dm_names *n;

	*names = NULL;
	*count = 0;
	if (!t || !dm_task_run(t))
		return fail(task_error(t), "list devices");
	n = dm_task_get_names(t);
	if (!n || !n->dev)
		return 0;
	for (;; n = (struct dm_names *)((char *)n + n->next)) {
		char **wider;

		if (is_wanted(prefixes, n->name)) {
			wider = realloc(*names, (*count + 1) * sizeof(**names));
			if (wider)
				*names = wider;
			if (!wider || !((*names)[*count] = strdup(n->name))) {
				dm_free_names(*names, *count);
				*names = NULL;
				*count = 0;
				return fail(ENOMEM, "memory for the list of devices");
			}
			++*count;
		}
		if (!n->next)
			return 0;
	}
}

void dm_free_names(char **names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(names[i]);
	free(names);
}
