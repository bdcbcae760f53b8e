/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Request signing: request, keys, time and nonce in, headers or a query out. Pure; all results live
 * in the arena given. Sources: the vendor's documents of its RPC signature (HMAC-SHA1), of the V3
 * signature (ACS3-HMAC-SHA256) and of OSS signatures V1 and V4; tests hold them against vectors
 * made by the vendor's SDKs.
 */
#ifndef CLOUD_SIGN_H
#define CLOUD_SIGN_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

struct sign_keys {
	const char *id;
	const char *secret;
	const char *token; /* of STS, or NULL */
};

/* Value NULL: the name alone, with no '='. */
struct sign_pair {
	const char *name;
	const char *value;
};

struct sign_pairs {
	struct sign_pair *at;
	size_t count;
};

void sign_add(struct arena *a, struct sign_pairs *p, const char *name, const char *value);
/* Of the name in any case of letters; NULL when there is none. */
const char *sign_find(const struct sign_pairs *p, const char *name);

/*
 * Nested parameters as the vendor's models have them into flat pairs: Name.1.Field and so on.
 * -EINVAL when deeper than 8, or of a type that parameters do not have.
 */
int sign_flatten(struct arena *a, const json_t *params, struct sign_pairs *out);

/* "a=1&b=2" in this order, encoded. */
const char *sign_query(struct arena *a, const struct sign_pairs *p);

/* One RPC call, for both signatures. */
struct sign_rpc {
	const char *method; /* "GET" or "POST" */
	const char *host;   /* as sent in the Host header */
	const char *action;
	const char *version;
	const struct sign_pairs *params; /* V1: all; V3: those of the query */
	const void *body;		 /* V3 alone */
	size_t body_bytes;
	const char *content_type; /* NULL when there is no body */
	const char *format;	  /* V1: "JSON" when NULL */
	const struct sign_keys *keys;
	int64_t time_s;
	const char *nonce;
};

/* What came out; the texts in between are for tests and for messages about wrong signatures. */
struct signed_rpc {
	const char *query;	   /* V1: the whole query or form body; V3: the query */
	struct sign_pairs headers; /* V3: to send, with authorization */
	const char *canonical;
	const char *string_to_sign;
	const char *signature;
};

void sign_rpc_v1(struct arena *a, const struct sign_rpc *r, struct signed_rpc *out);
void sign_rpc_v3(struct arena *a, const struct sign_rpc *r, struct signed_rpc *out);

/* One OSS request. */
struct sign_oss {
	const char *method;
	const char *region; /* without "oss-"; V4 */
	const char *bucket; /* NULL: the service */
	const char *key;    /* NULL: the bucket */
	struct sign_pairs query;
	struct sign_pairs headers;     /* that will be sent, but date, token and authorization */
	const char *const *additional; /* V4: more headers to sign, ends in NULL; or NULL */
	const struct sign_keys *keys;
	int64_t time_s;
	uint64_t valid_s; /* presigning alone */
};

struct signed_oss {
	struct sign_pairs headers; /* all that are to be sent; presigned: as they came */
	struct sign_pairs query;   /* the whole query; presigned: with the signature */
	const char *canonical;	   /* V4 */
	const char *string_to_sign;
	const char *signature;
};

void sign_oss_v1(struct arena *a, const struct sign_oss *r, struct signed_oss *out);
void sign_oss_v4(struct arena *a, const struct sign_oss *r, struct signed_oss *out);
void sign_oss_v1_url(struct arena *a, const struct sign_oss *r, struct signed_oss *out);
void sign_oss_v4_url(struct arena *a, const struct sign_oss *r, struct signed_oss *out);

/* ---- the parts that both files use ---- */

void sign_sort(struct sign_pairs *p);
/* MD5 of a body in Base64, as Content-MD5 wants it. */
const char *sign_md5(struct arena *a, const void *data, size_t bytes);
const char *sign_hmac_sha1(struct arena *a, const char *key, const char *text); /* Base64 */
void sign_hmac_sha256(const void *key, size_t key_bytes, const void *data, size_t bytes,
		      uint8_t out[32]);
const char *sign_sha256_hex(struct arena *a, const void *data, size_t bytes);

#endif
