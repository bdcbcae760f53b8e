/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The planner's inputs: one JSON text taken as an inventory, as a job, as a target and as a plan.
 * What is planned can be read again, and planning twice gives the same.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "inventory/inventory.h"
#include "plan/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void plan(const json_t *inventory, const json_t *job, const json_t *target)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_JSON json_t *one = NULL;
	CLEANUP_JSON json_t *two = NULL;
	struct plan *p = NULL;
	int rc = plan_make(inventory, job, target, "LINUX_ROOT_NOT_FOUND,ENS_SYSTEM_DISK_SIZE",
			   &one);
	int again = plan_make(inventory, job, target, "LINUX_ROOT_NOT_FOUND,ENS_SYSTEM_DISK_SIZE",
			      &two);

	assert(rc == again && !one == !two);
	if (one)
		assert(json_equal(one, two));
	if (rc == 0 && plan_read(a, one, &p) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_JSON json_t *json = NULL;
	CLEANUP_JSON json_t *draft = NULL;
	struct inventory_candidate *list = NULL;
	struct plan_job job;
	struct plan *p = NULL;
	size_t count = 0;

	if (json_parse((const char *)data, size, "fuzz", &json) < 0)
		return 0;
	plan(json, NULL, json_object_get(json, "target"));
	if (plan_job_read(json, &job) == 0)
		plan(json_object_get(json, "inventory"), json, NULL);
	plan_read(a, json, &p);
	if (plan_draft(json, &draft) == 0 && plan_read(a, draft, &p) < 0)
		abort();
	if (json_is_object(json) && inventory_candidates(a, json, &list, &count) == 0)
		for (size_t i = 0; i < count; i++)
			assert(*list[i].device || !*list[i].device);
	inventory_resolve(a, json, "UUID=x");
	inventory_resolve(a, json, "/dev/mapper/vg0-home");
	return 0;
}
