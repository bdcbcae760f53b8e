/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keys of the role that the instance has which this program runs on: from the metadata service,
 * with a session token where the service gives one (its "hardened" mode), as the vendor's documents
 * say.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cloud/keys.h"
#include "cloud/private.h"
#include "cloud/text.h"

#define METADATA    "http://100.100.100.200"
#define ROLES	    "/latest/meta-data/ram/security-credentials/"
#define ABSENT_MS   5000 /* it answers soon, or is not there, as on most machines */
#define CONNECT_MS  1500
#define TOKEN_TTL_S "300"
#define REPLY_MAX   (64u << 10)

static const char *base_url(const struct cloud *c)
{
	return c->o.metadata_endpoint ? c->o.metadata_endpoint : METADATA;
}

static int ask(struct cloud *c, const char *method, const char *path, const char *token,
	       struct arena *a, struct http_reply *reply)
{
	struct sign_pairs headers = {0};
	struct http_request r =
		HTTP_REQUEST(.what = "instance metadata", .method = method,
			     .url = arena_printf(a, "%s%s", base_url(c), path), .headers = &headers,
			     .timeout_ms = ABSENT_MS, .connect_ms = CONNECT_MS, .direct = true,
			     .reply_max_bytes = REPLY_MAX);

	/* One that was named is there, and may be slow. */
	if (c->o.metadata_endpoint) {
		r.timeout_ms = cloud_call_timeout_ms(c);
		r.connect_ms = 0;
	}
	if (strcmp(method, "PUT") == 0)
		sign_add(a, &headers, "X-aliyun-ecs-metadata-token-ttl-seconds", TOKEN_TTL_S);
	if (token)
		sign_add(a, &headers, "X-aliyun-ecs-metadata-token", token);
	return http_perform(c->http, &r, a, reply);
}

/* NULL: the service has no tokens, and is asked without. */
static const char *session_token(struct cloud *c, struct arena *a)
{
	CLEANUP_REPLY struct http_reply r = {0};

	if (ask(c, "PUT", "/latest/api/token", NULL, a, &r) < 0 || r.status != 200 || !r.body ||
	    strpbrk(r.body, "\r\n"))
		return NULL;
	return arena_strdup(a, r.body);
}

static int no_role(void)
{
	return fail_code(EACCES, "CLOUD_KEYS_MISSING",
			 "no access key in the environment and no configuration file, and this "
			 "machine is not a cloud instance with a RAM role");
}

static int role_name(struct cloud *c, const char *token, struct arena *a, const char **name)
{
	CLEANUP_REPLY struct http_reply r = {0};
	const char *given = c->credentials->instance_role;

	if (!given)
		given = getenv("ALIBABA_CLOUD_ECS_METADATA");
	if (given && given[0]) {
		*name = given;
		return 0;
	}
	if (ask(c, "GET", ROLES, token, a, &r) < 0 || r.status != 200 || !r.body)
		return no_role();
	r.body[strcspn(r.body, "\r\n")] = '\0';
	*name = arena_strdup(a, r.body);
	return (*name)[0] ? 0 : no_role();
}

/* whose: "the instance's role". */
static int take_keys(const char *whose, const char *text, size_t bytes, struct keyset *k)
{
	json_t *json = json_loadb(text, bytes, 0, NULL);
	const char *code, *id, *secret, *token, *until;
	int rc = -EBADMSG;

	code = cloud_get_string_or(json, "Code", "");
	if (strcmp(code, "Success") != 0)
		rc = fail_code(EACCES, "CLOUD_KEYS_MISSING", "%s gives no keys: \"%.40s\"", whose,
			       code);
	else if (cloud_get_string(json, "AccessKeyId", &id) == 0 &&
		 cloud_get_string(json, "AccessKeySecret", &secret) == 0 &&
		 cloud_get_string(json, "SecurityToken", &token) == 0 &&
		 cloud_get_string(json, "Expiration", &until) == 0)
		rc = keyset_set(k, id, secret, token, text_parse_iso_time(until));
	keys_wipe_json(json);
	json_decref(json);
	return rc;
}

int keys_from_instance(struct cloud *c, struct keyset *k)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_REPLY struct http_reply r = {0};
	const char *token = session_token(c, a), *name = NULL;
	int rc = role_name(c, token, a, &name);

	if (rc < 0)
		return rc;
	rc = ask(c, "GET", arena_printf(a, ROLES "%s", text_encoded(a, name, false)), token, a, &r);
	if (rc < 0)
		return rc;
	if (r.status != 200 || !r.body)
		return fail_code(EACCES, "CLOUD_KEYS_MISSING",
				 "the metadata service has no keys for role %.60s (status %u)",
				 name, r.status);
	rc = take_keys("the instance's role", r.body, r.bytes, k);
	return rc < 0 ? fail_in(rc, "role %.60s", name) : 0;
}

int keys_from_uri(struct cloud *c, struct keyset *k)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_REPLY struct http_reply r = {0};
	struct sign_pairs headers = {0};
	struct http_request q =
		HTTP_REQUEST(.what = "credentials_uri", .method = "GET", .url = c->credentials->uri,
			     .headers = &headers, .timeout_ms = cloud_call_timeout_ms(c),
			     .reply_max_bytes = REPLY_MAX,
			     .direct = http_is_loopback(c->credentials->uri));
	int rc = http_perform(c->http, &q, a, &r);

	if (rc < 0)
		return rc;
	if (r.status != 200 || !r.body)
		return fail_code(EACCES, "CLOUD_KEYS_MISSING",
				 "the service at credentials_uri gives no keys (status %u)",
				 r.status);
	return take_keys("the service at credentials_uri", r.body, r.bytes, k);
}
