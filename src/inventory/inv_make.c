/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The course of an inventory, and what all its parts use; see inventory.h. */
#include "inventory/inv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/num.h"

const char *inv_path(const struct inv *inv, char buf[PATH_MAX], const char *fmt, ...)
{
	size_t n = strlen(inv->root);
	va_list ap;
	int added;

	if (n >= PATH_MAX)
		return "";
	memcpy(buf, inv->root, n);
	va_start(ap, fmt);
	added = vsnprintf(buf + n, PATH_MAX - n, fmt, ap);
	va_end(ap);
	if (added < 0 || (size_t)added >= PATH_MAX - n)
		buf[0] = '\0';
	return buf;
}

static const char *trimmed(struct arena *a, char *text)
{
	size_t n;

	text += strspn(text, " \t");
	n = strlen(text);
	while (n && strchr(" \t\r\n", text[n - 1]))
		n--;
	return n ? arena_strndup(a, text, n) : NULL;
}

const char *inv_line(const struct inv *inv, const char *fmt, ...)
{
	char rest[PATH_MAX], path[PATH_MAX], line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(rest, sizeof(rest), fmt, ap);
	va_end(ap);
	if (io_read_line(inv_path(inv, path, "%s", rest), line, sizeof(line)) < 0)
		return NULL;
	return trimmed(inv->arena, line);
}

bool inv_number(const struct inv *inv, uint64_t *out, const char *fmt, ...)
{
	char rest[PATH_MAX];
	const char *line;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(rest, sizeof(rest), fmt, ap);
	va_end(ap);
	line = inv_line(inv, "%s", rest);
	return line && num_parse(line, 0, UINT64_MAX, out) == 0;
}

json_t *inv_text(const char *text)
{
	json_t *j;
	CLEANUP_FREE char *copy = NULL;
	bool odd = false;

	if (!text)
		return json_null();
	for (const char *c = text; *c; c++)
		odd |= (unsigned char)*c < ' ' || *c == 0x7f;
	j = odd ? NULL : json_string(text);
	if (j)
		return j;
	copy = strdup(text);
	for (char *c = copy; c && *c; c++)
		if (*c < ' ' || *c == 0x7f)
			*c = '?';
	return json_string(copy ? copy : "?");
}

json_t *inv_extents(const struct disk_extents *e)
{
	json_t *list = json_array();

	for (size_t i = 0; i < e->count; i++)
		json_array_append_new(list, json_pack("[o, o]", json_u64(e->list[i].offset_bytes),
						      json_u64(e->list[i].length_bytes)));
	return list;
}

void inv_problem(struct inv *inv, const char *code, const char *object, const char *what)
{
	json_array_append_new(inv->problems,
			      json_pack("{s:s, s:o, s:o}", "code", code, "object", inv_text(object),
					"what", inv_text(what ? what : err_reason())));
}

static void close_disks(struct inv *inv)
{
	for (size_t i = 0; i < inv->disk_count; i++)
		if (inv->disks[i].fd >= 0)
			close(inv->disks[i].fd);
}

int inventory_make(const struct inventory_options *options, json_t **out)
{
	static int (*const parts[])(struct inv *) = {inv_machine, inv_nics, inv_disks, inv_lvm,
						     inv_md};
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_JSON json_t *json = json_object();
	struct inv inv = {.arena = a,
			  .options = options,
			  .root = options->root ? options->root : "",
			  .json = json,
			  .problems = json_array()};
	int rc = 0;

	if (!a || !json || json_object_set_new(json, "problems", inv.problems))
		return fail(ENOMEM, "memory for the inventory");
	json_object_set_new(json, "version", json_integer(1));
	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(parts); i++)
		rc = parts[i](&inv);
	if (rc == 0 && options->sample)
		rc = inv_sample(&inv);
	close_disks(&inv);
	if (rc < 0)
		return fail_in(rc, "inventory");
	*out = steal_ptr(&json);
	return 0;
}
