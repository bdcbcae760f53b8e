/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bucket, zone, network and security group: what must stand before the instance. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/num.h"
#include "pipeline/pipe_cloud.h"
#include "pipeline/pipe_types.h"

/* ---- the bucket: the operator's own; only looked at ---- */

static int bucket_make(struct course *c, json_t *fact)
{
	struct cloud_object at = course_object(c, NULL);
	struct cloud_bucket_info info;
	int rc = course_cloud(c);

	at.key = NULL;
	if (rc == 0)
		rc = cloud_bucket_info(c->cloud, &at, c->arena, &info);
	if (rc < 0)
		return rc;
	if (strcmp(info.region, at.region) != 0)
		return fail_code(EINVAL, "InvalidOSSBucket.NotMatched",
				 "bucket %s is in %s, the intermediate instance will be in %s",
				 at.bucket, info.region, at.region);
	if (strstr(info.storage_class, "Archive"))
		return fail_code(EINVAL, "InvalidOSSBucket.NotMatched",
				 "bucket %s is of class %s; what is in it cannot be read at once",
				 at.bucket, info.storage_class);
	json_object_set_new(fact, "versioned", json_boolean(info.versioned));
	return 0;
}

const struct pipe_step bucket_step = {
	.name = "bucket",
	.phase = PIPE_PREPARING,
	.wanted = is_cloud,
	.make = bucket_make,
};

/* ---- a network that is given by its name ---- */

const char *course_vswitch(const struct course *c)
{
	const char *given = pipe_option(c->job->options, "vswitch_id");

	return *given ? given : course_fact_text(c, "network", "vswitch");
}

static int one_vpc(struct course *c, const char *name, const char **id)
{
	const struct cloud_list what = {
		.kind = CLOUD_KIND_VPC, .region = course_region(c), .name = name};
	struct cloud_thing *list;
	size_t count;
	int rc = cloud_list(c->cloud, &what, c->arena, &list, &count);

	if (rc < 0)
		return rc;
	if (count != 1)
		return fail_code(count ? EEXIST : ENOENT, "InvalidVpcId.NotFound",
				 "%s \"%s\" in %s; %s",
				 count ? "more than one VPC is called" : "no VPC is called", name,
				 course_region(c),
				 count ? "give the id of its vSwitch as \"vswitch_id\""
				       : "without \"vpc_name\" the job makes one");
	*id = list[0].id;
	return 0;
}

/* The first vSwitch of the VPC whose zone has an instance type that would do. */
static int stocked_vswitch(struct course *c, const char *vpc, const char **id)
{
	CLEANUP_JSON json_t *filter = json_pack("{s:s}", "VpcId", vpc);
	const char *name = pipe_option(c->job->options, "vswitch_name"), *zone;
	const struct cloud_list what = {.kind = CLOUD_KIND_VSWITCH,
					.region = course_region(c),
					.name = *name ? name : NULL,
					.filter = filter};
	struct cloud_thing *list;
	size_t count;
	int rc = cloud_list(c->cloud, &what, c->arena, &list, &count);

	if (rc == 0 && !count)
		rc = fail_code(ENOENT, "InvalidVSwitchId.NotFound", "VPC %s has no vSwitch%s%s",
			       vpc, *name ? " called " : "", name);
	for (size_t i = 0; i < count; i++) {
		CLEANUP_JSON json_t *types = NULL;

		rc = types_choose(c, cloud_get_string_or(list[i].item, "ZoneId", ""), &zone,
				  &types);
		*id = list[i].id;
		if (rc != -ENODEV)
			break;
	}
	return rc;
}

static bool names_network(const struct course *c)
{
	return is_cloud(c) && *pipe_option(c->job->options, "vpc_name");
}

