/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Uploads in parts. */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "cloud/oss.h"
#include "cloud/text.h"

#define BEGIN_TRIES 6

int cloud_upload_list(struct cloud *c, const struct cloud_object *at, struct arena *a,
		      struct cloud_upload **list, size_t *count)
{
	static const struct oss_list uploads = {
		.name = "ListMultipartUploads",
		.kind = "uploads",
		.max = "max-uploads",
		.root = "ListMultipartUploadsResult",
		.next = {{"NextKeyMarker", "key-marker", true},
			 {"NextUploadIdMarker", "upload-id-marker", false}},
	};
	struct oss_pages pages = {.list = &uploads, .at = at};
	struct xml_node *root;
	int rc;

	*list = NULL;
	*count = 0;
	while ((rc = oss_next_page(c, &pages, a, &root)) == 1)
		for (const struct xml_node *n = xml_child(root, "Upload"); n; n = xml_same(n))
			*arena_push(a, list, count) = (struct cloud_upload){
				.key = oss_decoded(a, n, "Key"),
				.upload_id = xml_text(n, "UploadId"),
				.initiated = xml_text(n, "Initiated"),
			};
	return rc;
}

/* The upload of this very key that was begun last, or NULL. */
static int find_begun(struct cloud *c, const struct cloud_object *at, struct arena *a,
		      const char **upload_id)
{
	struct cloud_upload *list;
	const char *newest = "";
	size_t n;
	int rc = cloud_upload_list(c, at, a, &list, &n);

	*upload_id = NULL;
	for (size_t i = 0; rc == 0 && i < n; i++) {
		if (strcmp(list[i].key, at->key) != 0 || strcmp(list[i].initiated, newest) < 0)
			continue;
		*upload_id = list[i].upload_id;
		newest = list[i].initiated;
	}
	return rc;
}

static int begin_new(struct cloud *c, const struct cloud_object *at, const char *content_type,
		     const json_t *meta, struct arena *a, const char **upload_id)
{
	struct oss_call o = OSS_CALL(.name = "InitiateMultipartUpload", .method = "POST", .at = at,
				     .unsafe = true);
	struct xml_node *root;
	int rc = oss_describe_new(a, content_type, meta, &o.headers);

	if (rc < 0)
		return rc;
	sign_add(a, &o.query, "uploads", NULL);
	rc = oss_document(c, &o, "InitiateMultipartUploadResult", a, &root);
	if (rc < 0)
		return rc;
	*upload_id = xml_text(root, "UploadId");
	if (!(*upload_id)[0])
		return fail_code(EREMCHG, "CLOUD_REPLY_INVALID",
				 "oss InitiateMultipartUpload: the reply lacks UploadId");
	return 0;
}

int cloud_upload_begin(struct cloud *c, const struct cloud_object *at, const char *content_type,
		       const json_t *meta, struct arena *a, const char **upload_id)
{
	int rc;

	/* What a lost reply has begun is found by the next look. */
	for (int i = 0; i < BEGIN_TRIES; i++) {
		rc = find_begun(c, at, a, upload_id);
		if (rc < 0 || *upload_id)
			return rc;
		rc = begin_new(c, at, content_type, meta, a, upload_id);
		if (rc != -EREMCHG)
			return rc;
	}
	return rc;
}

int cloud_upload_complete(struct cloud *c, const struct cloud_object *at, const char *upload_id,
			  const struct cloud_part *parts, size_t count)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_REPLY struct http_reply r = {0};
	struct oss_call o = OSS_CALL(.name = "CompleteMultipartUpload", .method = "POST", .at = at,
				     .bulk = true);
	struct cloud_object_info there;
	struct text body = text_new(a);
	int rc;

	text_add(&body, "<CompleteMultipartUpload>");
	for (size_t i = 0; i < count; i++)
		text_addf(&body, "<Part><PartNumber>%u</PartNumber><ETag>\"%s\"</ETag></Part>",
			  parts[i].number, parts[i].etag);
	text_add(&body, "</CompleteMultipartUpload>");
	o.body = body.data;
	o.body_bytes = body.bytes;
	sign_add(a, &o.query, "uploadId", upload_id);
	sign_add(a, &o.headers, "content-type", "application/xml");
	sign_add(a, &o.headers, "content-md5", sign_md5(a, body.data, body.bytes));
	rc = oss_perform(c, &o, a, &r);
	/* The reply of an earlier try was lost. */
	if (rc == -ENOENT && strcmp(c->error.code, "NoSuchUpload") == 0 &&
	    cloud_object_head(c, at, a, &there) == 0)
		return 0;
	return rc;
}

int cloud_upload_abort(struct cloud *c, const struct cloud_object *at, const char *upload_id)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_REPLY struct http_reply r = {0};
	struct oss_call o = OSS_CALL(.name = "AbortMultipartUpload", .method = "DELETE", .at = at);

	sign_add(a, &o.query, "uploadId", upload_id);
	return oss_perform(c, &o, a, &r);
}
