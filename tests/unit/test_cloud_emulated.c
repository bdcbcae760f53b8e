/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cloud client against the emulated account of tests/cloud, which the vendor's own SDK is also
 * held against: from a network to an image at the edge and back to nothing.
 */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"
#include "base/run.h"
#include "cloud/cloud.h"
#include "unit.h"

#define REGION "ap-southeast-1"
#define BUCKET "coldlift-singapore"

extern char **environ;

struct emulated {
	pid_t pid;
	char dir[64];
	char endpoint[64];
	struct cloud *c;
	struct arena *a;
	const char *vpc, *vswitch, *group, *instance, *snapshot, *image, *task, *ens_image;
};

static void ok_(int rc, int line)
{
	if (rc < 0)
		fail_msg("line %d: %s (%s)", line, err_reason(), err_code());
}
#define ok(rc) ok_((rc), __LINE__)

static const char *const endpoints[] = {"ECS", "VPC", "ENS", "STS", "RAM", "OSS"};

static struct cloud_options options_of(const struct emulated *e)
{
	struct cloud_options o = {.region = REGION,
				  .backoff_ms = 10,
				  .retry_for_ms = 120000,
				  .keys = CLOUD_KEYS_ENVIRONMENT};

	for (size_t i = 0; i < ARRAY_SIZE(endpoints); i++)
		o.endpoint[i] = e->endpoint;
	return o;
}

static int start(void **state)
{
	struct emulated *e = calloc(1, sizeof(*e));
	char *const argv[] = {(char *)"tests/cloud/emulate",
			      (char *)"--dir",
			      e->dir,
			      (char *)"--set",
			      (char *)"{\"real_instances\": false, \"time_scale\": 0.002, "
				      "\"gib_bytes\": 1048576}",
			      NULL};
	posix_spawn_file_actions_t actions;
	struct cloud_options o;
	int pipe_fds[2];
	FILE *out;

	*state = e;
	snprintf(e->dir, sizeof(e->dir), "/tmp/coldlift-cloud-unit-XXXXXX");
	if (!mkdtemp(e->dir) || pipe(pipe_fds) < 0)
		return -1;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], 1);
	posix_spawn_file_actions_addclose(&actions, pipe_fds[0]);
	if (posix_spawn(&e->pid, argv[0], &actions, NULL, argv, environ) != 0)
		return -1;
	posix_spawn_file_actions_destroy(&actions);
	close(pipe_fds[1]);
	out = fdopen(pipe_fds[0], "r");
	if (fscanf(out, "endpoint: %63s", e->endpoint) != 1) {
		fprintf(stderr, "the emulator did not start\n");
		return -1;
	}
	fclose(out);
	setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "emulated-key", 1);
	setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "emulated-secret", 1);
	o = options_of(e);
	e->a = arena_new();
	return cloud_open(&o, &e->c);
}

static int stop(void **state)
{
	struct emulated *e = *state;

	cloud_close(e->c);
	arena_free(e->a);
	kill(e->pid, SIGTERM);
	waitpid(e->pid, NULL, 0);
	remove_tree(e->dir);
	free(e);
	return 0;
}

static void keys_belong_to_an_account(void **state)
{
	struct emulated *e = *state;
	const char *id, *arn;

	ok(cloud_identity(e->c, e->a, &id, &arn));
	assert_string_equal(id, "1000000000000001");
}

static json_t *tagged(json_t *params)
{
	json_object_set_new(params, "Tag",
			    json_pack("[{s:s, s:s}]", "Key", "coldlift", "Value", "job-1"));
	return params;
}

static const char *create(struct emulated *e, enum cloud_kind kind, json_t *params,
			  const char *token)
{
	CLEANUP_JSON json_t *mine = params;
	const char *id = NULL;

	ok(cloud_create(e->c, kind, REGION, mine, token, e->a, &id));
	return id;
}

static void wait_for(struct emulated *e, enum cloud_kind kind, const char *id,
		     enum cloud_wanted wanted, struct cloud_thing *out)
{
	const struct cloud_wait what = {.kind = kind,
					.region = REGION,
					.id = id,
					.wanted = wanted,
					.every_ms = 20,
					.for_ms = 300000};

	ok(cloud_wait(e->c, &what, e->a, out));
}

