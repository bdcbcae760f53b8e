/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the operator's host reads to run jobs: options and changes of a job, profiles of the
 * vendor's command line tool, the keys that the metadata service hands out, and KEY=VALUE words.
 * The first byte chooses.
 */
#include "cloud/keys_file.c"
#include "cloud/keys_instance.c"
#include "cmd/cmd_pipeline_args.c"
#include "pipeline/pipe_options.c"

#include <assert.h>

#include "pipeline/pipe_userdata.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void options(const json_t *json)
{
	struct pipe_problems problems;
	const json_t *changes = json_object_get(json, "changes");
	CLEANUP_JSON json_t *whole = NULL;
	CLEANUP_JSON json_t *changed = NULL;
	CLEANUP_JSON json_t *again = NULL;
	int rc = pipe_options_check(json, 1800000000, &problems, &whole);

	assert(problems.count <= PIPE_PROBLEMS_MAX && !whole == (rc < 0));
	if (rc < 0) {
		assert(*err_code());
		return;
	}
	/* What was completed is complete. */
	assert(pipe_options_check(whole, 1800000000, &problems, &again) == 0);
	assert(json_equal(whole, again));
	if (changes)
		(void)pipe_options_modify(whole, changes, PIPE_RUNNING, PIPE_SYNCING, 1800000000,
					  &problems, &changed);
}

static void profiles(json_t *file)
{
	struct credentials k = {.a = arena_new()};
	const json_t *p = find_profile(file, "default");

	if (p && take_profile(&k, file, p, 0) == 0)
		assert(k.instance || *k.base.id);
	keyset_clear(&k.base);
	arena_free(k.a);
}

static void handed_out(const char *text, size_t size)
{
	struct keyset k = {0};

	if (take_keys("the role", text, size, &k) == 0)
		assert(*k.id && *k.secret);
	keyset_clear(&k);
}

static void word(const char *text)
{
	struct pipeline_args a = {.settings = json_object()};

	if (strchr(text, '='))
		take_setting(&a, text);
	json_decref(a.settings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_FREE char *text = calloc(1, size + 1);
	CLEANUP_JSON json_t *json = NULL;

	if (size < 1)
		return 0;
	memcpy(text, data + 1, --size);
	switch (data[0]) {
	case 'i':
		handed_out(text, size);
		break;
	case 'w':
		word(text);
		break;
	case 'p':
		if (json_parse(text, size, "fuzz", &json) == 0)
			profiles(json);
		break;
	default:
		if (json_parse(text, size, "fuzz", &json) == 0)
			options(json);
	}
	return 0;
}
