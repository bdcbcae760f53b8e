/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The job file: what an operator wants to have otherwise. A mistyped key that was ignored would
 * migrate with the wrong settings, so unknown keys are errors. */
#include "plan/private.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/num.h"

#define COMPRESSION_MAX	    10
#define COMPRESSION_DEFAULT 7
#define CONNECTIONS_MAX	    16
#define CONNECTIONS_DEFAULT 4
#define RATE_MAX_MBIT	    1000000
#define HOLES_MAX	    1000000
#define RESCUE_MAX_S	    86400

static int invalid(const char *key, const char *want)
{
	return fail_code(EINVAL, "JOB_INVALID", "key \"%s\" of the job must be %s", key, want);
}

static int take_text(const json_t *v, const char *key, const char **out)
{
	*out = json_string_value(v);
	return *out ? 0 : invalid(key, "a text");
}

static int take_number(const json_t *v, const char *key, uint64_t min, uint64_t max,
		       const char *want, uint64_t *out)
{
	if (!json_is_integer(v) || json_integer_value(v) < (json_int_t)min ||
	    json_integer_value(v) > (json_int_t)max)
		return invalid(key, want);
	*out = (uint64_t)json_integer_value(v);
	return 0;
}

static int take_texts(const json_t *v, const char *key, const json_t **out)
{
	size_t i;
	json_t *item;

	if (!json_is_array(v))
		return invalid(key, "a list of texts");
	json_array_foreach (v, i, item) {
		if (!json_is_string(item))
			return invalid(key, "a list of texts");
	}
	*out = v;
	return 0;
}

static int take_paths(const json_t *v, const char *key, const json_t **out)
{
	size_t i;
	json_t *item;

	if (!json_is_array(v))
		return invalid(key, "a list of absolute paths");
	json_array_foreach (v, i, item) {
		const char *text = json_string_value(item);

		/* "sdb1:/x" is in what is mounted nowhere. */
		if (!text || !strchr(text, '/') || (*text != '/' && !strstr(text, ":/")))
			return invalid(key, "a list of absolute paths");
	}
	*out = v;
	return 0;
}

static int take_one_of(const json_t *v, const char *key, const char *const words[],
		       const char *want, const char **out)
{
	const char *text = json_string_value(v);

	for (; text && *words; words++) {
		if (!strcmp(*words, text)) {
			*out = text;
			return 0;
		}
	}
	return invalid(key, want);
}

static int take(const char *key, const json_t *v, struct plan_job *job)
{
	static const char *const exits[] = {"poweroff", "reboot", "shell", NULL};
	static const char *const digests[] = {"xxh3-128", "sha-256", NULL};
	uint64_t n = 0;
	int rc;

	if (!strcmp(key, "name"))
		return take_text(v, key, &job->name);
	if (!strcmp(key, "description"))
		return take_text(v, key, &job->description);
	if (!strcmp(key, "activation"))
		return take_text(v, key, &job->activation);
	if (!strcmp(key, "exit"))
		return take_one_of(v, key, exits, "\"poweroff\", \"reboot\" or \"shell\"",
				   &job->exit);
	if (!strcmp(key, "digest"))
		return take_one_of(v, key, digests, "\"xxh3-128\" or \"sha-256\"",
				   &job->copy.digest);
	if (!strcmp(key, "allow"))
		return take_texts(v, key, &job->allow);
	if (!strcmp(key, "exclude_disks"))
		return take_texts(v, key, &job->exclude_disks);
	if (!strcmp(key, "holes_outside"))
		return take_paths(v, key, &job->holes_outside);
	if (!strcmp(key, "holes_max"))
		return take_number(v, key, 0, HOLES_MAX, "a number from 0 to 1000000",
				   &job->copy.holes_max);
	if (!strcmp(key, "rescue_s"))
		return take_number(v, key, 1, RESCUE_MAX_S, "a number from 1 to 86400",
				   &job->copy.rescue_s);
	if (!strcmp(key, "rate_mbit"))
		return take_number(v, key, 0, RATE_MAX_MBIT, "a number from 0 to 1000000",
				   &job->copy.rate_mbit);
	if (!strcmp(key, "adaptive")) {
		job->copy.adaptive = json_is_true(v);
		return json_is_boolean(v) ? 0 : invalid(key, "true or false");
	}
	/* Whether the log goes to the receiver: the run's business, not the plan's. */
	if (!strcmp(key, "diagnostics"))
		return json_is_boolean(v) ? 0 : invalid(key, "true or false");
	if (!strcmp(key, "verify")) {
		job->copy.unverified = json_is_false(v);
		return json_is_boolean(v) ? 0 : invalid(key, "true or false");
	}
	if (!strcmp(key, "compression")) {
		rc = take_number(v, key, 0, COMPRESSION_MAX, "a number from 0 to 10", &n);
		job->copy.compression = (unsigned)n;
		return rc;
	}
	if (!strcmp(key, "connections")) {
		rc = take_number(v, key, 1, CONNECTIONS_MAX, "a number from 1 to 16", &n);
		job->copy.connections = (unsigned)n;
		return rc;
	}
	return fail_code(EINVAL, "JOB_INVALID", "the job has a key \"%s\", which is not known",
			 key);
}

static bool is_allowable(const char *code)
{
	for (const struct plan_rule *r = plan_rules; r->code; r++)
		if (!strcmp(r->code, code))
			return r->allowable;
	return true; /* a code of another phase: its own business */
}

int plan_job_read(const json_t *job, struct plan_job *out)
{
	const char *key;
	json_t *v;
	size_t i;

	*out = (struct plan_job){.name = "migration",
				 .description = "",
				 .copy = {.compression = COMPRESSION_DEFAULT,
					  .digest = "xxh3-128",
					  .connections = CONNECTIONS_DEFAULT}};
	if (!job || json_is_null(job))
		return 0;
	if (!json_is_object(job))
		return fail_code(EINVAL, "JOB_INVALID", "the job is not a JSON object");
	json_object_foreach ((json_t *)job, key, v) {
		int rc = take(key, v, out);

		if (rc < 0)
			return rc;
	}
	/* Paths alone allow as many holes as there are outside of them. */
	if (out->holes_outside && !json_object_get(job, "holes_max"))
		out->copy.holes_max = HOLES_MAX;
	json_array_foreach (out->allow, i, v) {
		if (!is_allowable(json_string_value(v)))
			return fail_code(
				EINVAL, "JOB_INVALID",
				"key \"allow\" of the job names %s, which cannot be allowed",
				json_string_value(v));
	}
	return 0;
}
