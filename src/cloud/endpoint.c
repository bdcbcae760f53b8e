/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Endpoints; see endpoint.h. Rules: the vendor's endpoint documents and the tables of its SDKs. */
#include "cloud/endpoint.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/num.h"
#include "cloud/http.h"

static const struct product {
	const char *name;
	const char *central; /* one host for all regions, or NULL: NAME.REGION */
	const char *internal;
} products[] = {
	[CLOUD_ECS] = {"ecs", NULL, "ecs-vpc"},
	[CLOUD_VPC] = {"vpc", NULL, "vpc-vpc"},
	[CLOUD_ENS] = {"ens", "ens.aliyuncs.com", NULL},
	[CLOUD_STS] = {"sts", "sts.aliyuncs.com", "sts-vpc"},
	[CLOUD_RAM] = {"ram", "ram.aliyuncs.com", NULL},
	[CLOUD_OSS] = {"oss", NULL, NULL},
};

/* Regions that are older than the rule. */
static const struct exception {
	enum cloud_product product;
	const char *region;
	const char *host;
} exceptions[] = {
	{CLOUD_ECS, "cn-hangzhou", "ecs-cn-hangzhou.aliyuncs.com"},
	{CLOUD_VPC, "cn-hangzhou", "vpc.aliyuncs.com"},
};

const char *cloud_product_name(enum cloud_product product)
{
	return products[product].name;
}

static int check_label(const char *text, const char *what)
{
	if (text && text[0] && strlen(text) <= 63 &&
	    text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0')
		return 0;
	return fail_code(EINVAL, "CLOUD_NAME_INVALID",
			 "\"%s\" is not the name of a %s: small letters, digits and '-'",
			 text ? text : "", what);
}

int endpoint_check(const char *url, const char *what)
{
	const char *host = url ? strstr(url, "://") : NULL;

	if (!url)
		return 0;
	if (host && host[3] && !strpbrk(host + 3, "@?#") &&
	    (strncasecmp(url, "https://", 8) == 0 || http_is_loopback(url)))
		return 0;
	return fail_code(EPERM, "CLOUD_ENDPOINT_REFUSED",
			 "endpoint of %s: \"%s\" is neither https nor http on this machine itself",
			 what, url);
}

static void from_override(const char *url, struct arena *a, struct endpoint *out)
{
	size_t n = strlen(url);

	while (n > 0 && url[n - 1] == '/')
		n--;
	out->url = arena_strndup(a, url, n);
	out->host = strstr(out->url, "://") + 3;
	out->by_path = true;
}

static void from_host(const char *host, struct arena *a, struct endpoint *out)
{
	*out = (struct endpoint){.url = arena_printf(a, "https://%s", host), .host = host};
}

int endpoint_rpc(const struct cloud_options *o, enum cloud_product product, const char *region,
		 struct arena *a, struct endpoint *out)
{
	const struct product *p = &products[product];
	int rc;

	if (o->endpoint[product]) {
		from_override(o->endpoint[product], a, out);
		return 0;
	}
	if (p->central && !(o->internal && p->internal)) {
		from_host(p->central, a, out);
		return 0;
	}
	rc = check_label(region, "region");
	if (rc < 0)
		return rc;
	for (size_t i = 0; !o->internal && i < ARRAY_SIZE(exceptions); i++) {
		if (exceptions[i].product != product || strcmp(exceptions[i].region, region) != 0)
			continue;
		from_host(exceptions[i].host, a, out);
		return 0;
	}
	from_host(
		arena_printf(a, "%s.%s.aliyuncs.com", o->internal ? p->internal : p->name, region),
		a, out);
	return 0;
}

int endpoint_oss(const struct cloud_options *o, const char *region, const char *bucket,
		 bool internal, struct arena *a, struct endpoint *out)
{
	int rc = check_label(region, "region");

	if (rc == 0 && bucket)
		rc = check_label(bucket, "bucket");
	if (rc < 0)
		return rc;
	if (o->endpoint[CLOUD_OSS]) {
		from_override(o->endpoint[CLOUD_OSS], a, out);
		return 0;
	}
	from_host(arena_printf(a, "%s%soss-%s%s.aliyuncs.com", bucket ? bucket : "",
			       bucket ? "." : "", region,
			       internal || o->internal ? "-internal" : ""),
		  a, out);
	return 0;
}
