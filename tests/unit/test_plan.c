/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jobs, and plans as files: what tests/golden cannot show. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "unit.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/num.h"
#include "plan/plan.h"

/* One GPT disk with a root and a PV on it, one volume; and a second disk. */
static const char inventory_text[] =
	"{\"version\":1,\"machine\":{\"firmware\":\"bios\"},\"problems\":[],\"md\":[],\"disks\":["
	"{\"name\":\"sda\",\"serial\":\"S1\",\"size_bytes\":21474836480,\"sector_bytes\":512,"
	"\"path_of\":null,\"table\":{\"kind\":\"gpt\",\"id\":\"x\",\"meta\":[[0,17408],"
	"[21474819584,16896]],\"gpt_backup_lba\":41943039,\"boot_code\":true},\"partitions\":["
	"{\"name\":\"sda1\",\"number\":1,\"type\":\"a\",\"offset_bytes\":1048576,\"length_bytes\":"
	"1073741824,\"content\":{\"kind\":\"ext\",\"type\":\"ext4\",\"uuid\":\"r\",\"used_bytes\":"
	"1000000}},{\"name\":\"sda2\",\"number\":2,\"type\":\"b\",\"offset_bytes\":1074790400,"
	"\"length_bytes\":2147483648,\"content\":{\"kind\":\"lvm\",\"type\":\"LVM2_member\"}}]},"
	"{\"name\":\"sdb\",\"serial\":null,\"size_bytes\":1073741824,\"sector_bytes\":512,"
	"\"table\":null,\"content\":{\"kind\":\"xfs\",\"type\":\"xfs\",\"uuid\":\"d\"}}],"
	"\"lvm\":{\"pvs\":[{\"device\":\"sda2\",\"uuid\":\"pv\",\"meta\":[[0,2048],[4096,1044480]]}"
	"],"
	"\"groups\":[{\"name\":\"vg\",\"uuid\":\"v\",\"pvs\":[{\"uuid\":\"pv\",\"device\":\"sda2\"}"
	"],"
	"\"lvs\":[{\"name\":\"home\",\"visible\":true,\"plain\":true,\"size_bytes\":8388608,"
	"\"segments\":[{\"type\":\"striped\",\"lv_offset_bytes\":0,\"length_bytes\":8388608,"
	"\"stripe_bytes\":0,\"stripes\":[{\"pv\":\"pv\",\"pv_offset_bytes\":1048576}]}],"
	"\"content\":{\"kind\":\"ext\",\"type\":\"ext4\",\"uuid\":\"h\"}}]}]},"
	"\"guest\":{\"root_device\":\"sda1\",\"architecture\":\"x86_64\",\"fstab\":["
	"{\"spec\":\"/dev/vg/home\",\"mountpoint\":\"/home\",\"type\":\"auto\",\"options\":\"x\","
	"\"device\":\"vg/home\"}]}}";

static json_t *parsed(const char *text)
{
	json_t *j = NULL;

	if (json_parse(text, strlen(text), "test", &j) < 0)
		fail_msg("%s", err_reason());
	return j;
}

static json_t *planned(void)
{
	CLEANUP_JSON json_t *inventory = parsed(inventory_text);
	json_t *plan = NULL;

	if (plan_make(inventory, NULL, NULL, NULL, &plan) < 0)
		fail_msg("%s", err_reason());
	return plan;
}

static void a_plan_is_read_as_it_was_made(void **state)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_JSON json_t *json = planned();
	const struct plan_part *part;
	struct plan *p = NULL;

	(void)state;
	assert_int_equal(plan_read(a, json, &p), 0);
	assert_string_equal(p->firmware, "bios");
	assert_string_equal(p->job_name, "migration");
	assert_int_equal(strlen(p->digest), 64);
	assert_int_equal(p->disk_count, 2);
	assert_string_equal(p->disks[0].source, "sda");
	assert_string_equal(p->disks[0].serial, "S1");
	assert_int_equal(p->disks[0].target_bytes, 20 * GIB);
	assert_int_equal(p->disks[0].part_count, 6);
	part = &p->disks[0].parts[0];
	assert_int_equal(part->kind, PLAN_PART_TABLE);
	assert_null(part->name);
	assert_int_equal(part->keep.count, 1);
	part = &p->disks[0].parts[2];
	assert_int_equal(part->kind, PLAN_PART_CONTENT);
	assert_string_equal(part->name, "sda1");
	assert_int_equal(part->content, DISK_CONTENT_EXT);
	part = &p->disks[0].parts[3];
	assert_int_equal(part->kind, PLAN_PART_LVM);
	assert_int_equal(part->keep.count, 2);
	assert_int_equal(part->keep.list[0].offset_bytes, 1074790400);
	assert_int_equal(p->volume_count, 1);
	assert_string_equal(p->volumes[0].vg, "vg");
	assert_int_equal(p->volumes[0].segment_count, 1);
	assert_int_equal(p->volumes[0].segments[0].disk_offset_bytes, 1074790400 + MIB);
	assert_int_equal(p->mount_count, 2);
	assert_string_equal(p->mounts[0].mountpoint, "/");
	assert_string_equal(p->mounts[1].device, "vg/home");
	assert_string_equal(p->mounts[1].fs_type, "ext4");
	assert_int_equal(p->copy.compression, 7);
	assert_string_equal(p->copy.digest, "xxh3-128");
	assert_string_equal(p->allow, "");
	assert_null(p->exit);
}

