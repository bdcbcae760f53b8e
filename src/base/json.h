/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checked access to artefacts over jansson: each reader names the key in its reason, so that a bad
 * job file or a foreign artefact says where it is bad. Depth and size of foreign text are bounded.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_FILE_MAX_BYTES (64u << 20)
#define JSON_DEPTH_MAX	    64
#define JSON_VALUES_MAX	    1000000

/*
 * Parse text: -EINVAL, JSON_INVALID with the place, when it is no JSON, has a key twice, or goes
 * over the bounds above. *out is the caller's, NULL after a failure. NAME is for the reason.
 */
int json_parse(const char *text, size_t bytes, const char *name, json_t **out);

/* A whole file; one that cannot be read or is larger keeps its errno, with code FILE_UNREADABLE. */
int json_read_file(const char *path, json_t **out);
int json_read_file_max(const char *path, size_t max_bytes, json_t **out);

/* Two-space indent, sorted keys, newline at the end: the same value gives the same bytes. */
char *json_text(const json_t *value);
int json_write_file(const char *path, const json_t *value);

/*
 * Read KEY of OBJECT. Missing or of the wrong type: -EINVAL with "key: ..." as the reason. The _or
 * forms give FALLBACK when the key is missing or null, and still refuse a wrong type.
 * Strings are borrowed from the object.
 */
int json_get_u64(const json_t *object, const char *key, uint64_t *out);
int json_get_u64_or(const json_t *object, const char *key, uint64_t fallback, uint64_t *out);
int json_get_string(const json_t *object, const char *key, const char **out);
int json_get_string_or(const json_t *object, const char *key, const char *fallback,
		       const char **out);
int json_get_bool_or(const json_t *object, const char *key, bool fallback, bool *out);
int json_get_array(const json_t *object, const char *key, json_t **out);
int json_get_object(const json_t *object, const char *key, json_t **out);

/*
 * Values above 2^63 do not occur in sizes; they are clamped. text may be NULL and gives null; where
 * it is not UTF-8, which a reason cut in the middle of a letter is not, its other bytes become '?'.
 */
json_t *json_u64(uint64_t n);
json_t *json_str(const char *text);

#endif
