/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Signatures equal those that the vendor's SDKs made (tests/unit/vectors), text for text. */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "cloud/sign.h"
#include "cloud/text.h"
#include "unit.h"

static const char *str(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static void assert_text(const char *name, const char *what, const char *got, const json_t *want)
{
	const char *text = json_string_value(want);

	if (!text)
		return;
	if (!got || strcmp(got, text) != 0)
		fail_msg("%s, %s:\n got %s\nwant %s", name, what, got ? got : "(none)", text);
}

/* The calls of each scheme go through here; returns how many vectors there were. */
static size_t each_vector(const char *file, void (*check)(struct arena *, const char *name,
							  const json_t *in, const json_t *expected))
{
	CLEANUP_JSON json_t *all = NULL;
	const json_t *vectors;
	size_t i;
	json_t *v;

	if (json_read_file(file, &all) < 0)
		fail_msg("%s", err_reason());
	vectors = json_object_get(all, "vectors");
	json_array_foreach (vectors, i, v) {
		CLEANUP_ARENA struct arena *a = arena_new();

		check(a, str(v, "name"), json_object_get(v, "input"),
		      json_object_get(v, "expected"));
	}
	return json_array_size(vectors);
}

static struct sign_keys keys_of(const json_t *in)
{
	return (struct sign_keys){str(in, "accessKeyId"), str(in, "accessKeySecret"),
				  str(in, "securityToken")};
}

static void check_rpc_v1(struct arena *a, const char *name, const json_t *in,
			 const json_t *expected)
{
	struct sign_keys keys = keys_of(in);
	struct sign_pairs params = {0};
	struct signed_rpc out;
	const char *url;

	assert_int_equal(sign_flatten(a, json_object_get(in, "params"), &params), 0);
	sign_rpc_v1(a,
		    &(struct sign_rpc){
			    .method = str(in, "method"),
			    .action = str(in, "action"),
			    .version = str(in, "version"),
			    .params = &params,
			    .format = str(json_object_get(in, "commonOverride"), "Format"),
			    .keys = &keys,
			    .time_s = text_parse_iso_time(str(in, "timestamp")),
			    .nonce = str(in, "nonce"),
		    },
		    &out);
	assert_text(name, "canonical", out.canonical,
		    json_object_get(expected, "canonicalizedQueryString"));
	assert_text(name, "string", out.string_to_sign, json_object_get(expected, "stringToSign"));
	assert_text(name, "signature", out.signature, json_object_get(expected, "signature"));
	assert_text(name, "body", out.query, json_object_get(expected, "body"));
	url = arena_printf(a, "%s/?%s", str(in, "endpoint"), out.query);
	if (strcmp(str(in, "method"), "GET") == 0)
		assert_text(name, "url", url, json_object_get(expected, "url"));
}

static void assert_headers(const char *name, const struct sign_pairs *got, const json_t *expected)
{
	const char *header;
	json_t *value;

	json_object_foreach ((json_t *)expected, header, value)
		if (strcmp(header, "user-agent") != 0 && strcmp(header, "accept") != 0)
			assert_text(name, header, sign_find(got, header), value);
}

static void check_rpc_v3(struct arena *a, const char *name, const json_t *in,
			 const json_t *expected)
{
	struct sign_keys keys = keys_of(in);
	const char *body = str(expected, "requestBody");
	struct sign_pairs params = {0};
	struct signed_rpc out;

	assert_int_equal(sign_flatten(a, json_object_get(in, "query"), &params), 0);
	sign_rpc_v3(
		a,
		&(struct sign_rpc){
			.method = str(in, "method"),
			.host = str(in, "endpoint"),
			.action = str(in, "action"),
			.version = str(in, "version"),
			.params = &params,
			.body = body,
			.body_bytes = body ? strlen(body) : 0,
			.content_type = str(json_object_get(expected, "headers"), "content-type"),
			.keys = &keys,
			.time_s = text_parse_iso_time(str(in, "timestamp")),
			.nonce = str(in, "nonce"),
		},
		&out);
	assert_text(name, "canonical", out.canonical,
		    json_object_get(expected, "canonicalRequest"));
	assert_text(name, "string", out.string_to_sign, json_object_get(expected, "stringToSign"));
	assert_text(name, "signature", out.signature, json_object_get(expected, "signature"));
	assert_headers(name, &out.headers, json_object_get(expected, "headers"));
}

/* An object of strings and nulls, or one bare name. */
static void add_pairs(struct arena *a, struct sign_pairs *to, const json_t *from)
{
	const char *key;
	json_t *value;

	if (json_is_string(from))
		sign_add(a, to, json_string_value(from), NULL);
	json_object_foreach ((json_t *)from, key, value)
		sign_add(a, to, key, json_string_value(value));
}

static bool made_by_signing(const char *header)
{
	return strcasecmp(header, "authorization") == 0 || strcasecmp(header, "x-oss-date") == 0 ||
	       strcasecmp(header, "x-oss-security-token") == 0 ||
	       strcasecmp(header, "x-oss-content-sha256") == 0;
}

static struct sign_oss oss_of(struct arena *a, const json_t *in, const json_t *expected,
			      const struct sign_keys *keys)
{
	struct sign_oss r = {
		.method = str(in, "method"),
		.region = str(in, "region"),
		.bucket = str(in, "bucket"),
		.key = str(in, "object"),
		.keys = keys,
		.valid_s = (uint64_t)json_integer_value(json_object_get(in, "expiresSeconds"))};
	const json_t *additional = json_object_get(in, "additionalHeaders");
	const json_t *sent = json_object_get(expected, "headers");
	const char *key, **names = arena_alloc(a, 16 * sizeof(*names));
	json_t *value;

	if (str(in, "time"))
		r.time_s = text_parse_iso_time(str(in, "time"));
	add_pairs(a, &r.query, json_object_get(in, "subresource"));
	add_pairs(a, &r.query, json_object_get(in, "query"));
	add_pairs(a, &r.query, json_object_get(in, "queries"));
	json_object_foreach ((json_t *)json_object_get(json_object_get(in, "options"), "response"),
			     key, value)
		sign_add(a, &r.query, arena_printf(a, "response-%s", key),
			 json_string_value(value));
	add_pairs(a, &r.headers, json_object_get(in, "headers"));
	if (str(in, "date"))
		sign_add(a, &r.headers, "Date", str(in, "date"));
	json_object_foreach ((json_t *)sent, key, value)
		if (!made_by_signing(key) && !sign_find(&r.headers, key))
			sign_add(a, &r.headers, key, json_string_value(value));
	for (size_t i = 0; i < json_array_size(additional); i++)
		names[i] = json_string_value(json_array_get(additional, i));
	r.additional = names;
	return r;
}

static const char *url_of(struct arena *a, const json_t *in, const struct signed_oss *out)
{
	return arena_printf(a, "https://%s.oss-%s.aliyuncs.com/%s?%s", str(in, "bucket"),
			    str(in, "region"), text_encoded(a, str(in, "object"), true),
			    sign_query(a, &out->query));
}

static int compare_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The order of the query is free: compare its parts as a set. */
static const char *sorted_url(struct arena *a, const char *url)
{
	char *copy = arena_strdup(a, url), *query = strchr(copy, '?'), *save = NULL;
	const char *parts[32];
	struct text t = text_new(a);
	size_t n = 0;

	if (!query)
		return copy;
	*query++ = '\0';
	for (char *p = strtok_r(query, "&", &save); p; p = strtok_r(NULL, "&", &save))
		parts[n++] = p;
	qsort(parts, n, sizeof(*parts), compare_text);
	text_add(&t, copy);
	for (size_t i = 0; i < n; i++)
		text_addf(&t, "%c%s", i ? '&' : '?', parts[i]);
	return t.data;
}

static void check_oss(struct arena *a, const char *name, const json_t *in, const json_t *expected,
		      bool v4)
{
	bool url = json_object_get(in, "expiresSeconds") != NULL;
	struct sign_keys keys = keys_of(in);
	struct sign_oss r = oss_of(a, in, expected, &keys);
	struct signed_oss out;

	if (v4 && url)
		sign_oss_v4_url(a, &r, &out);
	else if (v4)
		sign_oss_v4(a, &r, &out);
	else if (url)
		sign_oss_v1_url(a, &r, &out);
	else
		sign_oss_v1(a, &r, &out);
	if (v4)
		assert_text(name, "canonical", out.canonical,
			    json_object_get(expected, "canonicalRequest"));
	assert_text(name, "string", out.string_to_sign, json_object_get(expected, "stringToSign"));
	assert_text(name, "signature", out.signature, json_object_get(expected, "signature"));
	if (url)
		assert_string_equal(sorted_url(a, url_of(a, in, &out)),
				    sorted_url(a, str(expected, "url")));
	else
		assert_text(name, "authorization", sign_find(&out.headers, "authorization"),
			    json_object_get(expected, "authorization"));
	assert_headers(name, &out.headers, json_object_get(expected, "headers"));
}

static void check_oss_v1(struct arena *a, const char *name, const json_t *in,
			 const json_t *expected)
{
	check_oss(a, name, in, expected, false);
}

static void check_oss_v4(struct arena *a, const char *name, const json_t *in,
			 const json_t *expected)
{
	check_oss(a, name, in, expected, true);
}

static void rpc_v1_signs_as_the_vendor_does(void **state)
{
	(void)state;
	assert_int_equal(each_vector("tests/unit/vectors/rpc_v1.json", check_rpc_v1), 5);
}

static void rpc_v3_signs_as_the_vendor_does(void **state)
{
	(void)state;
	assert_int_equal(each_vector("tests/unit/vectors/acs3_v3.json", check_rpc_v3), 6);
}

static void oss_v1_signs_as_the_vendor_does(void **state)
{
	(void)state;
	assert_int_equal(each_vector("tests/unit/vectors/oss_v1.json", check_oss_v1), 14);
}

static void oss_v4_signs_as_the_vendor_does(void **state)
{
	(void)state;
	assert_int_equal(each_vector("tests/unit/vectors/oss_v4.json", check_oss_v4), 13);
}

static void parameters_nested_too_deeply_are_refused(void **state)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_JSON json_t *deep = json_string("x"), *real = json_pack("{s:f}", "Size", 1.5);
	struct sign_pairs flat = {0};

	(void)state;
	for (int i = 0; i < 12; i++)
		deep = json_pack("{s:o}", "A", deep);
	assert_int_equal(sign_flatten(a, deep, &flat), -EINVAL);
	assert_int_equal(sign_flatten(a, real, &flat), -EINVAL);
	assert_non_null(strstr(err_reason(), "Size"));
}

