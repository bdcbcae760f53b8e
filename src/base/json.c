/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checked access over jansson; see json.h. */
#include "base/json.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"

int json_parse(const char *text, size_t bytes, const char *name, json_t **out)
{
	json_error_t error;

	*out = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
	if (!*out)
		return fail_code(EINVAL, "JSON_INVALID", "%s: line %d, column %d: %s", name,
				 error.line, error.column, error.text);
	return 0;
}

int json_read_file(const char *path, json_t **out)
{
	CLEANUP_FREE char *text = NULL;
	size_t bytes = 0;
	int rc = io_read_file(path, JSON_FILE_MAX_BYTES, &text, &bytes);

	return rc < 0 ? rc : json_parse(text, bytes, path, out);
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
	return text ? json_string(text) : json_null();
}
