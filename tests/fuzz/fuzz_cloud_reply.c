/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the cloud answers: one input taken as a JSON reply (an entry of each kind, an error, paths
 * into it), as an XML document of OSS, and as the texts that headers and documents hold.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "cloud/private.h"
#include "cloud/text.h"
#include "cloud/xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_error(const char *text, size_t size, bool xml)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	struct http_reply r = {.status = 400, .body = (char *)text, .bytes = size};
	struct cloud c = {0};
	int rc;

	sign_add(a, &r.headers, "x-acs-retry-after", text);
	if (xml)
		error_from_xml(&c, &r);
	else
		error_from_json(&c, &r);
	assert(strlen(c.error.code) < sizeof(c.error.code));
	for (const char *p = c.error.message; *p; p++)
		assert((unsigned char)*p >= ' ');
	rc = error_fail(&c.error, xml ? "oss GetObject" : "ecs RunInstances", false);
	assert(rc <= 0);
	assert(rc == 0 || err_code()[0]);
}

static void read_things(const json_t *json)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	static const char *const paths[] = {"Instances.Instance.0.VpcAttributes.VpcId", "NextToken",
					    "TotalCount", "0.1.2", ""};
	struct cloud_thing t, copy;
	struct sign_pairs flat = {0};

	for (int k = 0; k < CLOUD_KIND_COUNT; k++) {
		if (thing_read((enum cloud_kind)k, json, a, &t) < 0)
			continue;
		assert(t.percent <= 100 && t.id && t.name && t.state && t.parent && t.created);
		assert(cloud_thing_copy(&t, a, &copy) == 0 && strcmp(t.id, copy.id) == 0);
		(void)cloud_instance_address(&t, true, a);
		(void)cloud_instance_address(&t, false, a);
	}
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		assert(cloud_get_string_or(json, paths[i], "x"));
		(void)cloud_get_u64_or(json, paths[i], 0);
		(void)cloud_get_list(json, paths[i]);
		(void)cloud_get_bool_or(json, paths[i], true);
	}
	(void)sign_flatten(a, json, &flat);
}

static size_t walk(const struct xml_node *node)
{
	size_t n = 1;

	assert(node->name && node->text);
	assert(strcmp(xml_text(node, "Code"), xml_text(node, "Code")) == 0);
	for (const struct xml_node *c = node->first; c; c = c->next)
		n += walk(c);
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_FREE char *text = calloc(1, size + 1);
	CLEANUP_JSON json_t *json = NULL;
	struct xml_node *root = NULL;
	const char *decoded;

	memcpy(text, data, size);
	json = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
	read_things(json);
	read_error(text, size, false);
	read_error(text, size, true);
	if (xml_parse(a, text, size, &root) == 0)
		assert(walk(root) >= 1);
	decoded = text_decoded(a, text);
	if (decoded)
		assert(strlen(decoded) <= size);
	assert(text_decoded(a, text_encoded(a, text, false)));
	(void)text_parse_http_time(text);
	(void)text_parse_iso_time(text);
	return 0;
}
