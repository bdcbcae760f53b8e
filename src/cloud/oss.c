/* SPDX-License-Identifier: GPL-2.0-or-later */
/* OSS requests: URL, signature, tries, documents; and presigned URLs. */
#include "cloud/oss.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/num.h"
#include "cloud/endpoint.h"
#include "cloud/text.h"

#define VALID_MAX_S 604800
#define LIST_MAX    "1000"

static const char *object_url(struct arena *a, const struct endpoint *e,
			      const struct cloud_object *at, const struct sign_pairs *query)
{
	struct text t = text_new(a);

	text_addf(&t, "%s/", e->url);
	if (e->by_path && at->bucket)
		text_addf(&t, "%s/", at->bucket);
	text_add_encoded(&t, at->key ? at->key : "", true);
	if (query->count)
		text_addf(&t, "?%s", sign_query(a, query));
	return t.data;
}

static int send_once(struct cloud *c, const struct oss_call *o, const char *what,
		     const struct endpoint *e, struct arena *a, struct http_reply *reply)
{
	struct sign_keys keys;
	struct sign_oss q = {.method = o->method,
			     .region = o->at->region,
			     .bucket = o->at->bucket,
			     .key = o->at->key,
			     .query = o->query,
			     .headers = o->headers,
			     .keys = &keys};
	struct signed_oss s;
	struct http_request h = {.what = what,
				 .method = o->method,
				 .body = o->body,
				 .body_bytes = o->body_bytes,
				 .body_fd = o->body_fd,
				 .once = o->unsafe};
	int rc = credentials_get(c, &keys);

	if (rc < 0)
		return rc;
	if (!o->bulk)
		h.timeout_ms = cloud_call_timeout_ms(c);
	q.time_s = cloud_now(c);
	if (c->o.oss_signature == CLOUD_SIGNATURE_OLD)
		sign_oss_v1(a, &q, &s);
	else
		sign_oss_v4(a, &q, &s);
	h.headers = &s.headers;
	h.url = object_url(a, e, o->at, &s.query);
	return http_perform(c->http, &h, a, reply);
}

/* 1: once more. */
static int try_once(struct cloud *c, const struct oss_call *o, const struct endpoint *e,
		    struct attempt *t, struct arena *a, struct http_reply *reply)
{
	int rc = send_once(c, o, t->what, e, a, reply);

	if (rc == 0 && reply->status / 100 == 2) {
		c->error = (struct cloud_error){0};
		return 0;
	}
	if (rc < 0) {
		rc = attempt_lost(t, rc);
	} else {
		error_from_xml(c, reply);
		rc = attempt_refused(t, cloud_server_time(c, reply));
	}
	cleanup_http_reply_(reply);
	*reply = (struct http_reply){.headers = reply->headers};
	return rc;
}

int oss_perform(struct cloud *c, const struct oss_call *o, struct arena *a,
		struct http_reply *reply)
{
	const char *what = arena_printf(a, "oss %s", o->name);
	struct attempt t = attempt_begin(c, what, !o->unsafe);
	struct endpoint e;
	int rc = endpoint_oss(&c->o, o->at->region, o->at->bucket, false, a, &e);

	*reply = (struct http_reply){0};
	if (rc < 0)
		return fail_in(rc, "%s", what);
	t.oss = true;
	t.deleting = strcmp(o->method, "DELETE") == 0;
	do
		rc = try_once(c, o, &e, &t, a, reply);
	while (rc == 1);
	if (rc < 0)
		return fail_in(rc, "bucket %s%s%s", o->at->bucket, o->at->key ? ", object " : "",
			       o->at->key ? o->at->key : "");
	return 0;
}

int oss_document(struct cloud *c, const struct oss_call *o, const char *root, struct arena *a,
		 struct xml_node **out)
{
	CLEANUP_REPLY struct http_reply r = {0};
	int rc = oss_perform(c, o, a, &r);

	if (rc < 0)
		return rc;
	rc = xml_parse(a, r.body ? r.body : "", r.bytes, out);
	if (rc == 0 && strcmp((*out)->name, root) != 0)
		rc = fail(EBADMSG, "the reply is a %.40s and no %s", (*out)->name, root);
	return rc < 0 ? fail_in(rc, "oss %s", o->name) : 0;
}

