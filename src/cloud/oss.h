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

/* A list that comes in pages. */
struct oss_list {
	const char *name;	  /* "ListObjectsV2" */
	const char *kind, *value; /* the parameter that asks for this list */
	const char *max;	  /* and the one for the size of a page */
	const char *root;	  /* of its document */
	struct {
		const char *told, *asked; /* the page's element is the next one's parameter */
		bool is_key;		  /* told with encoding-type=url */
	} next[2];
};

struct oss_pages {
	const struct oss_list *list;
	const struct cloud_object *at; /* what is in the bucket below key (a prefix, or NULL) */
	const char *from[2];	       /* where the next page begins */
	bool was_last;
};

/* 1 with the next page, 0 when there is none. */
int oss_next_page(struct cloud *c, struct oss_pages *p, struct arena *a, struct xml_node **root);

/* Content-Type (may be NULL) and x-oss-meta-* of a new object. */
int oss_describe_new(struct arena *a, const char *content_type, const json_t *meta,
		     struct sign_pairs *headers);

/* Text of a child with encoding-type=url undone; "" when there is none. */
const char *oss_decoded(struct arena *a, const struct xml_node *node, const char *name);
uint64_t oss_number(const struct xml_node *node, const char *name);

#endif
