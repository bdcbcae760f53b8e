/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading foreign replies by path. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cloud/private.h"

#define STEP_MAX 64

static const json_t *step(const json_t *at, const char *name, size_t bytes)
{
	char key[STEP_MAX];
	char *end;
	unsigned long index;

	if (bytes == 0 || bytes >= sizeof(key))
		return NULL;
	memcpy(key, name, bytes);
	key[bytes] = '\0';
	if (!json_is_array(at))
		return json_object_get(at, key);
	index = strtoul(key, &end, 10);
	return *end || key[0] < '0' || key[0] > '9' ? NULL : json_array_get(at, index);
}

/* NULL when something on the way is missing or null. */
static const json_t *walk(const json_t *at, const char *path)
{
	while (at && *path) {
		size_t n = strcspn(path, ".");

		at = step(at, path, n);
		path += n + (path[n] == '.');
	}
	return json_is_null(at) ? NULL : at;
}

/* Decimal digits at the start of a text: "38%" is 38. */
static int u64_of(const json_t *v, uint64_t *out)
{
	const char *text = json_string_value(v);
	char *end;

	if (json_is_integer(v) && json_integer_value(v) >= 0) {
		*out = (uint64_t)json_integer_value(v);
		return 0;
	}
	if (!text || text[0] < '0' || text[0] > '9')
		return -EBADMSG;
	errno = 0;
	*out = strtoull(text, &end, 10);
	return errno || (*end && strcmp(end, "%") != 0) ? -EBADMSG : 0;
}

static int missing(const char *path)
{
	return fail_code(EBADMSG, "CLOUD_REPLY_INVALID", "the reply lacks %s", path);
}

int cloud_get_string(const json_t *reply, const char *path, const char **out)
{
	*out = json_string_value(walk(reply, path));
	return *out ? 0 : missing(path);
}

const char *cloud_get_string_or(const json_t *reply, const char *path, const char *fallback)
{
	const char *text = json_string_value(walk(reply, path));

	return text ? text : fallback;
}

uint64_t cloud_get_u64_or(const json_t *reply, const char *path, uint64_t fallback)
{
	uint64_t n;

	return u64_of(walk(reply, path), &n) < 0 ? fallback : n;
}

bool cloud_get_bool_or(const json_t *reply, const char *path, bool fallback)
{
	const json_t *v = walk(reply, path);
	const char *text = json_string_value(v);

	if (json_is_boolean(v))
		return json_is_true(v);
	if (text && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0))
		return text[0] == 't';
	return fallback;
}

const json_t *cloud_get_list(const json_t *reply, const char *path)
{
	const json_t *v = walk(reply, path);

	return json_is_array(v) ? v : NULL;
}

const char *cloud_json_text(struct arena *a, const json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
	const char *copy = arena_strdup(a, text ? text : "null");

	free(text);
	return copy;
}
