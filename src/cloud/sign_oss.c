/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Signatures of OSS requests and URLs: V1 (HMAC-SHA1) and V4 (HMAC-SHA256, a key for a day). */
#include <string.h>
#include <strings.h>

#include "base/num.h"
#include "cloud/sign.h"
#include "cloud/text.h"

#define V4_ALGORITHM "OSS4-HMAC-SHA256"
#define V4_PAYLOAD   "UNSIGNED-PAYLOAD"

/* V1 signs these query parameters alone, and all that begin with "response-" or "x-oss-". */
static const char *const v1_subresources[] = {
	"acl",		"append",     "bucketInfo", "callback",
	"callback-var", "cloudboxes", "comp",	    "continuation-token",
	"delete",	"location",   "objectMeta", "partNumber",
	"position",	"regionList", "restore",    "security-token",
	"sequential",	"stat",	      "symlink",    "tagging",
	"uploadId",	"uploads",    "versionId",  "versioning",
	"versions",
};

static bool starts(const char *text, const char *with)
{
	return strncasecmp(text, with, strlen(with)) == 0;
}

static struct sign_pairs copy_pairs(struct arena *a, const struct sign_pairs *p)
{
	struct sign_pairs copy = {0};

	for (size_t i = 0; i < p->count; i++)
		sign_add(a, &copy, p->at[i].name, p->at[i].value);
	return copy;
}

/* ---- V1 ---- */

static bool v1_signs(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(v1_subresources); i++)
		if (strcmp(name, v1_subresources[i]) == 0)
			return true;
	return starts(name, "response-") || starts(name, "x-oss-");
}

static void v1_add_resource(struct arena *a, struct text *t, const struct sign_oss *r,
			    const struct sign_pairs *query)
{
	struct sign_pairs sub = {0};

	text_add(t, "/");
	if (r->bucket)
		text_addf(t, "%s/%s", r->bucket, r->key ? r->key : "");
	for (size_t i = 0; i < query->count; i++)
		if (v1_signs(query->at[i].name))
			sign_add(a, &sub, query->at[i].name, query->at[i].value);
	sign_sort(&sub);
	for (size_t i = 0; i < sub.count; i++) {
		text_addf(t, "%c%s", i ? '&' : '?', sub.at[i].name);
		if (sub.at[i].value && sub.at[i].value[0])
			text_addf(t, "=%s", sub.at[i].value);
	}
}

static const char *v1_string(struct arena *a, const struct sign_oss *r,
			     const struct sign_pairs *headers, const struct sign_pairs *query,
			     const char *date)
{
	const char *md5 = sign_find(headers, "content-md5");
	const char *type = sign_find(headers, "content-type");
	struct text t = text_new(a);
	struct sign_pairs own = {0};

	for (size_t i = 0; i < headers->count; i++)
		if (starts(headers->at[i].name, "x-oss-"))
			sign_add(a, &own, text_lower(a, headers->at[i].name),
				 text_trimmed(a, headers->at[i].value));
	sign_sort(&own);
	text_addf(&t, "%s\n%s\n%s\n%s\n", r->method, md5 ? md5 : "", type ? type : "", date);
	for (size_t i = 0; i < own.count; i++)
		text_addf(&t, "%s:%s\n", own.at[i].name, own.at[i].value);
	v1_add_resource(a, &t, r, query);
	return t.data;
}

void sign_oss_v1(struct arena *a, const struct sign_oss *r, struct signed_oss *out)
{
	const char *date = sign_find(&r->headers, "x-oss-date");

	if (!date)
		date = sign_find(&r->headers, "date");
	*out = (struct signed_oss){.headers = copy_pairs(a, &r->headers),
				   .query = copy_pairs(a, &r->query)};
	if (!date) {
		date = text_time_http(a, r->time_s);
		sign_add(a, &out->headers, "x-oss-date", date);
	}
	if (r->keys->token)
		sign_add(a, &out->headers, "x-oss-security-token", r->keys->token);
	out->string_to_sign = v1_string(a, r, &out->headers, &r->query, date);
	out->signature = sign_hmac_sha1(a, r->keys->secret, out->string_to_sign);
	sign_add(a, &out->headers, "authorization",
		 arena_printf(a, "OSS %s:%s", r->keys->id, out->signature));
}