static void times_and_encodings_go_there_and_back(void **state)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	static const int64_t times[] = {0, 951782400, 1767323045, 4102444799};

	(void)state;
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		assert_int_equal(text_parse_iso_time(text_time_iso(a, times[i])), times[i]);
		assert_int_equal(text_parse_http_time(text_time_http(a, times[i])), times[i]);
	}
	assert_string_equal(text_time_http(a, 1767323045), "Fri, 02 Jan 2026 03:04:05 GMT");
	assert_int_equal(text_parse_http_time("yesterday"), -1);
	assert_int_equal(text_parse_http_time("Fri, 02 Xyz 2026 03:04:05 GMT"), -1);
	assert_int_equal(text_parse_iso_time("2026-13-02T03:04:05Z"), -1);
	assert_string_equal(text_base64(a, "", 0), "");
	assert_string_equal(text_base64(a, "f", 1), "Zg==");
	assert_string_equal(text_base64(a, "foobar", 6), "Zm9vYmFy");
	assert_string_equal(text_decoded(a, text_encoded(a, "a b/\xff+~", false)), "a b/\xff+~");
	assert_null(text_decoded(a, "abc%4"));
	assert_null(text_decoded(a, "%41bc%4"));
	assert_null(text_decoded(a, "%00"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rpc_v1_signs_as_the_vendor_does),
		cmocka_unit_test(rpc_v3_signs_as_the_vendor_does),
		cmocka_unit_test(oss_v1_signs_as_the_vendor_does),
		cmocka_unit_test(oss_v4_signs_as_the_vendor_does),
		cmocka_unit_test(parameters_nested_too_deeply_are_refused),
		cmocka_unit_test(times_and_encodings_go_there_and_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
