/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the cloud answers: XML documents of OSS, cut at every byte; and things, in every state. */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "cloud/private.h"
#include "cloud/xml.h"
#include "unit.h"

static const char document[] =
	"\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- a list -->\n"
	"<o:ListBucketResult xmlns:o='http://x/>' a = \"b\">"
	"<IsTruncated>true</IsTruncated><Empty/>"
	"<Contents><Key>a&amp;b &lt;&#x4e2d;&#65;&quot;&apos;&gt;</Key><Size>12</Size></Contents>"
	"<!-- between --><Contents><Key>second</Key ></Contents>"
	"</o:ListBucketResult>\n<!-- end -->";

static int parse(struct arena *a, const char *text, size_t bytes, struct xml_node **root)
{
	/* Of its own, so that a read beyond its end is seen. */
	CLEANUP_FREE char *copy = malloc(bytes ? bytes : 1);

	memcpy(copy, text, bytes);
	return xml_parse(a, copy, bytes, root);
}

static void a_document_is_read(void **state)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	const struct xml_node *first;
	struct xml_node *root = NULL;

	(void)state;
	if (parse(a, document, strlen(document), &root) < 0)
		fail_msg("%s", err_reason());
	assert_string_equal(root->name, "ListBucketResult");
	assert_string_equal(xml_text(root, "IsTruncated"), "true");
	assert_string_equal(xml_text(root, "Empty"), "");
	assert_string_equal(xml_text(root, "NotThere"), "");
	first = xml_child(root, "Contents");
	assert_string_equal(xml_text(first, "Key"), "a&b <\xe4\xb8\xad"
						    "A\"'>");
	assert_string_equal(xml_text(xml_same(first), "Key"), "second");
	assert_null(xml_same(xml_same(first)));
	assert_null(xml_child(NULL, "x"));
}

static void a_document_cut_anywhere_is_refused(void **state)
{
	size_t whole = strstr(document, "</o:ListBucketResult>") - document +
		       strlen("</o:ListBucketResult>");

	(void)state;
	for (size_t n = 0; n < strlen(document); n++) {
		CLEANUP_ARENA struct arena *a = arena_new();
		struct xml_node *root = NULL;
		int rc = parse(a, document, n, &root);

		/* Behind the root, blanks and whole comments may be missing. */
		if (n == whole || n == whole + 1)
			assert_int_equal(rc, 0);
		else if (rc != -EBADMSG)
			fail_msg("cut at %zu: %d", n, rc);
	}
}

static void what_is_not_well_formed_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"text",
		"<a>",
		"<a></b>",
		"<a><b></a></b>",
		"<a>&unknown;</a>",
		"<a>&#0;</a>",
		"<a>&#xd800;</a>",
		"<a>&#x110000;</a>",
		"<a>&amp</a>",
		"<a b>x</a>",
		"<a b=c>x</a>",
		"<a b=\"c>x</a>",
		"<a/><b/>",
		"<a></a>x",
		"<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
		"<a><![CDATA[x]]></a>",
		"< a></a>",
		"<a><!-- x</a>",
	};
	struct xml_node *root;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CLEANUP_ARENA struct arena *a = arena_new();

		if (parse(a, bad[i], strlen(bad[i]), &root) != -EBADMSG)
			fail_msg("%s was taken", bad[i]);
	}
}

static void depth_and_size_are_bounded(void **state)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_FREE char *deep = calloc(1, 1 << 20);
	struct xml_node *root;

	(void)state;
	for (int i = 0; i < 100; i++)
		strcat(deep, "<a>");
	for (int i = 0; i < 100; i++)
		strcat(deep, "</a>");
	assert_int_equal(xml_parse(a, deep, strlen(deep), &root), -EBADMSG);
	memset(deep, 0, 1 << 20);
	strcpy(deep, "<a>");
	for (size_t n = 3; n + 10 < 1 << 20; n += 4)
		memcpy(deep + n, "<b/>", 4);
	strcat(deep, "</a>");
	assert_int_equal(xml_parse(a, deep, strlen(deep), &root), -EBADMSG);
}