/* Take over where the next page begins; false when that is where this one began. */
static bool turn_page(struct oss_pages *p, const struct xml_node *root, struct arena *a)
{
	const struct oss_list *l = p->list;
	bool turned = false;

	for (size_t i = 0; i < 2 && l->next[i].told; i++) {
		const char *next = l->next[i].is_key ? oss_decoded(a, root, l->next[i].told)
						     : xml_text(root, l->next[i].told);

		turned |= strcmp(next, p->from[i] ? p->from[i] : "") != 0;
		p->from[i] = next;
	}
	return turned;
}

int oss_next_page(struct cloud *c, struct oss_pages *p, struct arena *a, struct xml_node **root)
{
	const struct oss_list *l = p->list;
	const struct cloud_object bucket = {.region = p->at->region, .bucket = p->at->bucket};
	struct oss_call o = OSS_CALL(.name = l->name, .method = "GET", .at = &bucket);
	int rc;

	if (p->was_last)
		return 0;
	sign_add(a, &o.query, l->kind, l->value);
	sign_add(a, &o.query, l->max, LIST_MAX);
	sign_add(a, &o.query, "encoding-type", "url");
	if (p->at->key && p->at->key[0])
		sign_add(a, &o.query, "prefix", p->at->key);
	for (size_t i = 0; i < 2; i++)
		if (p->from[i] && p->from[i][0])
			sign_add(a, &o.query, l->next[i].asked, p->from[i]);
	rc = oss_document(c, &o, l->root, a, root);
	if (rc < 0)
		return rc;
	p->was_last = strcmp(xml_text(*root, "IsTruncated"), "true") != 0;
	if (!p->was_last && !turn_page(p, *root, a))
		return fail(EBADMSG, "oss %s: the same page comes again", l->name);
	return 1;
}

/* A value that goes into a header must not end it. */
static bool fits_header(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	return true;
}

int oss_describe_new(struct arena *a, const char *content_type, const json_t *meta,
		     struct sign_pairs *headers)
{
	const char *key, *text;
	json_t *value;

	if (content_type)
		sign_add(a, headers, "content-type", content_type);
	json_object_foreach ((json_t *)meta, key, value) {
		text = json_string_value(value);
		if (!text || !fits_header(text) || !fits_header(key))
			return fail(EINVAL, "what is to go along as %s cannot stand in a header",
				    key);
		sign_add(a, headers, arena_printf(a, "x-oss-meta-%s", text_lower(a, key)),
			 arena_strdup(a, text));
	}
	return 0;
}

const char *oss_decoded(struct arena *a, const struct xml_node *node, const char *name)
{
	const char *plain = text_decoded(a, xml_text(node, name));

	return plain ? plain : "";
}

uint64_t oss_number(const struct xml_node *node, const char *name)
{
	uint64_t n = 0;

	return num_parse(xml_text(node, name), 0, UINT64_MAX, &n) == 0 ? n : 0;
}

int cloud_presign(struct cloud *c, const struct cloud_presign *what, struct arena *a,
		  const char **url)
{
	struct sign_keys keys;
	struct sign_oss q = {.method = what->method,
			     .region = what->at.region,
			     .bucket = what->at.bucket,
			     .key = what->at.key,
			     .keys = &keys,
			     .valid_s = what->valid_s};
	struct signed_oss s;
	struct endpoint e;
	int rc = endpoint_oss(&c->o, what->at.region, what->at.bucket, what->internal, a, &e);

	if (rc == 0 && (what->valid_s == 0 || what->valid_s > VALID_MAX_S))
		rc = fail(EINVAL, "a URL is valid for 1 to %d seconds", VALID_MAX_S);
	if (rc == 0)
		rc = credentials_get(c, &keys);
	if (rc < 0)
		return fail_in(rc, "presigned URL");
	if (what->part_number)
		sign_add(a, &q.query, "partNumber", arena_printf(a, "%u", what->part_number));
	if (what->upload_id)
		sign_add(a, &q.query, "uploadId", what->upload_id);
	if (what->content_type)
		sign_add(a, &q.headers, "content-type", what->content_type);
	q.time_s = cloud_now(c);
	if (c->o.oss_signature == CLOUD_SIGNATURE_OLD)
		sign_oss_v1_url(a, &q, &s);
	else
		sign_oss_v4_url(a, &q, &s);
	*url = object_url(a, &e, &what->at, &s.query);
	return 0;
}
