/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the intermediate instance costs as long as it is kept: the cloud is asked for the price that
 * this account pays (ECS DescribePrice). A price that cannot be had is no failure; it is said that
 * it is not known.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "pipeline/pipe_cloud.h"

static json_t *price_params(const struct course *c, const json_t *fact)
{
	const char *category = pipe_option(fact, "category");
	json_t *disks = json_array(), *disk;
	uint64_t gib[PIPE_DISKS_MAX];
	size_t count;

	if (course_disk_gib(c, gib, &count) < 0)
		count = 0;
	for (size_t i = 0; i < count; i++) {
		disk = json_pack("{s:s, s:o}", "Category", category, "Size",
				 json_u64(pipe_category_gib(category, gib[i])));
		if (strcmp(category, "cloud_essd") == 0)
			json_object_set_new(disk, "PerformanceLevel",
					    json_string(pipe_essd_level(gib[i])));
		json_array_append_new(disks, disk);
	}
	return json_pack("{s:s, s:s, s:s, s:i, s:i, s:{s:s, s:i}, s:o}", "ResourceType", "instance",
			 "InstanceType", pipe_option(fact, "type"), "PriceUnit", "Hour", "Period",
			 1, "Amount", 1, "SystemDisk", "Category", category, "Size", 20, "DataDisk",
			 disks);
}

/* "0.312 CNY an hour", or why that is not known. */
static void price_text(struct course *c, const json_t *fact, char *out, size_t bytes)
{
	CLEANUP_JSON json_t *params = price_params(c, fact);
	CLEANUP_JSON json_t *reply = NULL;
	const json_t *price, *sum;
	int rc = cloud_call(c->cloud, CLOUD_ECS, course_region(c), "DescribePrice", params, &reply);

	price = json_object_get(json_object_get(reply, "PriceInfo"), "Price");
	sum = json_object_get(price, "TradePrice");
	if (rc == 0 && json_is_number(sum) && *pipe_option(price, "Currency")) {
		snprintf(out, bytes, "%.4g %.8s an hour", json_number_value(sum),
			 pipe_option(price, "Currency"));
		return;
	}
	log_debug("no price: %s", rc < 0 ? err_reason() : "none in the reply");
	snprintf(out, bytes, "at an hourly price that could not be asked for%s%s",
		 rc < 0 && *err_code() ? ": " : "", rc < 0 ? err_code() : "");
	err_clear();
}

void instance_costs(struct course *c, json_t *fact)
{
	uint64_t gib[PIPE_DISKS_MAX];
	char disks[256] = "20", price[128];
	size_t count = 0;

	if (course_disk_gib(c, gib, &count) < 0)
		count = 0;
	for (size_t i = 0, n = 2; i < count && n < sizeof(disks) - 24; i++)
		n += (size_t)snprintf(disks + n, sizeof(disks) - n, " + %llu",
				      (unsigned long long)pipe_category_gib(
					      pipe_option(fact, "category"), gib[i]));
	price_text(c, fact, price, sizeof(price));
	json_object_set_new(fact, "costs",
			    json_sprintf("%s with disks of %s GiB (%s), %s as long as it exists, "
					 "running or not; and its traffic",
					 pipe_option(fact, "type"), disks,
					 pipe_option(fact, "category"), price));
}