static void every_state_of_every_kind_has_its_phase(void **state)
{
	static const struct {
		enum cloud_kind kind;
		const char *id_name, *state_name, *state;
		enum cloud_phase phase;
	} cases[] = {
		{CLOUD_KIND_VPC, "VpcId", "Status", "Pending", CLOUD_PENDING},
		{CLOUD_KIND_VPC, "VpcId", "Status", "Available", CLOUD_READY},
		{CLOUD_KIND_VSWITCH, "VSwitchId", "Status", "Pending", CLOUD_PENDING},
		{CLOUD_KIND_VSWITCH, "VSwitchId", "Status", "Available", CLOUD_READY},
		{CLOUD_KIND_SECURITY_GROUP, "SecurityGroupId", "x", "", CLOUD_READY},
		{CLOUD_KIND_INSTANCE, "InstanceId", "Status", "Pending", CLOUD_PENDING},
		{CLOUD_KIND_INSTANCE, "InstanceId", "Status", "Starting", CLOUD_PENDING},
		{CLOUD_KIND_INSTANCE, "InstanceId", "Status", "Running", CLOUD_READY},
		{CLOUD_KIND_INSTANCE, "InstanceId", "Status", "Stopping", CLOUD_LEAVING},
		{CLOUD_KIND_INSTANCE, "InstanceId", "Status", "Stopped", CLOUD_STOPPED},
		{CLOUD_KIND_DISK, "DiskId", "Status", "In_use", CLOUD_READY},
		{CLOUD_KIND_DISK, "DiskId", "Status", "Available", CLOUD_READY},
		{CLOUD_KIND_DISK, "DiskId", "Status", "Attaching", CLOUD_PENDING},
		{CLOUD_KIND_DISK, "DiskId", "Status", "Detaching", CLOUD_LEAVING},
		{CLOUD_KIND_DISK, "DiskId", "Status", "Creating", CLOUD_PENDING},
		{CLOUD_KIND_DISK, "DiskId", "Status", "ReIniting", CLOUD_PENDING},
		{CLOUD_KIND_SNAPSHOT, "SnapshotId", "Status", "progressing", CLOUD_PENDING},
		{CLOUD_KIND_SNAPSHOT, "SnapshotId", "Status", "accomplished", CLOUD_READY},
		{CLOUD_KIND_SNAPSHOT, "SnapshotId", "Status", "failed", CLOUD_FAILED},
		{CLOUD_KIND_IMAGE, "ImageId", "Status", "Creating", CLOUD_PENDING},
		{CLOUD_KIND_IMAGE, "ImageId", "Status", "Waiting", CLOUD_PENDING},
		{CLOUD_KIND_IMAGE, "ImageId", "Status", "Available", CLOUD_READY},
		{CLOUD_KIND_IMAGE, "ImageId", "Status", "UnAvailable", CLOUD_FAILED},
		{CLOUD_KIND_IMAGE, "ImageId", "Status", "CreateFailed", CLOUD_FAILED},
		{CLOUD_KIND_EXPORT_TASK, "TaskId", "TaskStatus", "Waiting", CLOUD_PENDING},
		{CLOUD_KIND_EXPORT_TASK, "TaskId", "TaskStatus", "Processing", CLOUD_PENDING},
		{CLOUD_KIND_EXPORT_TASK, "TaskId", "TaskStatus", "Finished", CLOUD_READY},
		{CLOUD_KIND_EXPORT_TASK, "TaskId", "TaskStatus", "Failed", CLOUD_FAILED},
		{CLOUD_KIND_ENS_IMAGE, "ImageId", "Status", "Creating", CLOUD_PENDING},
		{CLOUD_KIND_ENS_IMAGE, "ImageId", "Status", "Packing", CLOUD_PENDING},
		{CLOUD_KIND_ENS_IMAGE, "ImageId", "Status", "Uploading", CLOUD_PENDING},
		{CLOUD_KIND_ENS_IMAGE, "ImageId", "Status", "Copying", CLOUD_PENDING},
		{CLOUD_KIND_ENS_IMAGE, "ImageId", "Status", "Available", CLOUD_READY},
		{CLOUD_KIND_ENS_IMAGE, "ImageId", "Status", "Pack_failed", CLOUD_FAILED},
		{CLOUD_KIND_ENS_IMAGE, "ImageId", "Status", "Upload_failed", CLOUD_FAILED},
		{CLOUD_KIND_ENS_IMAGE, "ImageId", "Status", "Unavailable", CLOUD_FAILED},
		{CLOUD_KIND_ENS_IMAGE, "ImageId", "Status", "", CLOUD_PENDING},
		{CLOUD_KIND_ENS_IMAGE, "ImageId", "Status", "Something new", CLOUD_PENDING},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP_ARENA struct arena *a = arena_new();
		CLEANUP_JSON json_t *item = json_pack("{s:s, s:s}", cases[i].id_name, "x-1",
						      cases[i].state_name, cases[i].state);
		struct cloud_thing t;

		assert_int_equal(thing_read(cases[i].kind, item, a, &t), 0);
		if (t.phase != cases[i].phase)
			fail_msg("%s %s: phase %d", cloud_kind_name(cases[i].kind), cases[i].state,
				 (int)t.phase);
		assert_int_equal(t.percent, t.phase == CLOUD_READY ? 100 : 0);
	}
}