static void a_network_is_made_once(void **state)
{
	struct emulated *e = *state;
	const char *again;

	e->vpc = create(e, CLOUD_KIND_VPC,
			tagged(json_pack("{s:s, s:s}", "CidrBlock", "172.16.0.0/16", "VpcName",
					 "coldlift-1")),
			"token-vpc");
	again = create(e, CLOUD_KIND_VPC,
		       tagged(json_pack("{s:s, s:s}", "CidrBlock", "172.16.0.0/16", "VpcName",
					"coldlift-1")),
		       "token-vpc");
	assert_string_equal(e->vpc, again);
	wait_for(e, CLOUD_KIND_VPC, e->vpc, CLOUD_WANT_READY, NULL);
	e->vswitch = create(e, CLOUD_KIND_VSWITCH,
			    tagged(json_pack("{s:s, s:s, s:s}", "ZoneId", REGION "a", "VpcId",
					     e->vpc, "CidrBlock", "172.16.0.0/24")),
			    "token-vsw");
	wait_for(e, CLOUD_KIND_VSWITCH, e->vswitch, CLOUD_WANT_READY, NULL);
}

static void a_group_lets_one_address_in(void **state)
{
	struct emulated *e = *state;
	CLEANUP_JSON json_t *rules = NULL, *reply = NULL, *ask = NULL;

	e->group = create(
		e, CLOUD_KIND_SECURITY_GROUP,
		tagged(json_pack("{s:s, s:s}", "VpcId", e->vpc, "SecurityGroupName", "coldlift-1")),
		"token-sg");
	wait_for(e, CLOUD_KIND_SECURITY_GROUP, e->group, CLOUD_WANT_READY, NULL);
	rules = json_pack("{s:s, s:[{s:s, s:s, s:s}]}", "SecurityGroupId", e->group, "Permissions",
			  "IpProtocol", "TCP", "PortRange", "8703/8703", "SourceCidrIp",
			  "192.0.2.1/32");
	ok(cloud_call(e->c, CLOUD_ECS, REGION, "AuthorizeSecurityGroup", rules, NULL));
	ask = json_pack("{s:s}", "SecurityGroupId", e->group);
	ok(cloud_call(e->c, CLOUD_ECS, REGION, "DescribeSecurityGroupAttribute", ask, &reply));
	assert_string_equal(cloud_get_string_or(reply, "Permissions.Permission.0.SourceCidrIp", ""),
			    "192.0.2.1/32");
}

static void an_instance_runs(void **state)
{
	struct emulated *e = *state;
	CLEANUP_JSON json_t *ask = json_pack("{s:s, s:s, s:s}", "ImageOwnerAlias", "system",
					     "OSType", "linux", "Architecture", "x86_64");
	CLEANUP_JSON json_t *images = NULL;
	struct cloud_thing t;

	ok(cloud_call_pages(e->c, CLOUD_ECS, REGION, "DescribeImages", ask, "Images.Image",
			    &images));
	e->instance = create(
		e, CLOUD_KIND_INSTANCE,
		tagged(json_pack(
			"{s:s, s:s, s:s, s:s, s:s, s:i, s:{s:s, s:s}, s:[{s:s, s:i, s:b}]}",
			"ImageId", cloud_get_string_or(images, "0.ImageId", ""), "InstanceType",
			"ecs.t6-c1m1.large", "SecurityGroupId", e->group, "VSwitchId", e->vswitch,
			"InstanceName", "No_Delete_SMC_Transition_Instance",
			"InternetMaxBandwidthOut", 100, "SystemDisk", "Category",
			"cloud_efficiency", "Size", "20", "DataDisk", "Category", "cloud_essd",
			"Size", 20, "DeleteWithInstance", 1)),
		"token-run");
	wait_for(e, CLOUD_KIND_INSTANCE, e->instance, CLOUD_WANT_READY, &t);
	assert_string_equal(t.state, "Running");
	assert_string_equal(t.name, "No_Delete_SMC_Transition_Instance");
	assert_non_null(cloud_instance_address(&t, true, e->a));
	assert_non_null(cloud_instance_address(&t, false, e->a));
}

static size_t count_of(struct emulated *e, enum cloud_kind kind, const char *name, const char *job)
{
	const struct cloud_list what = {.kind = kind,
					.region = REGION,
					.name = name,
					.tag_key = job ? "coldlift" : NULL,
					.tag_value = job};
	struct cloud_thing *list;
	size_t n;

	ok(cloud_list(e->c, &what, e->a, &list, &n));
	return n;
}