void sign_oss_v1_url(struct arena *a, const struct sign_oss *r, struct signed_oss *out)
{
	const char *expires = arena_printf(a, "%lld", (long long)r->time_s + (long long)r->valid_s);

	*out = (struct signed_oss){.headers = copy_pairs(a, &r->headers),
				   .query = copy_pairs(a, &r->query)};
	if (r->keys->token)
		sign_add(a, &out->query, "security-token", r->keys->token);
	out->string_to_sign = v1_string(a, r, &out->headers, &out->query, expires);
	out->signature = sign_hmac_sha1(a, r->keys->secret, out->string_to_sign);
	sign_add(a, &out->query, "OSSAccessKeyId", r->keys->id);
	sign_add(a, &out->query, "Expires", expires);
	sign_add(a, &out->query, "Signature", out->signature);
}

/* ---- V4 ---- */

static bool is_additional(const struct sign_oss *r, const char *lower)
{
	for (size_t i = 0; r->additional && r->additional[i]; i++)
		if (strcasecmp(r->additional[i], lower) == 0)
			return true;
	return false;
}

/* Whether V4 signs a header without being asked to. */
static bool v4_signs(const char *lower)
{
	return starts(lower, "x-oss-") || strcmp(lower, "content-type") == 0 ||
	       strcmp(lower, "content-md5") == 0;
}

/* The names in "additional", lower, sorted, joined by ';'; "" when there are none. */
static const char *v4_additional(struct arena *a, const struct sign_oss *r)
{
	struct sign_pairs names = {0};
	struct text t = text_new(a);

	for (size_t i = 0; r->additional && r->additional[i]; i++) {
		const char *lower = text_lower(a, r->additional[i]);

		if (!v4_signs(lower) && sign_find(&r->headers, lower))
			sign_add(a, &names, lower, "");
	}
	sign_sort(&names);
	for (size_t i = 0; i < names.count; i++)
		text_addf(&t, "%s%s", i ? ";" : "", names.at[i].name);
	return t.data;
}

/* Sorted by the encoded name; what has no value has no '='. */
static const char *v4_query(struct arena *a, const struct sign_pairs *query)
{
	struct sign_pairs encoded = {0};
	struct text t = text_new(a);

	for (size_t i = 0; i < query->count; i++)
		sign_add(a, &encoded, text_encoded(a, query->at[i].name, false),
			 query->at[i].value ? text_encoded(a, query->at[i].value, false) : "");
	sign_sort(&encoded);
	for (size_t i = 0; i < encoded.count; i++)
		text_addf(&t, "%s%s%s%s", i ? "&" : "", encoded.at[i].name,
			  encoded.at[i].value[0] ? "=" : "", encoded.at[i].value);
	return t.data;
}

static const char *v4_canonical(struct arena *a, const struct sign_oss *r,
				const struct sign_pairs *headers, const struct sign_pairs *query,
				const char *additional)
{
	struct text t = text_new(a);
	struct sign_pairs h = {0};

	text_addf(&t, "%s\n/", r->method);
	if (r->bucket) {
		text_add_encoded(&t, r->bucket, false);
		text_add(&t, "/");
		text_add_encoded(&t, r->key ? r->key : "", true);
	}
	text_addf(&t, "\n%s\n", v4_query(a, query));
	for (size_t i = 0; i < headers->count; i++) {
		const char *lower = text_lower(a, headers->at[i].name);

		if (v4_signs(lower) || is_additional(r, lower))
			sign_add(a, &h, lower, text_trimmed(a, headers->at[i].value));
	}
	sign_sort(&h);
	for (size_t i = 0; i < h.count; i++)
		text_addf(&t, "%s:%s\n", h.at[i].name, h.at[i].value);
	text_addf(&t, "\n%s\n" V4_PAYLOAD, additional);
	return t.data;
}

