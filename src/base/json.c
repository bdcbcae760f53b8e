/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checked access over jansson; see json.h. */
#include "base/json.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"

/*
 * jansson allows 2048 levels, which threads with small stacks cannot walk through, and makes a
 * hundred bytes and more of three. Strings are skipped as it skips them, so what is counted here is
 * never less than what it makes.
 */
static int check_bounds(const char *text, size_t bytes, const char *name)
{
	size_t depth = 0, values = 0;
	bool in_string = false;

	for (size_t i = 0; i < bytes; i++) {
		char c = text[i];

		if (in_string) {
			if (c == '\\')
				i++;
			else
				in_string = c != '"';
			continue;
		}
		in_string = c == '"';
		values += c == ',' || c == '[' || c == '{';
		if (c == '[' || c == '{')
			depth++;
		else if ((c == ']' || c == '}') && depth > 0)
			depth--;
		if (depth > JSON_DEPTH_MAX)
			return fail_code(EINVAL, "JSON_INVALID",
					 "%s: more than %d lists and objects in one another", name,
					 JSON_DEPTH_MAX);
		if (values > JSON_VALUES_MAX)
			return fail_code(EINVAL, "JSON_INVALID", "%s: more than %d values", name,
					 JSON_VALUES_MAX);
	}
	return 0;
}

int json_parse(const char *text, size_t bytes, const char *name, json_t **out)
{
	json_error_t error;
	int rc = check_bounds(text, bytes, name);

	*out = NULL;
	if (rc < 0)
		return rc;
	*out = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
	if (!*out)
		return fail_code(EINVAL, "JSON_INVALID", "%s: line %d, column %d: %s", name,
				 error.line, error.column, error.text);
	return 0;
}

int json_read_file_max(const char *path, size_t max_bytes, json_t **out)
{
	CLEANUP_FREE char *text = NULL;
	size_t bytes = 0;
	int rc = io_read_file(path, max_bytes, &text, &bytes);

	*out = NULL;
	return rc < 0 ? fail_code(rc, "FILE_UNREADABLE", "%s", err_reason())
		      : json_parse(text, bytes, path, out);
}

int json_read_file(const char *path, json_t **out)
{
	return json_read_file_max(path, JSON_FILE_MAX_BYTES, out);
}

char *json_text(const json_t *value)
{
	char *text = json_dumps(value, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_ENCODE_ANY);
	size_t n = text ? strlen(text) : 0;
	char *with_newline = text ? realloc(text, n + 2) : NULL;

	if (!with_newline) {
		free(text);
		return NULL;
	}
	memcpy(with_newline + n, "\n", 2);
	return with_newline;
}

int json_write_file(const char *path, const json_t *value)
{
	CLEANUP_FREE char *text = json_text(value);

	if (!text)
		return fail(ENOMEM, "write %s", path);
	return io_replace_file(path, text, strlen(text), 0600);
}

static int wrong(const char *key, const char *want)
{
	return fail_code(EINVAL, "JSON_INVALID", "key \"%s\" is missing or is not %s", key, want);
}

int json_get_u64(const json_t *object, const char *key, uint64_t *out)
{
	const json_t *v = json_object_get(object, key);

	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return wrong(key, "a whole number");
	*out = (uint64_t)json_integer_value(v);
	return 0;
}

static bool absent(const json_t *object, const char *key)
{
	const json_t *v = json_object_get(object, key);

	return !v || json_is_null(v);
}

int json_get_u64_or(const json_t *object, const char *key, uint64_t fallback, uint64_t *out)
{
	if (absent(object, key)) {
		*out = fallback;
		return 0;
	}
	return json_get_u64(object, key, out);
}

int json_get_string(const json_t *object, const char *key, const char **out)
{
	*out = json_string_value(json_object_get(object, key));
	return *out ? 0 : wrong(key, "a string");
}

int json_get_string_or(const json_t *object, const char *key, const char *fallback,
		       const char **out)
{
	if (absent(object, key)) {
		*out = fallback;
		return 0;
	}
	return json_get_string(object, key, out);
}

int json_get_bool_or(const json_t *object, const char *key, bool fallback, bool *out)
{
	const json_t *v = json_object_get(object, key);

	*out = fallback;
	if (absent(object, key))
		return 0;
	if (!json_is_boolean(v))
		return wrong(key, "true or false");
	*out = json_is_true(v);
	return 0;
}

int json_get_array(const json_t *object, const char *key, json_t **out)
{
	*out = json_object_get(object, key);
	return json_is_array(*out) ? 0 : wrong(key, "a list");
}

int json_get_object(const json_t *object, const char *key, json_t **out)
{
	*out = json_object_get(object, key);
	return json_is_object(*out) ? 0 : wrong(key, "an object");
}

json_t *json_u64(uint64_t n)
{
	return json_integer((json_int_t)min_of(n, (uint64_t)INT64_MAX));
}

json_t *json_str(const char *text)
{
	json_t *j = text ? json_string(text) : json_null();
	CLEANUP_FREE char *copy = NULL;

	if (j)
		return j;
	copy = strdup(text);
	for (char *c = copy; c && *c; c++) {
		if (*c & 0x80)
			*c = '?';
	}
	return json_string(copy ? copy : "?");
}