static void things_are_found_by_name_and_tag(void **state)
{
	struct emulated *e = *state;
	static const enum cloud_kind kinds[] = {CLOUD_KIND_VPC, CLOUD_KIND_VSWITCH,
						CLOUD_KIND_SECURITY_GROUP, CLOUD_KIND_INSTANCE};
	const struct cloud_list untagged = {
		.kind = CLOUD_KIND_ENS_IMAGE, .region = REGION, .tag_key = "coldlift"};
	struct cloud_thing *list;
	size_t n;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		assert_int_equal(count_of(e, kinds[i], NULL, "job-1"), 1);
		assert_int_equal(count_of(e, kinds[i], NULL, "job-2"), 0);
	}
	assert_int_equal(count_of(e, CLOUD_KIND_VPC, "coldlift-1", NULL), 1);
	assert_int_equal(count_of(e, CLOUD_KIND_VPC, "coldlift", NULL), 0);
	assert_int_equal(cloud_list(e->c, &untagged, e->a, &list, &n), -ENOTSUP);
}

/* As something in the instance would: a disk that was never written cannot be kept. */
static void write_to_disk(struct emulated *e, const char *disk)
{
	const char *const put[] = {
		"curl",	    "-sS",
		"--fail",   "-X",
		"PUT",	    "--data-binary",
		"coldlift", arena_printf(e->a, "%s/_emulator/disk/%s?offset=0", e->endpoint, disk),
		NULL};

	ok(run_check(put, 60000));
}

static void disks_become_an_image(void **state)
{
	struct emulated *e = *state;
	CLEANUP_JSON json_t *filter =
		json_pack("{s:s, s:s}", "InstanceId", e->instance, "DiskType", "data");
	const struct cloud_list what = {
		.kind = CLOUD_KIND_DISK, .region = REGION, .filter = filter};
	struct cloud_thing *list, t;
	size_t n;

	ok(cloud_list(e->c, &what, e->a, &list, &n));
	assert_int_equal(n, 1);
	assert_string_equal(list[0].parent, e->instance);
	write_to_disk(e, list[0].id);
	ok(cloud_instance_stop(e->c, REGION, e->instance, false));
	wait_for(e, CLOUD_KIND_INSTANCE, e->instance, CLOUD_WANT_STOPPED, NULL);
	ok(cloud_instance_stop(e->c, REGION, e->instance, false));
	e->snapshot = create(e, CLOUD_KIND_SNAPSHOT,
			     tagged(json_pack("{s:s, s:s}", "DiskId", list[0].id, "SnapshotName",
					      "coldlift-1-disk0")),
			     "token-snapshot");
	wait_for(e, CLOUD_KIND_SNAPSHOT, e->snapshot, CLOUD_WANT_READY, NULL);
	e->image = create(e, CLOUD_KIND_IMAGE,
			  tagged(json_pack("{s:s, s:s, s:s, s:[{s:s, s:s, s:s}]}", "ImageName",
					   "coldlift_1", "Platform", "Others Linux", "Architecture",
					   "x86_64", "DiskDeviceMapping", "SnapshotId", e->snapshot,
					   "DiskType", "system", "Device", "/dev/xvda")),
			  "token-image");
	wait_for(e, CLOUD_KIND_IMAGE, e->image, CLOUD_WANT_READY, &t);
	assert_int_equal(t.percent, 100);
}

static void an_image_is_exported_and_imported(void **state)
{
	struct emulated *e = *state;
	struct cloud_object_info *objects;
	CLEANUP_JSON json_t *mapping = NULL;
	const char **keys;
	size_t n;

	e->task = create(e, CLOUD_KIND_EXPORT_TASK,
			 json_pack("{s:s, s:s, s:s, s:s}", "ImageId", e->image, "OSSBucket", BUCKET,
				   "OSSPrefix", "job1", "ImageFormat", "qcow2"),
			 NULL);
	wait_for(e, CLOUD_KIND_EXPORT_TASK, e->task, CLOUD_WANT_READY, NULL);
	ok(cloud_export_objects(e->c, REGION, e->task, e->a, &keys, &n));
	assert_int_equal(n, 1);
	ok(cloud_object_list(e->c, &(struct cloud_object){REGION, BUCKET, "job1"}, e->a, &objects,
			     &n));
	assert_int_equal(n, 1);
	assert_string_equal(objects[0].key, keys[0]);
	mapping = json_pack("[{s:s, s:s, s:s}]", "OSSBucket", BUCKET, "OSSObject", keys[0],
			    "OSSRegion", REGION);
	e->ens_image =
		create(e, CLOUD_KIND_ENS_IMAGE,
		       json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "ImageName", "edge_1",
				 "ComputeType", "ens_vm", "Architecture", "x86_64", "OSType",
				 "linux", "ImageFormat", "qcow2", "TargetOSSRegionId", REGION,
				 "DiskDeviceMapping", cloud_json_text(e->a, mapping)),
		       NULL);
	wait_for(e, CLOUD_KIND_ENS_IMAGE, e->ens_image, CLOUD_WANT_READY, NULL);
	ok(cloud_object_delete(e->c, &(struct cloud_object){REGION, BUCKET, keys[0]}));
}

