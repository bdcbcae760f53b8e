/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Buckets and whole objects. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/crc64.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"
#include "cloud/oss.h"

/* ---- buckets ---- */

int cloud_bucket_info(struct cloud *c, const struct cloud_object *at, struct arena *a,
		      struct cloud_bucket_info *out)
{
	const struct cloud_object bucket = {.region = at->region, .bucket = at->bucket};
	struct oss_call o = OSS_CALL(.name = "GetBucketInfo", .method = "GET", .at = &bucket);
	struct xml_node *root;
	const struct xml_node *b;
	const char *location;
	int rc;

	sign_add(a, &o.query, "bucketInfo", NULL);
	rc = oss_document(c, &o, "BucketInfo", a, &root);
	if (rc < 0)
		return rc;
	b = xml_child(root, "Bucket");
	location = xml_text(b, "Location");
	if (!location[0])
		return fail_code(EBADMSG, "CLOUD_REPLY_INVALID",
				 "oss GetBucketInfo: the reply lacks Location");
	*out = (struct cloud_bucket_info){
		.region = strncmp(location, "oss-", 4) == 0 ? location + 4 : location,
		.storage_class = xml_text(b, "StorageClass"),
		.versioned = xml_text(b, "Versioning")[0] != '\0',
	};
	return 0;
}

/* ---- writing and looking ---- */

/* OSS tells a CRC-64 of what it has; a gateway that strips the header is put up with. */
static int check_bytes(const struct http_reply *r, const struct cloud_object *at, uint64_t crc)
{
	const char *text = sign_find(&r->headers, "x-oss-hash-crc64ecma");
	uint64_t theirs;

	if (!text || num_parse(text, 0, UINT64_MAX, &theirs) < 0 || theirs == crc)
		return 0;
	return fail_code(EBADMSG, "CLOUD_BYTES_DIFFER",
			 "object %s in bucket %s: what arrived is not what was sent", at->key,
			 at->bucket);
}

static int crc_of_file(int fd, const char *path, uint64_t bytes, uint64_t *crc)
{
	CLEANUP_FREE char *piece = malloc(MIB);
	int rc = piece ? 0 : fail(ENOMEM, "memory for %s", path);

	*crc = 0;
	for (uint64_t at = 0; rc == 0 && at < bytes; at += MIB) {
		size_t n = min_of(MIB, bytes - at);

		rc = io_pread(fd, piece, n, at, path);
		if (rc == 0)
			*crc = crc64(*crc, piece, n);
	}
	return rc;
}

int cloud_object_put(struct cloud *c, const struct cloud_object *at, const void *data, size_t bytes,
		     const char *content_type, const json_t *meta)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_REPLY struct http_reply r = {0};
	struct oss_call o = OSS_CALL(.name = "PutObject", .method = "PUT", .at = at,
				     .body = bytes ? data : "", .body_bytes = bytes, .bulk = true);
	int rc = oss_describe_new(a, content_type, meta, &o.headers);

	if (rc < 0)
		return rc;
	sign_add(a, &o.headers, "content-md5", sign_md5(a, data, bytes));
	rc = oss_perform(c, &o, a, &r);
	return rc < 0 ? rc : check_bytes(&r, at, crc64(0, data, bytes));
}

int cloud_object_put_file(struct cloud *c, const struct cloud_object *at, const char *path,
			  const char *content_type, const json_t *meta)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_REPLY struct http_reply r = {0};
	CLEANUP_CLOSE int fd = io_open(path, O_RDONLY, 0);
	struct oss_call o = OSS_CALL(.name = "PutObject", .method = "PUT", .at = at, .bulk = true);
	uint64_t crc = 0;
	int rc = fd < 0 ? fd : io_size(fd, path, &o.body_bytes);

	if (rc == 0)
		rc = crc_of_file(fd, path, o.body_bytes, &crc);
	if (rc == 0)
		rc = oss_describe_new(a, content_type, meta, &o.headers);
	if (rc < 0)
		return rc;
	o.body_fd = fd;
	rc = oss_perform(c, &o, a, &r);
	return rc < 0 ? rc : check_bytes(&r, at, crc);
}

