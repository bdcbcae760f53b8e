/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls of actions: parameters, signing, tries, pages. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/num.h"
#include "cloud/endpoint.h"
#include "cloud/private.h"
#include "cloud/text.h"

#define QUERY_MAX_BYTES 4096 /* what is longer goes as a form: V1 is the signature that can */
#define PAGES_MAX	1000

struct rpc {
	struct cloud *c;
	const struct action *action;
	const char *what;
	const char *host;
	const char *url;
	const struct sign_pairs *params;
};

int cloud_new_token(char out[CLOUD_TOKEN_BYTES])
{
	uint8_t r[(CLOUD_TOKEN_BYTES - 1) / 2];

	if (getrandom(r, sizeof(r), 0) != sizeof(r))
		return fail(errno, "random bytes for a ClientToken");
	hex_encode(r, sizeof(r), out);
	return 0;
}

/* Parameters as they came, and those that we add. */
static int prepare_params(const struct action *action, const char *region, const json_t *params,
			  struct arena *a, struct sign_pairs *out)
{
	char token[CLOUD_TOKEN_BYTES];
	int rc = sign_flatten(a, params, out);

	if (rc < 0)
		return rc;
	if ((action->flags & ACTION_REGION) && !sign_find(out, "RegionId")) {
		if (!region)
			return fail(EINVAL, "no region is given");
		sign_add(a, out, "RegionId", region);
	}
	if ((action->flags & ACTION_TOKEN) && !sign_find(out, "ClientToken")) {
		rc = cloud_new_token(token);
		if (rc < 0)
			return rc;
		sign_add(a, out, "ClientToken", arena_strdup(a, token));
	}
	return 0;
}

/* Sign one try and send it. */
static int send_once(const struct rpc *r, struct arena *a, struct http_reply *reply)
{
	struct cloud *c = r->c;
	struct sign_keys keys;
	struct signed_rpc s = {0};
	char nonce[CLOUD_TOKEN_BYTES];
	bool form = c->o.rpc_signature == CLOUD_SIGNATURE_OLD ||
		    strlen(sign_query(a, r->params)) > QUERY_MAX_BYTES;
	struct http_request h =
		HTTP_REQUEST(.what = r->what, .method = "POST",
			     .timeout_ms = cloud_call_timeout_ms(c),
			     .once = !(r->action->flags & (ACTION_READ | ACTION_AGAIN)));
	struct sign_rpc q = {.method = "POST",
			     .host = r->host,
			     .action = r->action->name,
			     .version = action_version(r->action->product),
			     .params = r->params,
			     .keys = &keys,
			     .time_s = cloud_now(c),
			     .nonce = nonce};
	int rc = credentials_get(c, &keys);

	if (rc == 0)
		rc = cloud_new_token(nonce);
	if (rc < 0)
		return rc;
	q.time_s = cloud_now(c);
	if (form) {
		sign_rpc_v1(a, &q, &s);
		sign_add(a, &s.headers, "content-type", "application/x-www-form-urlencoded");
		h.url = arena_printf(a, "%s/", r->url);
		h.body = s.query;
		h.body_bytes = strlen(s.query);
	} else {
		sign_rpc_v3(a, &q, &s);
		h.url = arena_printf(a, "%s/%s%s", r->url, s.query[0] ? "?" : "", s.query);
	}
	sign_add(a, &s.headers, "accept", "application/json");
	h.headers = &s.headers;
	return http_perform(c->http, &h, a, reply);
}

/* 1: once more. */
static int try_once(const struct rpc *r, struct attempt *t, json_t **reply)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_REPLY struct http_reply got = {0};
	int64_t server_time_s;
	int rc = send_once(r, a, &got);

	if (rc < 0)
		return attempt_lost(t, rc);
	server_time_s = cloud_server_time(r->c, &got);
	if (got.status / 100 == 2) {
		json_error_t where;

		*reply = json_loadb(got.body ? got.body : "", got.bytes, JSON_REJECT_DUPLICATES,
				    &where);
		if (json_is_object(*reply)) {
			r->c->error = (struct cloud_error){0};
			return 0;
		}
		json_decref(steal_ptr(reply));
		return attempt_lost(t, fail_code(EBADMSG, "CLOUD_REPLY_INVALID",
						 "%s: the reply is not a JSON object: %s", r->what,
						 where.text));
	}
	error_from_json(r->c, &got);
	rc = attempt_refused(t, server_time_s);
	if (rc == 0)
		*reply = json_object();
	return rc;
}

