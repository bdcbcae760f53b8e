/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Settings of the account from the environment (docs/cloud.md, "Settings"). */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "cloud/cloud.h"

static const char *env(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] ? value : NULL;
}

static void read_endpoints(struct cloud_options *o)
{
	for (int i = 0; i < CLOUD_PRODUCT_COUNT; i++) {
		char name[48];

		snprintf(name, sizeof(name), "COLDLIFT_ENDPOINT_%s",
			 cloud_product_name((enum cloud_product)i));
		for (char *p = name; *p; p++)
			*p = (char)toupper((unsigned char)*p);
		if (!o->endpoint[i])
			o->endpoint[i] = env(name);
	}
	if (!o->metadata_endpoint)
		o->metadata_endpoint = env("COLDLIFT_ENDPOINT_METADATA");
}

static int read_signature(const char *name, const char *new_word, const char *old_word,
			  enum cloud_signature *out)
{
	const char *value = env(name);

	if (!value)
		return 0;
	if (strcmp(value, new_word) != 0 && strcmp(value, old_word) != 0)
		return fail(EINVAL, "%s: \"%s\" is neither %s nor %s", name, value, new_word,
			    old_word);
	*out = strcmp(value, old_word) == 0 ? CLOUD_SIGNATURE_OLD : CLOUD_SIGNATURE_NEW;
	return 0;
}

static int read_ms(const char *name, uint64_t *out)
{
	const char *value = env(name);

	if (!value || *out)
		return 0;
	return num_parse(value, 1, 86400000, out) == 0
		       ? 0
		       : fail(EINVAL, "%s: \"%s\" is not a number of milliseconds", name, value);
}

static int read_kill(struct cloud_options *o)
{
	static const char *const words[] = {"before", "sent", "reply"};
	const char *value = env("COLDLIFT_CLOUD_KILL");
	char number[24] = "";
	size_t n = value ? strcspn(value, ":") : 0;

	if (!value)
		return 0;
	if (value[n] == ':' && n < sizeof(number)) {
		memcpy(number, value, n);
		for (int i = 0; i < 3; i++) {
			if (strcmp(value + n + 1, words[i]) != 0 ||
			    num_parse(number, 1, UINT64_MAX, &o->kill_call) < 0)
				continue;
			o->kill_stage = (enum cloud_stage)i;
			return 0;
		}
	}
	return fail(EINVAL, "COLDLIFT_CLOUD_KILL: \"%s\" is not NUMBER:before|sent|reply", value);
}

int cloud_options_from_environment(struct cloud_options *o)
{
	int rc;

	read_endpoints(o);
	if (!o->ca_bundle)
		o->ca_bundle = env("COLDLIFT_CA_BUNDLE");
	if (!o->ca_bundle)
		o->ca_bundle = env("SSL_CERT_FILE");
	rc = read_signature("COLDLIFT_RPC_SIGNATURE", "v3", "v1", &o->rpc_signature);
	if (rc == 0)
		rc = read_signature("COLDLIFT_OSS_SIGNATURE", "v4", "v1", &o->oss_signature);
	if (rc == 0)
		rc = read_ms("COLDLIFT_CLOUD_BACKOFF_MS", &o->backoff_ms);
	if (rc == 0)
		rc = read_ms("COLDLIFT_CLOUD_RETRY_MS", &o->retry_for_ms);
	if (rc == 0)
		rc = read_ms("COLDLIFT_CLOUD_TIMEOUT_MS", &o->call_timeout_ms);
	return rc == 0 ? read_kill(o) : rc;
}