/* As one who has no keys: PUT the file and return the ETag, without a file GET. Arena. */
static const char *by_url(struct emulated *e, struct cloud_presign what, const char *file)
{
	CLEANUP_RUN struct run_result said = {0};
	const char *url;

	what.method = file ? "PUT" : "GET";
	what.valid_s = 600;
	ok(cloud_presign(e->c, &what, e->a, &url));
	const char *const put[] = {"curl",	    "-sS", "--fail", "-H",
				   "Content-Type:", "-T",  file,     "-w",
				   "%header{etag}", url,   NULL};
	const char *const get[] = {"curl", "-sS", "--fail", url, NULL};
	ok(run_capture(file ? put : get, 60000, &said));
	assert_int_equal(said.exit_status, 0);
	return arena_strdup(e->a, said.out);
}

static void objects_go_there_and_back(void **state)
{
	struct emulated *e = *state;
	const struct cloud_object at = {REGION, BUCKET, "dir a/smc+1~*'()!中文.bin"};
	const struct cloud_object nowhere = {REGION, "no-such-bucket", "x"};
	CLEANUP_JSON json_t *meta = json_pack("{s:s}", "Merkle", "0123abcd");
	const char *path = arena_printf(e->a, "%s/object", e->dir);
	struct cloud_bucket_info bucket;
	struct cloud_object_info info;

	ok(cloud_bucket_info(e->c, &at, e->a, &bucket));
	assert_string_equal(bucket.region, REGION);
	ok(cloud_object_put(e->c, &at, "hello", 5, "application/octet-stream", meta));
	ok(cloud_object_head(e->c, &at, e->a, &info));
	assert_int_equal(info.bytes, 5);
	assert_string_equal(by_url(e, (struct cloud_presign){.at = at}, NULL), "hello");
	ok(io_replace_file(path, "from a file", 11, 0600));
	ok(cloud_object_put_file(e->c, &at, path, NULL, NULL));
	assert_string_equal(by_url(e, (struct cloud_presign){.at = at}, NULL), "from a file");
	ok(cloud_object_delete(e->c, &at));
	assert_int_equal(cloud_object_head(e->c, &at, e->a, &info), -ENOENT);
	ok(cloud_object_delete(e->c, &at));
	assert_int_equal(cloud_object_put(e->c, &nowhere, "x", 1, NULL, NULL), -EINVAL);
	assert_string_equal(err_code(), "NoSuchBucket");
}

static void an_upload_in_parts_is_whole(void **state)
{
	struct emulated *e = *state;
	const struct cloud_object at = {REGION, BUCKET, "job1/disk0.qcow2"};
	CLEANUP_FREE char *bytes = calloc(1, 128 * KIB);
	const char *file = arena_printf(e->a, "%s/part", e->dir);
	struct cloud_part parts[2];
	struct cloud_object_info info;
	const char *id, *same;

	ok(cloud_upload_begin(e->c, &at, NULL, NULL, e->a, &id));
	ok(cloud_upload_begin(e->c, &at, NULL, NULL, e->a, &same));
	assert_string_equal(id, same);
	ok(io_replace_file(file, bytes, 128 * KIB, 0600));
	for (unsigned i = 0; i < 2; i++) {
		const struct cloud_presign part = {.at = at, .upload_id = id, .part_number = i + 1};
		const char *etag = by_url(e, part, file);

		parts[i].number = i + 1;
		parts[i].etag = arena_strndup(e->a, etag + 1, strlen(etag) - 2);
	}
	ok(cloud_upload_complete(e->c, &at, id, parts, 2));
	/* As after a lost reply. */
	ok(cloud_upload_complete(e->c, &at, id, parts, 2));
	ok(cloud_object_head(e->c, &at, e->a, &info));
	assert_int_equal(info.bytes, 256 * KIB);
	ok(cloud_object_delete(e->c, &at));
	ok(cloud_upload_begin(e->c, &at, NULL, NULL, e->a, &id));
	ok(cloud_upload_abort(e->c, &at, id));
	ok(cloud_upload_abort(e->c, &at, id));
}