static int call(struct cloud *c, enum cloud_product product, const char *region, const char *name,
		const json_t *params, bool single, json_t **out)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_JSON json_t *reply = NULL;
	const char *what = arena_printf(a, "%s %s", cloud_product_name(product), name);
	struct sign_pairs flat = {0};
	struct rpc r = {
		.c = c, .action = action_find(product, name), .what = what, .params = &flat};
	struct endpoint at;
	struct attempt t;
	int rc;

	if (out)
		*out = NULL;
	if (!r.action)
		return fail(EINVAL, "%s is not an action that this program knows", what);
	region = region ? region : cloud_region(c);
	rc = prepare_params(r.action, region, params, a, &flat);
	if (rc == 0)
		rc = endpoint_rpc(&c->o, product, region, a, &at);
	if (rc < 0)
		return fail_in(rc, "%s", what);
	r.url = at.url;
	r.host = at.host;
	t = attempt_begin(c, what, r.action->flags & (ACTION_READ | ACTION_AGAIN));
	t.deleting = r.action->flags & ACTION_DELETE;
	t.single = single;
	do
		rc = try_once(&r, &t, &reply);
	while (rc == 1);
	if (rc < 0)
		return rc;
	log_debug("%s: done, request %s", what, cloud_get_string_or(reply, "RequestId", "-"));
	if (out)
		*out = steal_ptr(&reply);
	return 0;
}

int cloud_call(struct cloud *c, enum cloud_product product, const char *region, const char *action,
	       const json_t *params, json_t **reply)
{
	return call(c, product, region, action, params, false, reply);
}

int cloud_call_once(struct cloud *c, enum cloud_product product, const char *region,
		    const char *action, const json_t *params, json_t **reply)
{
	return call(c, product, region, action, params, true, reply);
}

/* Where the next page begins: set in params. 0: there is none, 1: there is. */
static int next_page(const struct action *action, const json_t *reply, size_t got_now,
		     uint64_t got_all, unsigned page, json_t *params)
{
	const char *next = cloud_get_string_or(reply, "NextToken", "");
	uint64_t total = cloud_get_u64_or(reply, "TotalCount", UINT64_MAX);

	if (action->flags & ACTION_NEXT) {
		const char *before = json_string_value(json_object_get(params, "NextToken"));

		if (!next[0])
			return 0;
		if (before && strcmp(before, next) == 0)
			return fail(EBADMSG, "the same page comes again and again");
		json_object_set_new(params, "NextToken", json_string(next));
		return 1;
	}
	if (got_now == 0 || got_all >= total ||
	    (total == UINT64_MAX && got_now < action->page_size))
		return 0;
	json_object_set_new(params, "PageNumber", json_integer(page + 1));
	return 1;
}

int cloud_call_pages(struct cloud *c, enum cloud_product product, const char *region,
		     const char *name, const json_t *params, const char *list_path, json_t **list)
{
	const struct action *action = action_find(product, name);
	CLEANUP_JSON json_t *all = json_array(),
			    *paged = params ? json_deep_copy(params) : json_object();
	int rc = 1;

	*list = NULL;
	if (!action || !(action->flags & (ACTION_PAGES | ACTION_NEXT)))
		return fail(EINVAL, "%s is not an action with pages", name);
	if (action->page_size)
		json_object_set_new(paged, action->flags & ACTION_NEXT ? "MaxResults" : "PageSize",
				    json_integer(action->page_size));
	if (action->flags & ACTION_PAGES)
		json_object_set_new(paged, "PageNumber", json_integer(1));
	for (unsigned page = 1; rc == 1; page++) {
		CLEANUP_JSON json_t *reply = NULL;
		const json_t *part;

		if (page > PAGES_MAX)
			return fail(EBADMSG, "%s: more than %u pages", name, PAGES_MAX);
		rc = cloud_call(c, product, region, name, paged, &reply);
		if (rc < 0)
			return rc;
		part = cloud_get_list(reply, list_path);
		if (part)
			json_array_extend(all, (json_t *)part);
		rc = next_page(action, reply, json_array_size(part), json_array_size(all), page,
			       paged);
	}
	if (rc < 0)
		return fail_in(rc, "%s", name);
	*list = steal_ptr(&all);
	return 0;
}