static void the_digest_is_of_the_text(void **state)
{
	CLEANUP_JSON json_t *one = planned();
	CLEANUP_JSON json_t *two = planned();
	CLEANUP_FREE char *text = json_text(one);
	CLEANUP_JSON json_t *again = parsed(text);
	char a[65], b[65], c[65], d[65];

	(void)state;
	assert_int_equal(plan_digest(one, a), 0);
	assert_int_equal(plan_digest(two, b), 0);
	assert_int_equal(plan_digest(again, c), 0);
	assert_string_equal(a, b);
	assert_string_equal(a, c);
	json_object_set_new(two, "job_name", json_string("other"));
	assert_int_equal(plan_digest(two, d), 0);
	assert_string_not_equal(a, d);
}

static json_t *reach(json_t *j, const char *path)
{
	char part[64];

	while (*path) {
		size_t n = strcspn(path, ".");

		snprintf(part, sizeof(part), "%.*s", (int)n, path);
		j = part[0] >= '0' && part[0] <= '9' ? json_array_get(j, (size_t)atoi(part))
						     : json_object_get(j, part);
		path += n + (path[n] == '.');
	}
	assert_non_null(j);
	return j;
}

static void a_damaged_plan_is_refused(void **state)
{
	static const struct {
		const char *object, *key;
		json_int_t value;
	} cases[] = {
		{"", "version", 2},
		{"disks.0", "index", 1},
		{"disks.0", "source_bytes", 1},
		{"disks.0.parts.1", "length_bytes", 1},
		{"disks.0.parts.2", "offset_bytes", 0},
		{"disks.0.parts.5", "length_bytes", INT64_MAX},
		{"volumes.0", "size_bytes", 8388609},
		{"volumes.0.segments.0", "disk", 2},
		{"volumes.0.segments.0", "disk_offset_bytes", INT64_MAX},
		{"volumes.0.segments.0", "disk_offset_bytes", -1},
		{"volumes.0.segments.0", "length_bytes", 8388607},
		{"copy", "compression", 11},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP_ARENA struct arena *a = arena_new();
		CLEANUP_JSON json_t *j = planned();
		struct plan *p;

		json_object_set_new(reach(j, cases[i].object), cases[i].key,
				    json_integer(cases[i].value));
		if (plan_read(a, j, &p) != -EINVAL)
			fail_msg("%s.%s is taken", cases[i].object, cases[i].key);
	}
}

/* Each key in turn goes missing or is of another type: an answer, and never a crash. */
static void spoil(json_t *root, json_t *at, bool inventory)
{
	const char *key;
	json_t *value;
	void *next;
	size_t i;

	if (json_is_array(at)) {
		json_array_foreach (at, i, value)
			spoil(root, value, inventory);
		return;
	}
	json_object_foreach_safe(at, next, key, value)
	{
		CLEANUP_JSON json_t *kept = json_incref(value);
		CLEANUP_FREE char *name = strdup(key);

		for (int kind = 0; kind < 4; kind++) {
			CLEANUP_ARENA struct arena *a = arena_new();
			CLEANUP_JSON json_t *out = NULL;
			struct plan *p;

			json_object_set_new(at, name,
					    kind == 0	? json_null()
					    : kind == 1 ? json_integer(-3)
					    : kind == 2 ? json_string("x")
							: json_array());
			if (inventory)
				plan_make(root, NULL, NULL, NULL, &out);
			else
				plan_read(a, root, &p);
		}
		json_object_set(at, name, kept);
		spoil(root, kept, inventory);
	}
}

static void what_is_no_target_is_refused(void **state)
{
	static const char *const texts[] = {
		"[]",
		"{}",
		"{\"kind\": 1, \"disks\": []}",
		"{\"kind\": \"tapes\", \"disks\": []}",
		"{\"kind\": \"devices\"}",
		"{\"kind\": \"devices\", \"disks\": [1]}",
		"{\"kind\": \"devices\", \"disks\": [{\"index\": 0, \"size_bytes\": -1}]}",
		"{\"kind\": \"files\", \"disks\": [], \"free_bytes\": \"much\"}",
		"{\"kind\": \"files\", \"disks\": [], \"max_disks\": -1}",
	};
	CLEANUP_JSON json_t *inventory = parsed(inventory_text);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		CLEANUP_JSON json_t *target = parsed(texts[i]);
		json_t *out = NULL;

		assert_int_equal(plan_make(inventory, NULL, target, NULL, &out), -EINVAL);
		assert_string_equal(err_code(), "TARGET_INVALID");
		assert_null(out);
	}
}

