/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Signatures of RPC calls: V1 (HMAC-SHA1 over parameters) and V3 (ACS3-HMAC-SHA256 over headers).
 */
#include <string.h>
#include <strings.h>

#include "base/num.h"
#include "cloud/sign.h"
#include "cloud/text.h"

static struct sign_pairs copy_pairs(struct arena *a, const struct sign_pairs *p)
{
	struct sign_pairs copy = {0};

	for (size_t i = 0; p && i < p->count; i++)
		sign_add(a, &copy, p->at[i].name, p->at[i].value ? p->at[i].value : "");
	return copy;
}

void sign_rpc_v1(struct arena *a, const struct sign_rpc *r, struct signed_rpc *out)
{
	struct sign_pairs all = copy_pairs(a, r->params);
	struct text to_sign = text_new(a), key = text_new(a), form = text_new(a);

	sign_add(a, &all, "Action", r->action);
	sign_add(a, &all, "Version", r->version);
	sign_add(a, &all, "Format", r->format ? r->format : "JSON");
	sign_add(a, &all, "AccessKeyId", r->keys->id);
	sign_add(a, &all, "SignatureMethod", "HMAC-SHA1");
	sign_add(a, &all, "SignatureVersion", "1.0");
	sign_add(a, &all, "SignatureNonce", r->nonce);
	sign_add(a, &all, "Timestamp", text_time_iso(a, r->time_s));
	if (r->keys->token)
		sign_add(a, &all, "SecurityToken", r->keys->token);
	sign_sort(&all);
	out->canonical = sign_query(a, &all);

	text_addf(&to_sign, "%s&%%2F&", r->method);
	text_add_encoded(&to_sign, out->canonical, false);
	out->string_to_sign = to_sign.data;

	text_add(&key, r->keys->secret);
	text_add(&key, "&");
	out->signature = sign_hmac_sha1(a, key.data, out->string_to_sign);
	explicit_bzero(key.data, key.bytes);

	text_addf(&form, "%s&Signature=", out->canonical);
	text_add_encoded(&form, out->signature, false);
	out->query = form.data;
	out->headers = (struct sign_pairs){0};
}

static void v3_headers(struct arena *a, const struct sign_rpc *r, const char *payload,
		       struct sign_pairs *h)
{
	sign_add(a, h, "host", r->host);
	sign_add(a, h, "x-acs-action", r->action);
	sign_add(a, h, "x-acs-version", r->version);
	sign_add(a, h, "x-acs-date", text_time_iso(a, r->time_s));
	sign_add(a, h, "x-acs-signature-nonce", r->nonce);
	sign_add(a, h, "x-acs-content-sha256", payload);
	if (r->keys->token) {
		sign_add(a, h, "x-acs-accesskey-id", r->keys->id);
		sign_add(a, h, "x-acs-security-token", r->keys->token);
	}
	if (r->content_type)
		sign_add(a, h, "content-type", r->content_type);
	sign_sort(h);
}

void sign_rpc_v3(struct arena *a, const struct sign_rpc *r, struct signed_rpc *out)
{
	const char *payload = sign_sha256_hex(a, r->body ? r->body : "", r->body_bytes);
	struct sign_pairs query = copy_pairs(a, r->params);
	struct text canonical = text_new(a), names = text_new(a);
	uint8_t mac[32];
	char *signature = arena_alloc(a, 2 * sizeof(mac) + 1);

	sign_sort(&query);
	out->query = sign_query(a, &query);
	out->headers = (struct sign_pairs){0};
	v3_headers(a, r, payload, &out->headers);

	text_addf(&canonical, "%s\n/\n%s\n", r->method, out->query);
	for (size_t i = 0; i < out->headers.count; i++) {
		const struct sign_pair *h = &out->headers.at[i];

		text_addf(&canonical, "%s:%s\n", h->name, text_trimmed(a, h->value));
		text_addf(&names, "%s%s", i ? ";" : "", h->name);
	}
	text_addf(&canonical, "\n%s\n%s", names.data, payload);
	out->canonical = canonical.data;
	out->string_to_sign = arena_printf(a, "ACS3-HMAC-SHA256\n%s",
					   sign_sha256_hex(a, canonical.data, canonical.bytes));
	sign_hmac_sha256(r->keys->secret, strlen(r->keys->secret), out->string_to_sign,
			 strlen(out->string_to_sign), mac);
	hex_encode(mac, sizeof(mac), signature);
	out->signature = signature;
	sign_add(a, &out->headers, "authorization",
		 arena_printf(a, "ACS3-HMAC-SHA256 Credential=%s,SignedHeaders=%s,Signature=%s",
			      r->keys->id, names.data, signature));
}
