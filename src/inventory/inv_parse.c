/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Texts of the guest: os-release, the indexes of modules, grub.cfg. Foreign; pure functions. */
#include "inventory/inv_guest.h"

#include <string.h>

#include "base/num.h"

#define GRUB_ENTRIES_MAX 64

/* The rest of a shell assignment: one word, quotes and backslashes undone (os-release(5)). */
static const char *shell_word(struct arena *a, const char *p)
{
	char *out = arena_alloc(a, strcspn(p, "\n") + 1);
	size_t n = 0;
	char quote = '\0';

	for (; *p && *p != '\n' && *p != '\r'; p++) {
		if (*p == '\\' && quote != '\'' && p[1] && p[1] != '\n')
			out[n++] = *++p;
		else if (quote ? *p == quote : *p == '"' || *p == '\'')
			quote = quote ? '\0' : *p;
		else if (!quote && (*p == ' ' || *p == '\t' || *p == '#'))
			break;
		else
			out[n++] = *p;
	}
	out[n] = '\0';
	return out;
}

const char *inv_os_value(struct arena *a, const char *text, const char *key)
{
	size_t n = strlen(key);
	const char *found = NULL;

	while (*text) {
		size_t line = strcspn(text, "\n");

		/* Sourced by shells, so the last one counts. */
		if (line > n && !strncmp(text, key, n) && text[n] == '=')
			found = shell_word(a, text + n + 1);
		text += line + (text[line] == '\n');
	}
	return found && *found ? found : NULL;
}

/* "kernel/drivers/block/virtio_blk.ko.zst:" or the same with '-' is virtio_blk. */
static bool path_names(const char *path, size_t bytes, const char *module)
{
	size_t n = strlen(module);
	const char *name = path;

	for (size_t i = 0; i < bytes; i++)
		if (path[i] == '/')
			name = path + i + 1;
	if ((size_t)(path + bytes - name) < n + 3 || strncmp(name + n, ".ko", 3))
		return false;
	for (size_t i = 0; i < n; i++)
		if ((name[i] == '-' ? '_' : name[i]) != module[i])
			return false;
	return true;
}

bool inv_has_module(const char *text, const char *module)
{
	while (*text) {
		size_t line = strcspn(text, "\n"), path = strcspn(text, ":\n");

		if (path_names(text, path, module))
			return true;
		text += line + (text[line] == '\n');
	}
	return false;
}

/* The next blank-separated word of a line; NULL at its end. */
static const char *word(const char **at, const char *end, size_t *bytes)
{
	const char *start;

	while (*at < end && (**at == ' ' || **at == '\t'))
		++*at;
	start = *at;
	while (*at < end && **at != ' ' && **at != '\t')
		++*at;
	*bytes = (size_t)(*at - start);
	return *bytes ? start : NULL;
}

static bool is_command(const char *w, size_t bytes, const char *command)
{
	static const char *const endings[] = {"", "16", "efi"};
	size_t n = strlen(command);

	if (!w || bytes < n || strncmp(w, command, n))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(endings); i++)
		if (strlen(endings[i]) == bytes - n && !strncmp(w + n, endings[i], bytes - n))
			return true;
	return false;
}

static bool is_known(const json_t *list, const json_t *entry)
{
	size_t i;
	json_t *e;

	json_array_foreach (list, i, e) {
		if (json_equal(json_object_get(e, "kernel"), json_object_get(entry, "kernel")) &&
		    json_equal(json_object_get(e, "args"), json_object_get(entry, "args")))
			return true;
	}
	return false;
}

/* A "linux" line begins an entry, the "initrd" line behind it belongs to it. */
json_t *inv_grub_entries(struct arena *a, const char *text)
{
	json_t *list = json_array(), *entry = NULL;

	while (*text && json_array_size(list) < GRUB_ENTRIES_MAX) {
		const char *end = text + strcspn(text, "\n"), *at = text, *command, *path;
		size_t bytes, path_bytes;

		text = *end ? end + 1 : end;
		command = word(&at, end, &bytes);
		path = word(&at, end, &path_bytes);
		if (!path)
			continue;
		if (is_command(command, bytes, "linux")) {
			at += strspn(at, " \t");
			at = min_of(at, end);
			entry = json_pack("{s:o, s:o, s:n}", "kernel",
					  inv_text(arena_strndup(a, path, path_bytes)), "args",
					  inv_text(arena_strndup(a, at, (size_t)(end - at))),
					  "initrd");
			if (is_known(list, entry)) {
				json_decref(entry);
				entry = NULL;
			} else {
				json_array_append_new(list, entry);
			}
		} else if (entry && is_command(command, bytes, "initrd")) {
			json_object_set_new(entry, "initrd",
					    inv_text(arena_strndup(a, path, (size_t)(end - path))));
		}
	}
	return list;
}