static void values_of_wrong_types_do_no_harm(void **state)
{
	CLEANUP_JSON json_t *inventory = parsed(inventory_text);
	CLEANUP_JSON json_t *plan = planned();

	(void)state;
	spoil(inventory, inventory, true);
	spoil(plan, plan, false);
}

static void an_inventory_cut_at_any_byte_is_refused(void **state)
{
	(void)state;
	for (size_t n = 0; n < sizeof(inventory_text) - 1; n++) {
		json_t *j = NULL;

		assert_int_equal(json_parse(inventory_text, n, "test", &j), -EINVAL);
	}
}

static void jobs_are_checked(void **state)
{
	static const struct {
		const char *text;
		const char *key; /* that the reason names; NULL: it is a good one */
	} cases[] = {
		{"{}", NULL},
		{"{\"compression\":0,\"rate_mbit\":100,\"connections\":16,\"adaptive\":true}",
		 NULL},
		{"{\"name\":\"n\",\"exit\":\"reboot\",\"digest\":\"xxh3-128\"}", NULL},
		{"{\"allow\":[\"SOURCE_HIBERNATED\",\"GUEST_NO_VIRTIO\"]}", NULL},
		{"[]", "JSON object"},
		{"{\"compresion\":7}", "compresion"},
		{"{\"compression\":11}", "compression"},
		{"{\"compression\":-1}", "compression"},
		{"{\"compression\":\"7\"}", "compression"},
		{"{\"compression\":7.5}", "compression"},
		{"{\"connections\":0}", "connections"},
		{"{\"connections\":17}", "connections"},
		{"{\"rate_mbit\":-5}", "rate_mbit"},
		{"{\"adaptive\":1}", "adaptive"},
		{"{\"name\":3}", "name"},
		{"{\"exit\":\"explode\"}", "exit"},
		{"{\"digest\":\"md5\"}", "digest"},
		{"{\"allow\":\"SOURCE_HIBERNATED\"}", "allow"},
		{"{\"allow\":[3]}", "allow"},
		{"{\"allow\":[\"OS_NOT_LINUX\"]}", "OS_NOT_LINUX"},
		{"{\"exclude_disks\":[[]]}", "exclude_disks"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP_JSON json_t *j = parsed(cases[i].text);
		struct plan_job job;
		int rc = plan_job_read(j, &job);

		if (rc != (cases[i].key ? -EINVAL : 0))
			fail_msg("%s gives %d", cases[i].text, rc);
		if (!cases[i].key)
			continue;
		assert_string_equal(err_code(), "JOB_INVALID");
		assert_non_null(strstr(err_reason(), cases[i].key));
	}
}

static void a_refusal_is_no_plan(void **state)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_JSON json_t *inventory = parsed(inventory_text);
	CLEANUP_JSON json_t *out = NULL;
	struct plan *p;

	(void)state;
	json_object_del(inventory, "guest");
	assert_int_equal(plan_make(inventory, NULL, NULL, NULL, &out), -EPERM);
	assert_string_equal(err_code(), "PLAN_REFUSED");
	assert_non_null(strstr(err_reason(), "LINUX_ROOT_NOT_FOUND"));
	assert_int_equal(json_array_size(json_object_get(out, "refusals")), 1);
	assert_int_equal(plan_read(a, out, &p), -EPERM);
}

static void a_draft_asks_for_no_guest(void **state)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_JSON json_t *inventory = parsed(inventory_text);
	CLEANUP_JSON json_t *out = NULL;
	struct plan *p;

	(void)state;
	json_object_del(inventory, "guest");
	assert_int_equal(plan_draft(inventory, &out), 0);
	assert_int_equal(plan_read(a, out, &p), 0);
	assert_int_equal(p->disk_count, 2);
	assert_int_equal(p->mount_count, 0);
}

static void every_rule_has_a_code_and_advice(void **state)
{
	(void)state;
	for (const struct plan_rule *r = plan_rules; r->code; r++) {
		assert_true(strlen(r->code) < ERR_CODE_MAX);
		assert_int_equal(strspn(r->code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"),
				 strlen(r->code));
		assert_true(strlen(r->advice) > 20);
		assert_int_equal(r->advice[strlen(r->advice) - 1], '.');
		assert_false(r->warning && r->allowable);
		for (const struct plan_rule *other = plan_rules; other < r; other++)
			assert_string_not_equal(other->code, r->code);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plan_is_read_as_it_was_made),
		cmocka_unit_test(the_digest_is_of_the_text),
		cmocka_unit_test(a_damaged_plan_is_refused),
		cmocka_unit_test(what_is_no_target_is_refused),
		cmocka_unit_test(values_of_wrong_types_do_no_harm),
		cmocka_unit_test(an_inventory_cut_at_any_byte_is_refused),
		cmocka_unit_test(jobs_are_checked),
		cmocka_unit_test(a_refusal_is_no_plan),
		cmocka_unit_test(a_draft_asks_for_no_guest),
		cmocka_unit_test(every_rule_has_a_code_and_advice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