static int network_make(struct course *c, json_t *fact)
{
	const char *vpc = NULL, *vswitch = NULL;
	int rc = course_cloud(c);

	if (rc == 0)
		rc = one_vpc(c, pipe_option(c->job->options, "vpc_name"), &vpc);
	if (rc == 0)
		rc = stocked_vswitch(c, vpc, &vswitch);
	if (rc < 0)
		return rc;
	json_object_set_new(fact, "vpc", json_string(vpc));
	json_object_set_new(fact, "vswitch", json_string(vswitch));
	return 0;
}

const struct pipe_step network_step = {
	.name = "network",
	.phase = PIPE_PREPARING,
	.wanted = names_network,
	.make = network_make,
};

/* ---- zone, and the instance types that it has ---- */

static int zone_make(struct course *c, json_t *fact)
{
	const char *given = pipe_option(c->job->options, "zone_id");
	const char *vswitch = course_vswitch(c);
	struct cloud_thing thing;
	json_t *types = NULL;
	const char *zone;
	int rc = course_cloud(c);

	if (rc == 0 && *vswitch) {
		rc = cloud_describe(c->cloud, CLOUD_KIND_VSWITCH, course_region(c), vswitch,
				    c->arena, &thing);
		if (rc == 0)
			given = cloud_get_string_or(thing.item, "ZoneId", "");
	}
	if (rc == 0)
		rc = types_choose(c, given, &zone, &types);
	if (rc < 0)
		return rc;
	json_object_set_new(fact, "id", json_string(zone));
	json_object_set_new(fact, "types", types);
	return 0;
}

const struct pipe_step zone_step = {
	.name = "zone",
	.phase = PIPE_PREPARING,
	.wanted = is_cloud,
	.make = zone_make,
};

/* ---- VPC and vSwitch, made unless given ---- */

static bool makes_network(const struct course *c)
{
	return is_cloud(c) && !*course_vswitch(c);
}

static int vpc_intend(struct course *c, json_t *fact)
{
	return course_intend(c, fact, course_name(c, "vpc"));
}

static int vpc_make(struct course *c, json_t *fact)
{
	CLEANUP_JSON json_t *params =
		json_pack("{s:s, s:s, s:o}", "CidrBlock", "172.16.0.0/16", "VpcName",
			  pipe_option(fact, "name"), "Tag", course_tags(c));

	return course_make_thing(c, fact, CLOUD_KIND_VPC, params, true);
}

static int vpc_undo(struct course *c, json_t *fact)
{
	return course_delete_thing(c, fact, CLOUD_KIND_VPC, true);
}

const struct pipe_step vpc_step = {
	.name = "vpc",
	.phase = PIPE_PREPARING,
	.temporary = true,
	.costs = "costs nothing; it is one of the VPCs that the account may have in the region",
	.wanted = makes_network,
	.intend = vpc_intend,
	.make = vpc_make,
	.undo = vpc_undo,
};

static int vswitch_intend(struct course *c, json_t *fact)
{
	return course_intend(c, fact, course_name(c, "vswitch"));
}

static int vswitch_make(struct course *c, json_t *fact)
{
	CLEANUP_JSON json_t *params =
		json_pack("{s:s, s:s, s:s, s:s, s:o}", "VpcId", course_fact_text(c, "vpc", "id"),
			  "ZoneId", course_fact_text(c, "zone", "id"), "CidrBlock", "172.16.1.0/24",
			  "VSwitchName", pipe_option(fact, "name"), "Tag", course_tags(c));

	return course_make_thing(c, fact, CLOUD_KIND_VSWITCH, params, true);
}

static int vswitch_undo(struct course *c, json_t *fact)
{
	return course_delete_thing(c, fact, CLOUD_KIND_VSWITCH, true);
}

const struct pipe_step vswitch_step = {
	.name = "vswitch",
	.phase = PIPE_PREPARING,
	.temporary = true,
	.costs = "costs nothing",
	.wanted = makes_network,
	.intend = vswitch_intend,
	.make = vswitch_make,
	.undo = vswitch_undo,
};

