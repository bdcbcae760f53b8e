/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The actions that may be called, and what decides whether one may be repeated after a lost reply.
 * An action that is not here cannot be called: its safety would be a guess.
 */
#include <string.h>

#include "base/num.h"
#include "cloud/private.h"

#define READ   ACTION_READ
#define AGAIN  ACTION_AGAIN
#define TOKEN  (ACTION_TOKEN | ACTION_AGAIN)
#define DELETE (ACTION_DELETE | ACTION_AGAIN)
#define REGION ACTION_REGION
#define PAGES  (ACTION_READ | ACTION_REGION | ACTION_PAGES)
#define NEXT   (ACTION_READ | ACTION_REGION | ACTION_NEXT)
#define TAGS   ACTION_TAGS

static const struct action table[] = {
	{CLOUD_ECS, "AllocatePublicIpAddress", AGAIN, 0},
	{CLOUD_ECS, "AttachDisk", 0, 0},
	{CLOUD_ECS, "AuthorizeSecurityGroup", TOKEN | REGION, 0},
	{CLOUD_ECS, "AuthorizeSecurityGroupEgress", TOKEN | REGION, 0},
	{CLOUD_ECS, "CancelTask", AGAIN | REGION, 0},
	{CLOUD_ECS, "CreateDisk", TOKEN | REGION, 0},
	{CLOUD_ECS, "CreateImage", TOKEN | REGION, 0},
	{CLOUD_ECS, "CreateInstance", TOKEN | REGION, 0},
	{CLOUD_ECS, "CreateSecurityGroup", TOKEN | REGION, 0},
	{CLOUD_ECS, "CreateSnapshot", TOKEN, 0},
	{CLOUD_ECS, "CreateSnapshotGroup", TOKEN | REGION, 0},
	{CLOUD_ECS, "DeleteDisk", DELETE, 0},
	{CLOUD_ECS, "DeleteImage", DELETE | REGION, 0},
	{CLOUD_ECS, "DeleteInstance", DELETE, 0},
	{CLOUD_ECS, "DeleteInstances", DELETE | TOKEN | REGION, 0},
	{CLOUD_ECS, "DeleteSecurityGroup", DELETE | REGION, 0},
	{CLOUD_ECS, "DeleteSnapshot", DELETE, 0},
	{CLOUD_ECS, "DescribeAccountAttributes", READ | REGION, 0},
	{CLOUD_ECS, "DescribeAvailableResource", READ | REGION, 0},
	{CLOUD_ECS, "DescribeDisks", NEXT | TAGS, 100},
	{CLOUD_ECS, "DescribeImages", PAGES | TAGS, 100},
	{CLOUD_ECS, "DescribeInstanceStatus", PAGES, 50},
	{CLOUD_ECS, "DescribeInstanceTypes", READ | ACTION_NEXT, 100},
	{CLOUD_ECS, "DescribeInstances", NEXT | TAGS, 100},
	{CLOUD_ECS, "DescribePrice", READ | REGION, 0},
	{CLOUD_ECS, "DescribeRegions", READ, 0},
	{CLOUD_ECS, "DescribeSecurityGroupAttribute", READ | REGION, 0},
	{CLOUD_ECS, "DescribeSecurityGroups", NEXT | TAGS, 100},
	{CLOUD_ECS, "DescribeSnapshots", NEXT | TAGS, 100},
	{CLOUD_ECS, "DescribeTaskAttribute", READ | REGION, 0},
	{CLOUD_ECS, "DescribeTasks", PAGES, 100},
	{CLOUD_ECS, "DescribeZones", READ | REGION, 0},
	{CLOUD_ECS, "DetachDisk", AGAIN, 0},
	{CLOUD_ECS, "ExportImage", REGION, 0},
	{CLOUD_ECS, "ImportImage", TOKEN | REGION, 0},
	{CLOUD_ECS, "ListTagResources", READ | REGION | ACTION_NEXT | TAGS, 0},
	{CLOUD_ECS, "ModifyInstanceAttribute", AGAIN, 0},
	{CLOUD_ECS, "RevokeSecurityGroup", TOKEN | REGION, 0},
	{CLOUD_ECS, "RunInstances", TOKEN | REGION, 0},
	{CLOUD_ECS, "StartInstance", AGAIN, 0},
	{CLOUD_ECS, "StopInstance", AGAIN, 0},
	{CLOUD_ECS, "TagResources", AGAIN | REGION, 0},
	{CLOUD_ECS, "UntagResources", AGAIN | REGION, 0},

	{CLOUD_VPC, "CreateVSwitch", TOKEN | REGION, 0},
	{CLOUD_VPC, "CreateVpc", TOKEN | REGION, 0},
	{CLOUD_VPC, "DeleteVSwitch", DELETE | REGION, 0},
	{CLOUD_VPC, "DeleteVpc", DELETE | TOKEN | REGION, 0},
	{CLOUD_VPC, "DescribeVSwitchAttributes", READ | REGION, 0},
	{CLOUD_VPC, "DescribeVSwitches", PAGES | TAGS, 50},
	{CLOUD_VPC, "DescribeVpcAttribute", READ | REGION, 0},
	{CLOUD_VPC, "DescribeVpcs", PAGES | TAGS, 50},
	{CLOUD_VPC, "DescribeZones", READ | REGION, 0},
	{CLOUD_VPC, "ListTagResources", READ | REGION | ACTION_NEXT | TAGS, 50},
	{CLOUD_VPC, "TagResources", AGAIN | REGION, 0},
	{CLOUD_VPC, "UntagResources", AGAIN | REGION, 0},

	{CLOUD_ENS, "DeleteImage", DELETE, 0},
	{CLOUD_ENS, "DescribeEnsRegions", READ, 0},
	{CLOUD_ENS, "DescribeImages", READ | ACTION_PAGES, 50},
	{CLOUD_ENS, "DescribeSelfImages", READ | ACTION_PAGES, 50},
	{CLOUD_ENS, "ImportImage", 0, 0},

	{CLOUD_STS, "AssumeRole", AGAIN, 0},
	{CLOUD_STS, "GetCallerIdentity", READ, 0},

	{CLOUD_RAM, "GetRole", READ, 0},
	{CLOUD_RAM, "ListPoliciesForRole", READ, 0},
};

const struct action *action_find(enum cloud_product product, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].product == product && strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

const struct action *action_at(size_t n)
{
	return n < ARRAY_SIZE(table) ? &table[n] : NULL;
}

const char *action_version(enum cloud_product product)
{
	static const char *const versions[CLOUD_PRODUCT_COUNT] = {
		[CLOUD_ECS] = "2014-05-26", [CLOUD_VPC] = "2016-04-28", [CLOUD_ENS] = "2017-11-10",
		[CLOUD_STS] = "2015-04-01", [CLOUD_RAM] = "2015-05-01", [CLOUD_OSS] = "",
	};

	return versions[product];
}
