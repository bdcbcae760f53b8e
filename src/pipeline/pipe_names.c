/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names that tell whose a thing is. */
#include "pipeline/pipe_names.h"

#include <string.h>

#include "pipeline/pipeline.h"

#define DIGITS 16 /* of a job's id, behind its "j-" */

static size_t hex_digits(const char *text)
{
	return strspn(text, "0123456789abcdef");
}

bool pipe_is_id(const char *text)
{
	return strncmp(text, "j-", 2) == 0 && hex_digits(text + 2) == DIGITS && !text[2 + DIGITS];
}

const char *name_object(struct arena *a, const char *job, const char *key)
{
	return arena_printf(a, PIPE_OBJECTS "%s/%s", job, key);
}

const char *name_export(struct arena *a, const char *job, unsigned run)
{
	return arena_printf(a, PIPE_EXPORTS "%sr%u", job + 2, run);
}

const char *name_ens_image(struct arena *a, const char *prefix, const char *job, unsigned run)
{
	return arena_printf(a, "%s_%s_r%u", prefix, job + 2, run);
}

const char *job_of_object(struct arena *a, const char *key)
{
	const char *job, *digits = key + strlen(PIPE_EXPORTS);

	if (strncmp(key, PIPE_OBJECTS, strlen(PIPE_OBJECTS)) == 0) {
		key += strlen(PIPE_OBJECTS);
		job = arena_strndup(a, key, strcspn(key, "/"));
		return key[strlen(job)] && pipe_is_id(job) ? job : NULL;
	}
	if (strncmp(key, PIPE_EXPORTS, strlen(PIPE_EXPORTS)) == 0 && hex_digits(digits) == DIGITS &&
	    digits[DIGITS] == 'r')
		return arena_printf(a, "j-%.*s", DIGITS, digits);
	return NULL;
}

const char *job_of_ens_image(struct arena *a, const char *name)
{
	const char *end = strstr(name, "_r"), *digits;

	while (end && strstr(end + 1, "_r"))
		end = strstr(end + 1, "_r");
	digits = end && end - name > DIGITS ? end - DIGITS : NULL;
	if (!digits || digits[-1] != '_' || hex_digits(digits) != DIGITS)
		return NULL;
	return arena_printf(a, "j-%.*s", DIGITS, digits);
}
