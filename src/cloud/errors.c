/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a reply that refuses to a code, a decision and a sentence. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/num.h"
#include "cloud/private.h"
#include "cloud/xml.h"

/* One printable line; what a server sends may be anything. */
static void copy_line(char *to, size_t room, const char *from)
{
	size_t n = 0;

	for (; from && *from && n + 1 < room; from++)
		to[n++] = (unsigned char)*from < ' ' || *from == 0x7f ? ' ' : *from;
	to[n] = '\0';
}

/* These messages show the text that was signed, and with it a session token. */
static bool shows_what_was_signed(const char *code)
{
	return strcmp(code, "SignatureDoesNotMatch") == 0 ||
	       strcmp(code, "IncompleteSignature") == 0;
}

static void finish(struct cloud_error *e, bool oss)
{
	const struct cloud_rule *rule = cloud_rule_find(e->code, e->status, oss);

	e->decision = rule->decision;
	e->advice = rule->advice;
	if (shows_what_was_signed(e->code))
		e->message[0] = '\0';
}

static void begin(struct cloud_error *e, const struct http_reply *r)
{
	const char *after = sign_find(&r->headers, "x-acs-retry-after");
	uint64_t ms;

	*e = (struct cloud_error){.status = r->status};
	if (after && num_parse(after, 0, 600000, &ms) == 0)
		e->retry_after_ms = ms;
	after = sign_find(&r->headers, "retry-after");
	if (!e->retry_after_ms && after && num_parse(after, 0, 600, &ms) == 0)
		e->retry_after_ms = ms * 1000;
}

void error_from_json(struct cloud *c, const struct http_reply *r)
{
	CLEANUP_JSON json_t *json =
		r->body ? json_loadb(r->body, r->bytes, JSON_REJECT_DUPLICATES, NULL) : NULL;
	const json_t *denied = json_object_get(json, "AccessDeniedDetail");
	struct cloud_error *e = &c->error;

	begin(e, r);
	copy_line(e->code, sizeof(e->code), json_string_value(json_object_get(json, "Code")));
	copy_line(e->message, sizeof(e->message),
		  json_string_value(json_object_get(json, "Message")));
	copy_line(e->request_id, sizeof(e->request_id),
		  json_string_value(json_object_get(json, "RequestId")));
	copy_line(e->detail, sizeof(e->detail),
		  json_string_value(json_object_get(denied, "AuthAction")));
	finish(e, false);
}

/* OSS says in words alone that a bucket is elsewhere: by the endpoint, or by the signature. */
static void name_other_region(struct cloud_error *e)
{
	if ((strcmp(e->code, "AccessDenied") == 0 &&
	     strstr(e->message, "must be addressed using the specified endpoint")) ||
	    (strcmp(e->code, "InvalidArgument") == 0 && strstr(e->message, "signing region")))
		snprintf(e->code, sizeof(e->code), "InvalidOSSBucket.NotMatched");
}

void error_from_xml(struct cloud *c, const struct http_reply *r)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	const char *id = sign_find(&r->headers, "x-oss-request-id");
	struct cloud_error *e = &c->error;
	struct xml_node *root = NULL;

	begin(e, r);
	if (r->body && xml_parse(a, r->body, r->bytes, &root) == 0 &&
	    strcmp(root->name, "Error") == 0) {
		copy_line(e->code, sizeof(e->code), xml_text(root, "Code"));
		copy_line(e->message, sizeof(e->message), xml_text(root, "Message"));
		copy_line(e->request_id, sizeof(e->request_id), xml_text(root, "RequestId"));
		name_other_region(e);
	}
	if (!e->request_id[0])
		copy_line(e->request_id, sizeof(e->request_id), id);
	finish(e, true);
}

static int errno_of(enum cloud_decision decision)
{
	switch (decision) {
	case CLOUD_FINAL:
		return EINVAL;
	case CLOUD_RETRY:
	case CLOUD_RETRY_SAFE:
	case CLOUD_RETRY_STATE:
	case CLOUD_RETRY_SLOWLY:
	case CLOUD_SAME_TOKEN:
	case CLOUD_NEW_NONCE:
		return EAGAIN;
	case CLOUD_FIX_CLOCK:
		return ETIME;
	case CLOUD_NEXT_CANDIDATE:
		return ENODEV;
	case CLOUD_OTHER_NAME:
		return EEXIST;
	case CLOUD_DONE:
		return 0;
	case CLOUD_GONE:
		return ENOENT;
	case CLOUD_RUNNING:
		return EALREADY;
	case CLOUD_DELETE_IMAGE:
	case CLOUD_FORCE:
		return EBUSY;
	case CLOUD_QUOTA:
	case CLOUD_MONEY:
		return EDQUOT;
	case CLOUD_NEW_CREDENTIALS:
	case CLOUD_DENIED:
		return EACCES;
	}
	return EINVAL;
}

int error_fail(const struct cloud_error *e, const char *what, bool deleting)
{
	const struct cloud_rule *rule = cloud_rule_find(e->code, e->status, false);
	char code[ERR_CODE_MAX], status[24];
	int errnum = errno_of(e->decision);

	if (errnum == 0 || (errnum == ENOENT && deleting))
		return 0;
	if (strncmp(what, "oss ", 4) == 0)
		rule = cloud_rule_find(e->code, e->status, true);
	snprintf(status, sizeof(status), "HTTP_%u", e->status);
	snprintf(code, sizeof(code), "%.47s", e->code[0] ? e->code : status);
	return fail_code(errnum, code, "%s: %s (%s%s%.180s%s%.60s%s%s). %s", what, rule->meaning,
			 code, e->message[0] ? ": " : "", e->message,
			 e->detail[0] ? "; lacks " : "", e->detail,
			 e->request_id[0] ? "; request " : "", e->request_id, rule->advice);
}

const struct cloud_error *cloud_last_error(const struct cloud *c)
{
	return &c->error;
}