/* ---- the security group: the source's address, two ports ---- */

/* The VPC of a vSwitch that was given, which a VPC that was given too must be. */
static int given_vpc(struct course *c, const char **vpc)
{
	const char *vswitch = course_vswitch(c);
	const char *given = pipe_option(c->job->options, "vpc_id");
	struct cloud_thing thing;
	int rc = cloud_describe(c->cloud, CLOUD_KIND_VSWITCH, course_region(c), vswitch, c->arena,
				&thing);

	if (rc < 0)
		return rc;
	*vpc = thing.parent;
	if (*given && strcmp(given, thing.parent) != 0)
		return fail_code(EINVAL, "VSwitchIdVpcId.Mismatch",
				 "vSwitch %s is in %s, not in %s", vswitch, thing.parent, given);
	return 0;
}

static int group_intend(struct course *c, json_t *fact)
{
	return course_intend(c, fact, course_name(c, "group"));
}

static int group_make(struct course *c, json_t *fact)
{
	const char *vpc = course_fact_text(c, "vpc", "id");
	CLEANUP_JSON json_t *params = NULL;
	int rc = course_cloud(c);

	if (rc == 0 && !makes_network(c))
		rc = given_vpc(c, &vpc);
	if (rc < 0)
		return rc;
	params = json_pack("{s:s, s:s, s:s, s:o}", "VpcId", vpc, "SecurityGroupName",
			   pipe_option(fact, "name"), "Description",
			   "Made by a migration; ports 8080 and 8703 of the intermediate instance",
			   "Tag", course_tags(c));
	return course_make_thing(c, fact, CLOUD_KIND_SECURITY_GROUP, params, true);
}

static int group_undo(struct course *c, json_t *fact)
{
	return course_delete_thing(c, fact, CLOUD_KIND_SECURITY_GROUP, true);
}

const struct pipe_step group_step = {
	.name = "security-group",
	.phase = PIPE_PREPARING,
	.temporary = true,
	.costs = "costs nothing",
	.wanted = is_cloud,
	.intend = group_intend,
	.make = group_make,
	.undo = group_undo,
};

static json_t *rule(const char *address, unsigned port, const char *what)
{
	const char *bits = strchr(address, '/') ? "" : "/32";

	return json_pack("{s:s, s:o, s:o, s:s, s:s}", "IpProtocol", "TCP", "PortRange",
			 json_sprintf("%u/%u", port, port), "SourceCidrIp",
			 json_sprintf("%s%s", address, bits), "Policy", "accept", "Description",
			 what);
}

static int rules_intend(struct course *c, json_t *fact)
{
	return course_intend(c, fact, "rules");
}

static int rules_make(struct course *c, json_t *fact)
{
	const char *source = pipe_option(c->job->options, "source_address");
	const char *operator= pipe_option(c->job->options, "operator_address");
	json_t *list = json_array();
	CLEANUP_JSON json_t *params = NULL;
	int rc = course_cloud(c);

	json_array_append_new(list, rule(source, WIRE_CONTROL_PORT, "source, service"));
	json_array_append_new(list, rule(source, WIRE_DATA_PORT, "source, data"));
	if (*operator)
		json_array_append_new(list, rule(operator, WIRE_CONTROL_PORT, "operator, service"));
	params = json_pack("{s:s, s:s, s:o}", "SecurityGroupId",
			   course_fact_text(c, "security-group", "id"), "ClientToken",
			   pipe_option(fact, "token"), "Permissions", list);
	/* A rule that is there already is success. */
	return rc < 0 ? rc
		      : cloud_call(c->cloud, CLOUD_ECS, course_region(c), "AuthorizeSecurityGroup",
				   params, NULL);
}

const struct pipe_step rules_step = {
	.name = "rules",
	.phase = PIPE_PREPARING,
	.temporary = true,
	.wanted = is_cloud,
	.intend = rules_intend,
	.make = rules_make,
};
