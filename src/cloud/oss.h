/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One OSS request with its tries; what the object and upload calls are made of. */
#ifndef CLOUD_OSS_H
#define CLOUD_OSS_H

#include "cloud/private.h"
#include "cloud/xml.h"

struct oss_call {
	const char *name; /* "PutObject": for reasons and the hook */
	const char *method;
	const struct cloud_object *at;
	struct sign_pairs query;
	struct sign_pairs headers;
	const void *body;
	uint64_t body_bytes;
	int body_fd;
	bool bulk;   /* no deadline but silence */
	bool unsafe; /* a second one would leave something behind */
};

#define OSS_CALL(...) ((struct oss_call){.body_fd = -1, __VA_ARGS__})

/* The reply of status 2xx; its headers live in the arena, its body is to be freed. */
int oss_perform(struct cloud *c, const struct oss_call *call, struct arena *a,
		struct http_reply *reply);

/* The same for calls that answer with a document whose root is called so. */
int oss_document(struct cloud *c, const struct oss_call *call, const char *root, struct arena *a,
		 struct xml_node **out);

/* Content-Type (may be NULL) and x-oss-meta-* of a new object. */
int oss_describe_new(struct arena *a, const char *content_type, const json_t *meta,
		     struct sign_pairs *headers);

/* "\"abc\"" is abc. Arena. */
const char *oss_unquoted(struct arena *a, const char *etag);
/* Text of a child with encoding-type=url undone; "" when there is none. */
const char *oss_decoded(struct arena *a, const struct xml_node *node, const char *name);
uint64_t oss_number(const struct xml_node *node, const char *name);
bool oss_truncated(const struct xml_node *root);

#endif