/* The key of one day and region signs; the secret stays in the stack of this function. */
static const char *v4_signature(struct arena *a, const struct sign_oss *r, const char *day,
				const char *text)
{
	struct text start = text_new(a);
	const char *const steps[] = {day, r->region, "oss", "aliyun_v4_request", text};
	uint8_t key[32], next[32];
	char *hex = arena_alloc(a, 2 * sizeof(key) + 1);

	text_addf(&start, "aliyun_v4%s", r->keys->secret);
	sign_hmac_sha256(start.data, start.bytes, steps[0], strlen(steps[0]), key);
	explicit_bzero(start.data, start.bytes);
	for (size_t i = 1; i < ARRAY_SIZE(steps); i++) {
		sign_hmac_sha256(key, sizeof(key), steps[i], strlen(steps[i]), next);
		memcpy(key, next, sizeof(key));
	}
	hex_encode(key, sizeof(key), hex);
	explicit_bzero(key, sizeof(key));
	explicit_bzero(next, sizeof(next));
	return hex;
}

static void v4_sign(struct arena *a, const struct sign_oss *r, const char *date, const char *scope,
		    const char *additional, struct signed_oss *out)
{
	out->canonical = v4_canonical(a, r, &out->headers, &out->query, additional);
	out->string_to_sign =
		arena_printf(a, V4_ALGORITHM "\n%s\n%s\n%s", date, scope,
			     sign_sha256_hex(a, out->canonical, strlen(out->canonical)));
	out->signature = v4_signature(a, r, arena_strndup(a, date, 8), out->string_to_sign);
}

void sign_oss_v4(struct arena *a, const struct sign_oss *r, struct signed_oss *out)
{
	const char *date = text_time_compact(a, r->time_s);
	const char *scope = arena_printf(a, "%.8s/%s/oss/aliyun_v4_request", date, r->region);
	const char *additional = v4_additional(a, r);

	*out = (struct signed_oss){.headers = copy_pairs(a, &r->headers),
				   .query = copy_pairs(a, &r->query)};
	sign_add(a, &out->headers, "x-oss-date", date);
	sign_add(a, &out->headers, "x-oss-content-sha256", V4_PAYLOAD);
	if (r->keys->token)
		sign_add(a, &out->headers, "x-oss-security-token", r->keys->token);
	v4_sign(a, r, date, scope, additional, out);
	sign_add(a, &out->headers, "authorization",
		 arena_printf(a, V4_ALGORITHM " Credential=%s/%s,%s%s%sSignature=%s", r->keys->id,
			      scope, *additional ? "AdditionalHeaders=" : "", additional,
			      *additional ? "," : "", out->signature));
}

void sign_oss_v4_url(struct arena *a, const struct sign_oss *r, struct signed_oss *out)
{
	const char *date = text_time_compact(a, r->time_s);
	const char *scope = arena_printf(a, "%.8s/%s/oss/aliyun_v4_request", date, r->region);
	const char *additional = v4_additional(a, r);

	*out = (struct signed_oss){.headers = copy_pairs(a, &r->headers),
				   .query = copy_pairs(a, &r->query)};
	sign_add(a, &out->query, "x-oss-signature-version", V4_ALGORITHM);
	sign_add(a, &out->query, "x-oss-credential", arena_printf(a, "%s/%s", r->keys->id, scope));
	sign_add(a, &out->query, "x-oss-date", date);
	sign_add(a, &out->query, "x-oss-expires",
		 arena_printf(a, "%llu", (unsigned long long)r->valid_s));
	if (r->keys->token)
		sign_add(a, &out->query, "x-oss-security-token", r->keys->token);
	if (*additional)
		sign_add(a, &out->query, "x-oss-additional-headers", additional);
	v4_sign(a, r, date, scope, additional, out);
	sign_add(a, &out->query, "x-oss-signature", out->signature);
}