int cloud_object_head(struct cloud *c, const struct cloud_object *at, struct arena *a,
		      struct cloud_object_info *out)
{
	CLEANUP_REPLY struct http_reply r = {0};
	struct oss_call o = OSS_CALL(.name = "HeadObject", .method = "HEAD", .at = at);
	const char *length, *crc;
	int rc = oss_perform(c, &o, a, &r);

	if (rc < 0)
		return rc;
	length = sign_find(&r.headers, "content-length");
	crc = sign_find(&r.headers, "x-oss-hash-crc64ecma");
	*out = (struct cloud_object_info){.key = arena_strdup(a, at->key), .crc64 = crc ? crc : ""};
	if (!length || num_parse(length, 0, UINT64_MAX, &out->bytes) < 0)
		return fail_code(EBADMSG, "CLOUD_REPLY_INVALID",
				 "oss HeadObject: the reply lacks Content-Length");
	return 0;
}

/* ---- lists ---- */

int cloud_object_list(struct cloud *c, const struct cloud_object *at, struct arena *a,
		      struct cloud_object_info **list, size_t *count)
{
	static const struct oss_list objects = {
		.name = "ListObjectsV2",
		.kind = "list-type",
		.value = "2",
		.max = "max-keys",
		.root = "ListBucketResult",
		.next = {{"NextContinuationToken", "continuation-token", false}},
	};
	struct oss_pages pages = {.list = &objects, .at = at};
	struct xml_node *root;
	int rc;

	*list = NULL;
	*count = 0;
	while ((rc = oss_next_page(c, &pages, a, &root)) == 1)
		for (const struct xml_node *n = xml_child(root, "Contents"); n; n = xml_same(n))
			*arena_push(a, list, count) = (struct cloud_object_info){
				.key = oss_decoded(a, n, "Key"),
				.bytes = oss_number(n, "Size"),
				.crc64 = "",
			};
	return rc;
}

/* ---- deleting ---- */

static int delete_version(struct cloud *c, const struct cloud_object *at, const char *version,
			  struct arena *a, bool *versioned)
{
	CLEANUP_REPLY struct http_reply r = {0};
	struct oss_call o = OSS_CALL(.name = "DeleteObject", .method = "DELETE", .at = at);
	int rc;

	if (version)
		sign_add(a, &o.query, "versionId", version);
	rc = oss_perform(c, &o, a, &r);
	if (versioned)
		*versioned = rc == 0 && (sign_find(&r.headers, "x-oss-delete-marker") ||
					 sign_find(&r.headers, "x-oss-version-id"));
	return rc;
}

static int delete_listed(struct cloud *c, const struct cloud_object *at,
			 const struct xml_node *root, const char *kind, struct arena *a)
{
	int rc = 0;

	for (const struct xml_node *n = xml_child(root, kind); n && rc == 0; n = xml_same(n))
		if (strcmp(oss_decoded(a, n, "Key"), at->key) == 0)
			rc = delete_version(c, at, xml_text(n, "VersionId"), a, NULL);
	return rc;
}

/* A deletion in a versioned bucket only hides the object; what is to be paid for are its versions.
 */
static int delete_versions(struct cloud *c, const struct cloud_object *at, struct arena *a)
{
	static const struct oss_list versions = {
		.name = "ListObjectVersions",
		.kind = "versions",
		.max = "max-keys",
		.root = "ListVersionsResult",
		.next = {{"NextKeyMarker", "key-marker", true},
			 {"NextVersionIdMarker", "version-id-marker", false}},
	};
	struct oss_pages pages = {.list = &versions, .at = at};
	struct xml_node *root;
	int rc;

	while ((rc = oss_next_page(c, &pages, a, &root)) == 1) {
		rc = delete_listed(c, at, root, "Version", a);
		if (rc == 0)
			rc = delete_listed(c, at, root, "DeleteMarker", a);
		if (rc < 0)
			break;
	}
	return rc;
}

int cloud_object_delete(struct cloud *c, const struct cloud_object *at)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	bool versioned = false;
	int rc = delete_version(c, at, NULL, a, &versioned);

	return rc == 0 && versioned ? delete_versions(c, at, a) : rc;
}