static void a_thing_is_ready_only_when_it_can_be_used(void **state)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_JSON json_t *image = json_pack("{s:s, s:s, s:b, s:s}", "ImageId", "m-1", "Status",
					       "Available", "Usable", 0, "Progress", "100%");
	CLEANUP_JSON json_t *task = json_pack("{s:s, s:s, s:s}", "TaskId", "t-1", "TaskStatus",
					      "Finished", "FailedCount", "1");
	CLEANUP_JSON json_t *nobody = json_pack("{s:s}", "Status", "Running");
	struct cloud_thing t;

	(void)state;
	assert_int_equal(thing_read(CLOUD_KIND_IMAGE, image, a, &t), 0);
	assert_int_equal(t.phase, CLOUD_PENDING);
	assert_int_equal(t.percent, 99);
	assert_int_equal(thing_read(CLOUD_KIND_EXPORT_TASK, task, a, &t), 0);
	assert_int_equal(t.phase, CLOUD_FAILED);
	assert_int_equal(thing_read(CLOUD_KIND_INSTANCE, nobody, a, &t), -EBADMSG);
}

static void kinds_have_names(void **state)
{
	enum cloud_kind kind;

	(void)state;
	for (int i = 0; i < CLOUD_KIND_COUNT; i++) {
		assert_int_equal(cloud_kind_parse(cloud_kind_name((enum cloud_kind)i), &kind), 0);
		assert_int_equal(kind, i);
	}
	assert_int_equal(cloud_kind_parse("planet", &kind), -EINVAL);
}

/* What cannot be repeated blindly must be so on purpose; a slip here makes things twice. */
static void only_these_are_never_repeated_blindly(void **state)
{
	static const char *const unsafe[] = {"AttachDisk", "ExportImage", "ImportImage"};
	const struct action *action;
	size_t found = 0;

	(void)state;
	for (size_t n = 0; (action = action_at(n)); n++) {
		bool listed = false;

		assert_ptr_equal(action_find(action->product, action->name), action);
		if (action->flags & (ACTION_READ | ACTION_AGAIN))
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(unsafe); i++)
			listed |= strcmp(action->name, unsafe[i]) == 0;
		if (!listed)
			fail_msg("%s", action->name);
		found++;
	}
	assert_int_equal(found, ARRAY_SIZE(unsafe));
	assert_true(action_find(CLOUD_ECS, "RunInstances")->flags & ACTION_TOKEN);
	assert_true(action_find(CLOUD_ECS, "CreateImage")->flags & ACTION_TOKEN);
	assert_true(action_find(CLOUD_VPC, "CreateVpc")->flags & ACTION_TOKEN);
	assert_false(action_find(CLOUD_ENS, "ImportImage")->flags & ACTION_TOKEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_document_is_read),
		cmocka_unit_test(a_document_cut_anywhere_is_refused),
		cmocka_unit_test(what_is_not_well_formed_is_refused),
		cmocka_unit_test(depth_and_size_are_bounded),
		cmocka_unit_test(every_state_of_every_kind_has_its_phase),
		cmocka_unit_test(a_thing_is_ready_only_when_it_can_be_used),
		cmocka_unit_test(kinds_have_names),
		cmocka_unit_test(only_these_are_never_repeated_blindly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
