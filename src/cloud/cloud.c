/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One account: options, and who the keys belong to. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "cloud/endpoint.h"
#include "cloud/private.h"
#include "cloud/text.h"

static const char *copy(struct cloud *c, const char *text)
{
	return text ? arena_strdup(c->a, text) : NULL;
}

static int copy_options(struct cloud *c, const struct cloud_options *o)
{
	int rc = endpoint_check(o->metadata_endpoint, "the instance metadata");

	c->o = *o;
	c->o.region = copy(c, o->region);
	c->o.metadata_endpoint = copy(c, o->metadata_endpoint);
	c->o.ca_bundle = copy(c, o->ca_bundle);
	c->o.config_path = copy(c, o->config_path);
	c->o.profile = copy(c, o->profile);
	for (int i = 0; rc == 0 && i < CLOUD_PRODUCT_COUNT; i++) {
		c->o.endpoint[i] = copy(c, o->endpoint[i]);
		rc = endpoint_check(o->endpoint[i], cloud_product_name((enum cloud_product)i));
	}
	return rc;
}

int cloud_open(const struct cloud_options *options, struct cloud **out)
{
	struct cloud *c = calloc(1, sizeof(*c));
	int rc;

	*out = NULL;
	if (c)
		c->a = arena_new();
	if (!c || !c->a) {
		free(c);
		return fail(ENOMEM, "memory for the cloud account");
	}
	rc = copy_options(c, options);
	c->credentials = credentials_new();
	if (rc == 0 && !c->credentials)
		rc = fail(ENOMEM, "memory for the keys");
	if (rc == 0)
		rc = http_new(&c->o, &c->http);
	if (rc < 0) {
		cloud_close(c);
		return rc;
	}
	*out = c;
	return 0;
}

void cloud_close(struct cloud *c)
{
	if (!c)
		return;
	http_free(c->http);
	json_decref(c->kept);
	credentials_free(c->credentials);
	arena_free(c->a);
	free(c);
}

int cloud_identity(struct cloud *c, struct arena *a, const char **account_id, const char **arn)
{
	CLEANUP_JSON json_t *reply = NULL;
	const char *id, *name;
	int rc = cloud_call(c, CLOUD_STS, NULL, "GetCallerIdentity", NULL, &reply);

	if (rc == 0)
		rc = cloud_get_string(reply, "AccountId", &id);
	if (rc == 0)
		rc = cloud_get_string(reply, "Arn", &name);
	if (rc < 0)
		return rc;
	*account_id = arena_strdup(a, id);
	*arn = arena_strdup(a, name);
	return 0;
}

int cloud_post_json(const char *url, const char *body, const void *secret, size_t secret_bytes,
		    const char *ca_bundle, uint64_t timeout_ms)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_REPLY struct http_reply reply = {0};
	struct cloud_options o = {.ca_bundle = ca_bundle};
	struct sign_pairs headers = {0};
	struct http_request r =
		HTTP_REQUEST(.what = "webhook", .method = "POST", .url = url, .headers = &headers,
			     .body = body, .body_bytes = strlen(body), .timeout_ms = timeout_ms);
	struct http *h = NULL;
	uint8_t mac[32];
	char hex[2 * sizeof(mac) + 1];
	int rc;

	sign_add(a, &headers, "content-type", "application/json");
	if (secret) {
		sign_hmac_sha256(secret, secret_bytes, body, strlen(body), mac);
		hex_encode(mac, sizeof(mac), hex);
		sign_add(a, &headers, "x-coldlift-signature", arena_printf(a, "sha256=%s", hex));
	}
	rc = http_new(&o, &h);
	if (rc == 0)
		rc = http_perform(h, &r, a, &reply);
	http_free(h);
	if (rc == 0 && reply.status / 100 != 2)
		rc = fail(EREMOTEIO, "webhook: answered with status %u", reply.status);
	return rc;
}
