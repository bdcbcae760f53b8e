/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the receiver's control service answers, at both of its clients. The first byte is the
 * status; the rest is a body that is refused or taken, and is then orders for the source, a target
 * for its plan, what an earlier run left, the source's state and the upload's report for the
 * pipeline.
 */
#include "wire/wire_control.c"

#include "cmd/run_link.c"
#include "pipeline/pipe_link.c"
#include "pipeline/pipe_status.c"

#include <assert.h>

#include "pipeline/pipe_local.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_printable(const char *text)
{
	for (; *text; text++)
		assert((unsigned char)*text >= ' ' && *text != 0x7f);
}

static void as_refusal(unsigned status, char *text, size_t size)
{
	const struct call call = {.method = "GET", .path = "/v1/target"};
	const struct body b = {.data = text, .bytes = size};

	assert(refused(&call, status, &b) < 0);
	check_printable(err_code());
	check_printable(err_reason());
}

static void as_orders(const json_t *reply)
{
	static struct run r;

	take_orders(&r, reply);
}

static void as_state(const json_t *state)
{
	static const char *const empty = "{}";
	struct pipe_job job = {.options = json_loads(empty, 0, NULL)};
	struct course c = {.job = &job};
	CLEANUP_JSON json_t *fact = json_object();
	CLEANUP_JSON json_t *shown = NULL;
	int rc;

	rc = look_at_source(&c, fact, state);
	assert(rc == 0 || rc == 1 || rc == -EREMOTEIO);
	assert(c.progress.percent <= 100 && c.progress.disk_count <= PIPE_DISKS_MAX);
	shown = progress_json(&c.progress);
	assert(shown);
	json_decref(job.options);
}

static void as_artefacts(const json_t *json)
{
	json_t *disks = NULL, *one;
	size_t i;

	if (sync_disks(json_object_get(json, "plan"), json_object_get(json, "verify"), &disks) <
	    0) {
		assert(!disks);
		return;
	}
	assert(json_array_size(disks) >= 1 && json_array_size(disks) <= PIPE_DISKS_MAX);
	json_array_foreach (disks, i, one)
		assert(pipe_option_u64(one, "index") < PIPE_DISKS_MAX &&
		       pipe_option_u64(one, "size_bytes") > 0);
	json_decref(disks);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct call call = {.method = "GET", .path = "/v1/state"};
	CLEANUP_FREE char *text = calloc(1, size + 1);
	CLEANUP_JSON json_t *reply = NULL;

	if (size < 1)
		return 0;
	memcpy(text, data + 1, --size);
	as_refusal(100 + 2u * data[0], text, size);
	if (take_reply(&call, text, size, &reply) < 0) {
		assert(!reply && strcmp(err_code(), "RECEIVER_REPLY_INVALID") == 0);
		return 0;
	}
	as_orders(reply);
	as_state(reply);
	as_artefacts(reply);
	return 0;
}