static void a_presigned_url_needs_no_keys(void **state)
{
	struct emulated *e = *state;
	struct cloud_presign p = {.at = {REGION, BUCKET, "presigned file"}, .method = "PUT"};
	const char *file = arena_printf(e->a, "%s/given", e->dir), *url;

	ok(io_replace_file(file, "by url", 6, 0600));
	by_url(e, p, file);
	assert_string_equal(by_url(e, p, NULL), "by url");
	ok(cloud_object_delete(e->c, &p.at));
	assert_int_equal(cloud_presign(e->c, &p, e->a, &url), -EINVAL);
}

static void the_older_signatures_are_taken_too(void **state)
{
	struct emulated *e = *state;
	struct cloud_options o = options_of(e);
	struct cloud_object_info *objects;
	struct cloud_thing t;
	struct cloud *c;
	size_t n;

	o.rpc_signature = CLOUD_SIGNATURE_OLD;
	o.oss_signature = CLOUD_SIGNATURE_OLD;
	ok(cloud_open(&o, &c));
	ok(cloud_describe(c, CLOUD_KIND_VPC, REGION, e->vpc, e->a, &t));
	ok(cloud_object_list(c, &(struct cloud_object){REGION, BUCKET, NULL}, e->a, &objects, &n));
	cloud_close(c);
}

static void everything_is_cleaned_up(void **state)
{
	struct emulated *e = *state;
	const struct {
		enum cloud_kind kind;
		const char *id;
	} order[] = {{CLOUD_KIND_INSTANCE, e->instance}, {CLOUD_KIND_IMAGE, e->image},
		     {CLOUD_KIND_SNAPSHOT, e->snapshot}, {CLOUD_KIND_SECURITY_GROUP, e->group},
		     {CLOUD_KIND_VSWITCH, e->vswitch},	 {CLOUD_KIND_VPC, e->vpc},
		     {CLOUD_KIND_EXPORT_TASK, e->task},	 {CLOUD_KIND_ENS_IMAGE, e->ens_image}};

	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		ok(cloud_delete(e->c, order[i].kind, REGION, order[i].id));
		if (order[i].kind != CLOUD_KIND_EXPORT_TASK)
			wait_for(e, order[i].kind, order[i].id, CLOUD_WANT_GONE, NULL);
		ok(cloud_delete(e->c, order[i].kind, REGION, order[i].id));
	}
	const char *const left[] = {"python3", "-c",
				    "import json, sys, urllib.request as u\n"
				    "left = json.load(u.urlopen(sys.argv[1]))['left_over']\n"
				    "sys.exit(1 if left and not print(left) else 0)",
				    arena_printf(e->a, "%s/_emulator/state", e->endpoint), NULL};
	ok(run_check(left, 60000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_belong_to_an_account),
		cmocka_unit_test(a_network_is_made_once),
		cmocka_unit_test(a_group_lets_one_address_in),
		cmocka_unit_test(an_instance_runs),
		cmocka_unit_test(things_are_found_by_name_and_tag),
		cmocka_unit_test(disks_become_an_image),
		cmocka_unit_test(an_image_is_exported_and_imported),
		cmocka_unit_test(objects_go_there_and_back),
		cmocka_unit_test(an_upload_in_parts_is_whole),
		cmocka_unit_test(a_presigned_url_needs_no_keys),
		cmocka_unit_test(the_older_signatures_are_taken_too),
		cmocka_unit_test(everything_is_cleaned_up),
	};

	const char *const probe[] = {"/usr/bin/python3", "-c", "import aiohttp", NULL};

	if (run_check(probe, 60000) < 0) {
		puts("needs the package python3-aiohttp");
		return 77;
	}
	return cmocka_run_group_tests(tests, start, stop);
}
