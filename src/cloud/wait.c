/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Waiting for things, and the calls that instances and exports have of their own. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/num.h"
#include "cloud/private.h"

#define EVERY_MS	5000
#define EVERY_ENS_MS	10000
#define EVERY_EXPORT_MS 30000
#define MISSING_MS	120000

static uint64_t usual_ms(enum cloud_kind kind)
{
	switch (kind) {
	case CLOUD_KIND_EXPORT_TASK:
		return EVERY_EXPORT_MS;
	case CLOUD_KIND_ENS_IMAGE:
		return EVERY_ENS_MS;
	default:
		return EVERY_MS;
	}
}

struct wait {
	enum cloud_wanted wanted;
	uint64_t missing_until_ms;
	bool was_there;
};

/* A task says why, of each of its operations. */
static int fail_failed(const struct cloud_thing *t)
{
	const json_t *list = cloud_get_list(t->item, "OperationProgressSet.OperationProgress");
	const char *code = "", *why = "";
	json_t *one;
	size_t i;

	json_array_foreach ((json_t *)list, i, one) {
		if (!*code && !*why) {
			code = cloud_get_string_or(one, "ErrorCode", "");
			why = cloud_get_string_or(one, "ErrorMsg", "");
		}
	}
	return fail_code(EIO, "CLOUD_THING_FAILED", "%s %s: its state is %s%s%.80s%s%.200s",
			 cloud_kind_name(t->kind), t->id, t->state, *code || *why ? "; " : "", code,
			 *code && *why ? ": " : "", why);
}

/* 1: not yet. */
static int judge(struct wait *w, int rc, const struct cloud_thing *t)
{
	if (rc == -ENOENT && w->wanted == CLOUD_WANT_GONE)
		return 0;
	/* A list may lag behind what was made. */
	if (rc == -ENOENT && !w->was_there && clock_ms() < w->missing_until_ms)
		return 1;
	if (rc < 0)
		return rc;
	w->was_there = true;
	if (w->wanted == CLOUD_WANT_READY && t->phase == CLOUD_READY)
		return 0;
	if (w->wanted == CLOUD_WANT_STOPPED && t->phase == CLOUD_STOPPED)
		return 0;
	if (w->wanted != CLOUD_WANT_GONE && t->phase == CLOUD_FAILED)
		return fail_failed(t);
	return 1;
}

int cloud_wait(struct cloud *c, const struct cloud_wait *what, struct arena *a,
	       struct cloud_thing *out)
{
	uint64_t until_ms = clock_ms() + what->for_ms;
	uint64_t step_ms = what->every_ms ? what->every_ms : usual_ms(what->kind);
	struct wait w = {.wanted = what->wanted,
			 .missing_until_ms =
				 clock_ms() + min_of(what->for_ms, (uint64_t)MISSING_MS)};

	for (;;) {
		/* One for each look, as a wait may take days. */
		CLEANUP_ARENA struct arena *one = arena_new();
		struct cloud_thing thing = {.kind = what->kind, .id = what->id, .state = ""};
		int found = cloud_describe(c, what->kind, what->region, what->id, one, &thing);
		int rc = judge(&w, found, &thing);

		if (found == 0 && what->seen && what->seen(what->ctx, &thing))
			return fail(ECANCELED, "%s %s: interrupted", cloud_kind_name(what->kind),
				    what->id);
		if (rc < 0)
			return rc;
		if (rc == 0 && out && found == 0)
			return cloud_thing_copy(&thing, a, out);
		if (rc == 0)
			return 0;
		if (clock_ms() >= until_ms)
			return fail_code(ETIMEDOUT, "CLOUD_WAIT_TOO_LONG",
					 "%s %s: its state is still %s",
					 cloud_kind_name(what->kind), what->id,
					 found == 0 ? thing.state : "(not there)");
		rc = cloud_pause(c, step_ms);
		if (rc < 0)
			return rc;
	}
}

/* ---- instances ---- */

static int instance_call(struct cloud *c, const char *region, const char *id, const char *action,
			 bool force, enum cloud_phase done)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_JSON json_t *params = json_pack("{s:s}", "InstanceId", id);
	struct cloud_thing t;
	int rc;

	if (force)
		json_object_set_new(params, "ForceStop", json_true());
	rc = cloud_call_once(c, CLOUD_ECS, region, action, params, NULL);
	/* In that state already, or on its way: not what the error means to others. */
	if (rc == -EAGAIN && cloud_last_error(c)->decision == CLOUD_RETRY_STATE &&
	    cloud_describe(c, CLOUD_KIND_INSTANCE, region, id, a, &t) == 0 &&
	    (t.phase == done || (done == CLOUD_STOPPED && t.phase == CLOUD_LEAVING) ||
	     (done == CLOUD_READY && strcmp(t.state, "Starting") == 0)))
		return 0;
	return rc == -EAGAIN ? cloud_call(c, CLOUD_ECS, region, action, params, NULL) : rc;
}

int cloud_instance_stop(struct cloud *c, const char *region, const char *id, bool force)
{
	return instance_call(c, region, id, "StopInstance", force, CLOUD_STOPPED);
}

int cloud_instance_start(struct cloud *c, const char *region, const char *id)
{
	return instance_call(c, region, id, "StartInstance", false, CLOUD_READY);
}

const char *cloud_instance_address(const struct cloud_thing *instance, bool public_net,
				   struct arena *a)
{
	static const char *const public_paths[] = {"PublicIpAddress.IpAddress.0",
						   "EipAddress.IpAddress"};
	static const char *const private_paths[] = {"VpcAttributes.PrivateIpAddress.IpAddress.0",
						    "InnerIpAddress.IpAddress.0"};
	const char *const *paths = public_net ? public_paths : private_paths;

	for (size_t i = 0; i < 2; i++) {
		const char *text = cloud_get_string_or(instance->item, paths[i], "");

		if (text[0])
			return arena_strdup(a, text);
	}
	return NULL;
}

/* ---- exports ---- */

int cloud_export_objects(struct cloud *c, const char *region, const char *task_id, struct arena *a,
			 const char ***keys, size_t *count)
{
	CLEANUP_JSON json_t *params = json_pack("{s:s}", "TaskId", task_id), *reply = NULL;
	const json_t *sets, *items;
	json_t *set, *item;
	size_t i, j;
	int rc = cloud_call(c, CLOUD_ECS, region, "DescribeTaskAttribute", params, &reply);

	*keys = NULL;
	*count = 0;
	if (rc < 0)
		return rc;
	sets = cloud_get_list(reply, "OperationProgressSet.OperationProgress");
	json_array_foreach (sets, i, set) {
		items = cloud_get_list(set, "RelatedItemSet.RelatedItem");
		json_array_foreach (items, j, item) {
			const char *value = cloud_get_string_or(item, "Value", "");

			if (strcmp(cloud_get_string_or(item, "Name", ""), "OSSObject") == 0 &&
			    value[0])
				*arena_push(a, keys, count) = arena_strdup(a, value);
		}
	}
	return 0;
}
