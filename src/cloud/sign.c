/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What all signatures share: pairs, flattening, digests; see sign.h. */
#include "cloud/sign.h"

#include <bearssl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/num.h"
#include "cloud/text.h"

#define DEPTH_MAX 8

void sign_add(struct arena *a, struct sign_pairs *p, const char *name, const char *value)
{
	struct sign_pair *pair = arena_push(a, &p->at, &p->count);

	*pair = (struct sign_pair){name, value};
}

const char *sign_find(const struct sign_pairs *p, const char *name)
{
	for (size_t i = 0; i < p->count; i++)
		if (strcasecmp(p->at[i].name, name) == 0)
			return p->at[i].value ? p->at[i].value : "";
	return NULL;
}

static int by_name(const void *a, const void *b)
{
	const struct sign_pair *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : strcmp(x->value ? x->value : "", y->value ? y->value : "");
}

void sign_sort(struct sign_pairs *p)
{
	if (p->count > 1)
		qsort(p->at, p->count, sizeof(*p->at), by_name);
}

static int flatten(struct arena *a, const char *name, const json_t *v, unsigned depth,
		   struct sign_pairs *out)
{
	const char *key;
	json_t *item;
	size_t i;
	int rc = 0;

	if (depth > DEPTH_MAX)
		return fail(EINVAL, "parameter %s is nested too deeply", name);
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		json_object_foreach ((json_t *)v, key, item) {
			rc = flatten(a, *name ? arena_printf(a, "%s.%s", name, key) : key, item,
				     depth + 1, out);
			if (rc < 0)
				return rc;
		}
		return 0;
	case JSON_ARRAY:
		json_array_foreach (v, i, item) {
			rc = flatten(a, arena_printf(a, "%s.%zu", name, i + 1), item, depth + 1,
				     out);
			if (rc < 0)
				return rc;
		}
		return 0;
	case JSON_STRING:
		sign_add(a, out, arena_strdup(a, name), arena_strdup(a, json_string_value(v)));
		return 0;
	case JSON_INTEGER:
		sign_add(a, out, arena_strdup(a, name),
			 arena_printf(a, "%lld", (long long)json_integer_value(v)));
		return 0;
	case JSON_TRUE:
	case JSON_FALSE:
		sign_add(a, out, arena_strdup(a, name), json_is_true(v) ? "true" : "false");
		return 0;
	case JSON_NULL:
		return 0;
	default:
		return fail(EINVAL, "parameter %s has a type that cannot be sent", name);
	}
}

int sign_flatten(struct arena *a, const json_t *params, struct sign_pairs *out)
{
	if (params && !json_is_object(params))
		return fail(EINVAL, "the parameters of a call are not an object");
	return params ? flatten(a, "", params, 0, out) : 0;
}

const char *sign_query(struct arena *a, const struct sign_pairs *p)
{
	struct text t = text_new(a);

	for (size_t i = 0; i < p->count; i++) {
		if (i)
			text_add(&t, "&");
		text_add_encoded(&t, p->at[i].name, false);
		if (!p->at[i].value)
			continue;
		text_add(&t, "=");
		text_add_encoded(&t, p->at[i].value, false);
	}
	return t.data;
}

const char *sign_md5(struct arena *a, const void *data, size_t bytes)
{
	br_md5_context md5;
	uint8_t sum[br_md5_SIZE];

	br_md5_init(&md5);
	br_md5_update(&md5, data, bytes);
	br_md5_out(&md5, sum);
	return text_base64(a, sum, sizeof(sum));
}

static void hmac(const br_hash_class *hash, const void *key, size_t key_bytes, const void *data,
		 size_t bytes, void *out)
{
	br_hmac_key_context kc;
	br_hmac_context hc;

	br_hmac_key_init(&kc, hash, key, key_bytes);
	br_hmac_init(&hc, &kc, 0);
	br_hmac_update(&hc, data, bytes);
	br_hmac_out(&hc, out);
	explicit_bzero(&kc, sizeof(kc));
	explicit_bzero(&hc, sizeof(hc));
}

const char *sign_hmac_sha1(struct arena *a, const char *key, const char *text)
{
	uint8_t mac[br_sha1_SIZE];

	hmac(&br_sha1_vtable, key, strlen(key), text, strlen(text), mac);
	return text_base64(a, mac, sizeof(mac));
}

void sign_hmac_sha256(const void *key, size_t key_bytes, const void *data, size_t bytes,
		      uint8_t out[32])
{
	hmac(&br_sha256_vtable, key, key_bytes, data, bytes, out);
}

const char *sign_sha256_hex(struct arena *a, const void *data, size_t bytes)
{
	char *hex = arena_alloc(a, HASH_SHA256_HEX_BYTES);

	hash_sha256_hex(data, bytes, hex);
	return hex;
}
