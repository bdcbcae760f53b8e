/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Is the account fit for a job? Everything is asked before anything is made. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "cloud/private.h"

#define CLOCK_TOLERANCE_S 60

struct asking {
	struct cloud *c;
	const struct cloud_check *what;
	cloud_check_fn say;
	void *ctx;
	int unfit;
};

static void say(struct asking *q, const char *subject, enum cloud_fitness fitness, const char *code,
		const char *text)
{
	q->unfit += fitness == CLOUD_UNFIT;
	q->say(q->ctx, subject, fitness, code, text);
}

/* rc of a call, 0 or -errno with its reason. */
static void say_result(struct asking *q, const char *subject, int rc, const char *fine)
{
	if (rc < 0)
		say(q, subject, CLOUD_UNFIT, err_code(), err_reason());
	else
		say(q, subject, CLOUD_FIT, "", fine);
}

static int ask_keys(struct asking *q)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	const char *id, *arn;
	int rc = cloud_identity(q->c, a, &id, &arn);

	say_result(q, "keys", rc,
		   rc < 0 ? NULL : arena_printf(a, "they belong to %s, account %s", arn, id));
	return rc;
}

static void ask_clock(struct asking *q)
{
	char text[160];
	long long off = (long long)-q->c->offset_s;

	if (off > -CLOCK_TOLERANCE_S && off < CLOCK_TOLERANCE_S) {
		say(q, "clock", CLOUD_FIT, "", "it agrees with the cloud's");
		return;
	}
	snprintf(text, sizeof(text),
		 "this machine's clock is %lld s off; calls go on with the cloud's time, but "
		 "certificates may not be accepted. Set it right (NTP)",
		 off);
	say(q, "clock", CLOUD_UNSURE, "", text);
}

static void ask_network(struct asking *q)
{
	CLEANUP_JSON json_t *params = json_pack("{s:s, s:s, s:b}", "CidrBlock", "172.16.0.0/16",
						"VpcName", "coldlift-check", "DryRun", 1);
	int rc = cloud_call(q->c, CLOUD_VPC, q->what->region, "CreateVpc", params, NULL);

	/* Not needed when the job names a network that is there. */
	if (rc == -EDQUOT)
		say(q, "network", CLOUD_UNSURE, err_code(), err_reason());
	else
		say_result(q, "network", rc, "a VPC could be made");
}

static void ask_list(struct asking *q, const char *subject, enum cloud_product product,
		     const char *action, const char *fine)
{
	say_result(q, subject, cloud_call(q->c, product, q->what->region, action, NULL, NULL),
		   fine);
}

static void ask_role(struct asking *q)
{
	CLEANUP_JSON json_t *params = json_pack("{s:s}", "RoleName", q->what->export_role);
	int rc = cloud_call(q->c, CLOUD_RAM, NULL, "GetRole", params, NULL);
	char text[320];

	if (rc == -EACCES) {
		say(q, "export role", CLOUD_UNSURE, err_code(),
		    "these keys may not look at roles; whether ECS may write to the bucket shows "
		    "only in the export");
	} else if (rc == -ENOENT) {
		snprintf(text, sizeof(text), "there is no role %s. %s", q->what->export_role,
			 cloud_rule_find("NoSetRoletoECSServiceAcount", 403, false)->advice);
		say(q, "export role", CLOUD_UNFIT, "NoSetRoletoECSServiceAcount", text);
	} else {
		say_result(q, "export role", rc, "it is there");
	}
}

static void ask_bucket(struct asking *q)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	const struct cloud_object at = {.region = q->what->region, .bucket = q->what->bucket};
	struct cloud_bucket_info info;
	int rc = cloud_bucket_info(q->c, &at, a, &info);

	if (rc < 0)
		say_result(q, "bucket", rc, NULL);
	else if (strcmp(info.region, q->what->region) != 0)
		say(q, "bucket", CLOUD_UNFIT, "InvalidOSSBucket.NotMatched",
		    arena_printf(a, "bucket %s is in %s and not in %s", at.bucket, info.region,
				 at.region));
	else if (strstr(info.storage_class, "Archive"))
		say(q, "bucket", CLOUD_UNFIT, "InvalidObjectState",
		    arena_printf(a, "bucket %s is of class %s, which cannot be read at once",
				 at.bucket, info.storage_class));
	else if (info.versioned)
		say(q, "bucket", CLOUD_UNSURE, "",
		    arena_printf(a,
				 "bucket %s keeps versions; the keys need the permission to "
				 "delete these, too",
				 at.bucket));
	else
		say(q, "bucket", CLOUD_FIT, "", "it is in the region and can be read at once");
}

int cloud_check(struct cloud *c, const struct cloud_check *what, cloud_check_fn fn, void *ctx)
{
	struct asking q = {.c = c, .what = what, .say = fn, .ctx = ctx};
	int rc = ask_keys(&q);

	/* Without keys, or a cloud, all else would say the same. */
	if (rc == -ECANCELED || rc == -EACCES || rc == -EAGAIN || rc == -EKEYREJECTED)
		return rc == -ECANCELED ? rc : q.unfit;
	ask_clock(&q);
	ask_network(&q);
	ask_list(&q, "instances", CLOUD_ECS, "DescribeInstances", "they can be listed");
	ask_list(&q, "security groups", CLOUD_ECS, "DescribeSecurityGroups", "they can be listed");
	ask_list(&q, "snapshots", CLOUD_ECS, "DescribeSnapshots", "they can be listed");
	ask_list(&q, "images", CLOUD_ECS, "DescribeImages", "they can be listed");
	ask_list(&q, "edge images", CLOUD_ENS, "DescribeSelfImages", "they can be listed");
	if (what->export_role)
		ask_role(&q);
	if (what->bucket)
		ask_bucket(&q);
	return q.unfit;
}
