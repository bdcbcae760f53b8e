/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The receiver's program in the bucket, and the intermediate instance that runs it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/json.h"
#include "base/num.h"
#include "pipeline/pipe_cloud.h"
#include "pipeline/pipe_userdata.h"

#define URL_VALID_S	 (24 * 3600)
#define USERDATA_GOOD_S	 (20 * 3600) /* then its URL might run out before the instance is up */
#define RECEIVER_WAIT_MS (15ull * 60 * 1000)

/* ---- the program ---- */

static const char *program_path(const struct course *c)
{
	const char *named = pipe_option(c->job->options, "receiver");

	if (*named)
		return named;
	return c->outside->receiver_path ? c->outside->receiver_path : "receiver";
}

static int program_make(struct course *c, json_t *fact)
{
	struct cloud_object at = course_object(c, "receiver");
	CLEANUP_CLOSE int fd = io_open(program_path(c), O_RDONLY, 0);
	uint8_t digest[HASH_SHA256_BYTES];
	char hex[HASH_SHA256_HEX_BYTES];
	int rc;

	if (fd < 0)
		return fail_code(fd, "RECEIVER_NOT_FOUND", "%s cannot be read", program_path(c));
	rc = hash_sha256_fd(fd, program_path(c), digest);
	if (rc == 0)
		rc = course_cloud(c);
	if (rc == 0)
		rc = cloud_object_put_file(c->cloud, &at, program_path(c),
					   "application/octet-stream", NULL);
	if (rc < 0)
		return rc;
	hex_encode(digest, sizeof(digest), hex);
	json_object_set_new(fact, "sha256", json_string(hex));
	json_object_set_new(fact, "key", json_string(at.key));
	return 0;
}

/* Also when it was put and the process ended before it could write that down. */
static int program_undo(struct course *c, json_t *fact)
{
	(void)fact;
	return course_delete_objects(c, course_object(c, "receiver").key);
}

const struct pipe_step program_step = {
	.name = "program",
	.phase = PIPE_PREPARING,
	.temporary = true,
	.costs = "an object of some MiB in the bucket, by its size",
	.wanted = is_cloud,
	.make = program_make,
	.undo = program_undo,
};

/* ---- identity, token and user data: made here, so that the code is known before the instance is
 * ---- */

static int token_of(struct course *c, uint8_t token[WIRE_TOKEN_BYTES])
{
	CLEANUP_FREE char *path = pipe_job_path(c->job, "token");
	CLEANUP_FREE char *text = NULL;
	char hex[2 * WIRE_TOKEN_BYTES + 1];
	size_t bytes;

	if (!path)
		return -ENOMEM;
	if (access(path, F_OK) < 0) {
		wire_random(token, WIRE_TOKEN_BYTES);
		hex_encode(token, WIRE_TOKEN_BYTES, hex);
		return io_replace_file(path, hex, strlen(hex), 0600);
	}
	if (io_read_file(path, 256, &text, &bytes) < 0 ||
	    hex_decode(text, token, WIRE_TOKEN_BYTES) < 0)
		return fail(EINVAL, "%s holds no token", path);
	return 0;
}

static int read_text(struct course *c, const char *name, char **out)
{
	CLEANUP_FREE char *path = pipe_job_path(c->job, name);

	return path ? io_read_file(path, 16384, out, NULL) : -ENOMEM;
}

static int identity_of(struct course *c, struct wire_identity **out)
{
	CLEANUP_FREE char *dir = pipe_job_path(c->job, "identity");
	int rc = dir ? io_mkdir(dir, 0700) : -ENOMEM;

	return rc < 0 ? rc : wire_identity_load(dir, NULL, 0, out);
}

static int write_userdata(struct course *c, size_t disks)
{
	struct cloud_presign get = {
		.method = "GET", .at = course_object(c, "receiver"), .valid_s = URL_VALID_S};
	CLEANUP_FREE char *path = pipe_job_path(c->job, "user-data");
	CLEANUP_FREE char *key = NULL;
	CLEANUP_FREE char *cert = NULL;
	CLEANUP_FREE char *script = NULL;
	struct wire_identity *id = NULL;
	uint8_t token[WIRE_TOKEN_BYTES];
	char hex[2 * WIRE_TOKEN_BYTES + 1];
	struct userdata u = {.sha256 = course_fact_text(c, "program", "sha256"),
			     .token = hex,
			     .disks = (unsigned)disks};
	int rc = path ? identity_of(c, &id) : -ENOMEM;

	wire_identity_free(id);
	if (rc == 0)
		rc = token_of(c, token);
	if (rc == 0)
		rc = read_text(c, "identity/key.pem", &key);
	if (rc == 0)
		rc = read_text(c, "identity/cert.pem", &cert);
	if (rc == 0)
		rc = cloud_presign(c->cloud, &get, c->arena, &u.url);
	if (rc < 0)
		return rc;
	hex_encode(token, sizeof(token), hex);
	u.key_pem = key;
	u.cert_pem = cert;
	script = userdata_make(&u);
	rc = script ? io_replace_file(path, script, strlen(script), 0600) : -EFBIG;
	if (key)
		explicit_bzero(key, strlen(key));
	return rc;
}

/* The same bytes with the same ClientToken: the script is kept until the instance is there. */
static int userdata_of(struct course *c, json_t *fact, size_t disks, char **base64)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint64_t made_s = pipe_option_u64(fact, "userdata_s"), now_s = (uint64_t)time(NULL);
	CLEANUP_FREE char *text = NULL;
	size_t n;
	char *out;
	int rc = 0;

	if (!made_s || now_s - made_s > USERDATA_GOOD_S) {
		rc = write_userdata(c, disks);
		json_object_set_new(fact, "userdata_s", json_u64(now_s));
		json_object_del(fact, "token");
	}
	if (rc == 0)
		rc = read_text(c, "user-data", &text);
	if (rc == 0)
		rc = read_text(c, "user-data", base64);
	if (rc < 0)
		return rc;
	n = strlen(text);
	out = realloc(*base64, n / 3 * 4 + 5);
	if (!out)
		return fail(ENOMEM, "memory for the user data");
	*base64 = out;
	for (size_t i = 0; i < n; i += 3) {
		const uint8_t *b = (const uint8_t *)text + i;
		unsigned left = (unsigned)min_of(n - i, (size_t)3);
		uint32_t v = (uint32_t)b[0] << 16 | (left > 1 ? (uint32_t)b[1] << 8 : 0) |
			     (left > 2 ? b[2] : 0);

		*out++ = digits[v >> 18];
		*out++ = digits[v >> 12 & 63];
		*out++ = left > 1 ? digits[v >> 6 & 63] : '=';
		*out++ = left > 2 ? digits[v & 63] : '=';
	}
	*out = '\0';
	return 0;
}

/* ---- the boot image: the newest of a plain distribution ---- */

static int boot_image(struct course *c, const char **id)
{
	static const char *const liked[] = {"aliyun_3_x64", "debian_12", "ubuntu_22_04_x64", ""};
	CLEANUP_JSON json_t *params =
		json_pack("{s:s, s:s, s:s, s:s}", "ImageOwnerAlias", "system", "OSType", "linux",
			  "Architecture", "x86_64", "Status", "Available");
	const char *given = pipe_option(c->job->options, "instance_image"), *newest = "";
	CLEANUP_JSON json_t *list = NULL;
	json_t *v;
	size_t i;
	int rc;

	*id = *given ? given : NULL;
	if (*id)
		return 0;
	rc = cloud_call_pages(c->cloud, CLOUD_ECS, course_region(c), "DescribeImages", params,
			      "Images.Image", &list);
	for (size_t n = 0; rc == 0 && n < ARRAY_SIZE(liked) && !*id; n++) {
		json_array_foreach (list, i, v) {
			const char *name = cloud_get_string_or(v, "ImageId", "");
			const char *time = cloud_get_string_or(v, "CreationTime", "");

			if (strncmp(name, liked[n], strlen(liked[n])) != 0 ||
			    !cloud_get_bool_or(v, "IsSupportCloudinit", false) ||
			    strstr(name, "arm64") || strcmp(time, newest) < 0)
				continue;
			newest = time;
			*id = arena_strdup(c->arena, name);
		}
	}
	if (rc == 0 && !*id)
		rc = fail_code(ENODEV, "InvalidImageId.NotFound", "no public Linux image in %s",
			       course_region(c));
	return rc;
}

/* ---- RunInstances, one candidate after the other ---- */

static json_t *data_disks(const struct course *c, const char *category)
{
	json_t *list = json_array();
	uint64_t gib[PIPE_DISKS_MAX];
	size_t count;

	if (course_disk_gib(c, gib, &count) < 0)
		count = 0;
	for (size_t i = 0; i < count; i++) {
		json_t *disk =
			json_pack("{s:s, s:o, s:o, s:b}", "Category", category, "Size",
				  json_u64(pipe_category_gib(category, gib[i])), "DiskName",
				  json_sprintf("coldlift-disk%zu", i), "DeleteWithInstance", 1);

		if (strcmp(category, "cloud_essd") == 0)
			json_object_set_new(disk, "PerformanceLevel",
					    json_string(pipe_essd_level(gib[i])));
		json_array_append_new(list, disk);
	}
	return list;
}

/* If all of us is lost, the instance goes when no job can want it any more. */
static json_t *release_time(const struct course *c)
{
	time_t at = (time_t)(c->job->created_s +
			     (PIPE_VALID_DAYS_MAX + PIPE_EXPIRED_KEPT_DAYS) * PIPE_DAY_S);
	char text[CLOCK_TEXT_BYTES];
	struct tm tm;

	gmtime_r(&at, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:00Z", &tm);
	return json_string(text);
}

static json_t *run_params(const struct course *c, const json_t *fact, const char *type,
			  const char *category, const char *image, const char *userdata)
{
	const json_t *o = c->job->options;
	bool public_net = strcmp(pipe_option(o, "network"), "public") == 0;
	const char *vswitch = course_vswitch(c);
	json_t *p = json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:o, s:{s:s, s:s}, s:s, s:s, s:o}",
		"ImageId", image, "InstanceType", type, "SecurityGroupId",
		course_fact_text(c, "security-group", "id"), "VSwitchId",
		*vswitch ? vswitch : course_fact_text(c, "vswitch", "id"), "InstanceName",
		pipe_option(fact, "name"), "InstanceChargeType", "PostPaid",
		"SecurityEnhancementStrategy", "Deactive", "Amount", 1, "DataDisk",
		data_disks(c, category), "SystemDisk", "Category", category, "Size", "20",
		"UserData", userdata, "Description",
		"Made by a migration; do not stop, change or release it", "Tag", course_tags(c));

	if (p)
		json_object_set_new(p, "AutoReleaseTime", release_time(c));
	if (p && public_net) {
		json_object_set_new(p, "InternetChargeType", json_string("PayByTraffic"));
		json_object_set_new(p, "InternetMaxBandwidthOut", json_integer(100));
	}
	if (p && *pipe_option(o, "resource_group"))
		json_object_set_new(p, "ResourceGroupId",
				    json_string(pipe_option(o, "resource_group")));
	return p;
}

/* Each candidate is another request, so it has a token of its own, written down before the call. */
static int run_one(struct course *c, json_t *fact, const char *type, const char *category,
		   const char *image)
{
	CLEANUP_FREE char *userdata = NULL;
	CLEANUP_JSON json_t *params = NULL;
	bool same = strcmp(pipe_option(fact, "type"), type) == 0 &&
		    strcmp(pipe_option(fact, "category"), category) == 0;
	uint64_t gib[PIPE_DISKS_MAX];
	char token[CLOUD_TOKEN_BYTES];
	const char *id;
	size_t disks;
	int rc = course_disk_gib(c, gib, &disks);

	if (rc == 0)
		rc = userdata_of(c, fact, disks, &userdata);
	if (rc == 0 && (!same || !*pipe_option(fact, "token"))) {
		rc = cloud_new_token(token);
		json_object_set_new(fact, "token", json_string(token));
		json_object_set_new(fact, "type", json_string(type));
		json_object_set_new(fact, "category", json_string(category));
		if (rc == 0)
			rc = course_keep(c, fact);
	}
	if (rc < 0)
		return rc;
	course_say(c, "instance of type %s, %s", type, category);
	params = run_params(c, fact, type, category, image, userdata);
	rc = cloud_create(c->cloud, CLOUD_KIND_INSTANCE, course_region(c), params,
			  pipe_option(fact, "token"), c->arena, &id);
	if (rc < 0)
		return rc;
	json_object_set_new(fact, "id", json_string(id));
	return course_keep(c, fact);
}

/* Types in SMC's order; for each its disk categories where it is those that are missing. */
static int run_any(struct course *c, json_t *fact)
{
	static const char *const usual[] = {"cloud_essd", "cloud_efficiency", "cloud_ssd",
					    "cloud_auto", "cloud_essd_entry"};
	const char *given = pipe_option(c->job->options, "disk_category");
	json_t *types = json_object_get(course_fact(c, "zone"), "types"), *type;
	const char *image = pipe_option(fact, "image");
	int rc = 0;
	size_t i;

	if (!*image) {
		rc = boot_image(c, &image);
		if (rc == 0)
			json_object_set_new(fact, "image", json_string(image));
	}
	if (rc < 0)
		return rc;
	rc = -ENODEV;
	json_array_foreach (types, i, type) {
		for (size_t k = 0; rc == -ENODEV && k < (*given ? 1 : ARRAY_SIZE(usual)); k++) {
			rc = run_one(c, fact, json_string_value(type), *given ? given : usual[k],
				     image);
			if (rc == -ENODEV && !strstr(err_code(), "Category"))
				break;
		}
		if (rc != -ENODEV)
			return rc;
	}
	return fail_code(ENODEV, "OperationDenied.NoStock", "no instance can be had: %s",
			 err_reason());
}

/* ---- its address, and the activation code ---- */

static int activation_of(struct course *c, const struct cloud_thing *thing, json_t *fact)
{
	bool public_net = strcmp(pipe_option(c->job->options, "network"), "public") == 0;
	const char *address = cloud_instance_address(thing, public_net, c->arena);
	struct wire_activation a = {.control_port = WIRE_CONTROL_PORT, .data_port = WIRE_DATA_PORT};
	struct wire_identity *id = NULL;
	char code[WIRE_ACTIVATION_TEXT];
	int rc;

	if (!address)
		return fail_code(EBADMSG, "CLOUD_REPLY_INVALID", "instance %s has no %s address",
				 thing->id, public_net ? "public" : "private");
	rc = identity_of(c, &id);
	if (rc == 0) {
		memcpy(a.pin, wire_identity_pin(id), sizeof(a.pin));
		rc = token_of(c, a.token);
	}
	wire_identity_free(id);
	snprintf(a.host, sizeof(a.host), "%s", address);
	if (rc == 0)
		rc = wire_activation_encode(&a, code);
	if (rc < 0)
		return rc;
	json_object_set_new(fact, "address", json_string(address));
	json_object_set_new(fact, "activation", json_string(code));
	c->activation = a;
	c->activation_known = true;
	return 0;
}

/* Its user data has to run first. */
static int wait_receiver(struct course *c)
{
	uint64_t until_ms = clock_ms() + RECEIVER_WAIT_MS;
	int rc = course_link(c);

	course_say(c, "waiting for the receiver on %s", c->activation.host);
	while (rc == 0) {
		if (wire_control_get(c->link, "/v1/target", NULL, NULL) == 0)
			return 0;
		if (clock_ms() >= until_ms)
			return fail_in(
				fail_code(ETIMEDOUT, "RECEIVER_UNREACHABLE", "%s", err_reason()),
				"the receiver on the instance does not answer");
		rc = course_wait(c, c->poll_ms);
	}
	return rc;
}

static int instance_intend(struct course *c, json_t *fact)
{
	(void)c;
	json_object_set_new(fact, "name", json_string(PIPE_INSTANCE_NAME));
	return 0;
}

static int instance_make(struct course *c, json_t *fact)
{
	struct cloud_thing thing;
	const char *id = NULL;
	int rc = course_cloud(c);

	if (rc == 0 && !*pipe_option(fact, "id") && c->resumed) {
		rc = course_find_thing(c, fact, CLOUD_KIND_INSTANCE, true, &id);
		if (rc == 0 && id) {
			json_object_set_new(fact, "id", json_string(id));
			rc = course_keep(c, fact);
		}
	}
	if (rc == 0 && !*pipe_option(fact, "id"))
		rc = run_any(c, fact);
	if (rc == 0)
		rc = course_wait_thing(c, CLOUD_KIND_INSTANCE, pipe_option(fact, "id"),
				       CLOUD_WANT_READY, PIPE_WAIT_MS, &thing);
	if (rc == 0)
		rc = activation_of(c, &thing, fact);
	if (rc == 0 && !*pipe_option(fact, "costs"))
		instance_costs(c, fact);
	if (rc == 0)
		rc = course_keep(c, fact);
	if (rc == 0)
		rc = wait_receiver(c);
	return rc;
}

static int instance_undo(struct course *c, json_t *fact)
{
	CLEANUP_FREE char *script = pipe_job_path(c->job, "user-data");

	course_unlink(c);
	c->activation_known = false;
	if (script)
		unlink(script);
	return course_delete_thing(c, fact, CLOUD_KIND_INSTANCE, true);
}

const struct pipe_step instance_step = {
	.name = "instance",
	.phase = PIPE_PREPARING,
	.temporary = true,
	.costs = "pay-as-you-go with its disks, by the hour",
	.wanted = is_cloud,
	.intend = instance_intend,
	.make = instance_make,
	.undo = instance_undo,
};

/* ---- on and off ---- */

int course_power_on(struct course *c)
{
	const char *id = course_fact_text(c, "instance", "id");
	struct cloud_thing thing;
	int rc = course_cloud(c);

	if (rc == 0)
		rc = cloud_describe(c->cloud, CLOUD_KIND_INSTANCE, course_region(c), id, c->arena,
				    &thing);
	if (rc == -ENOENT)
		return fail_code(ENOENT, "InvalidInstanceId.NotFound",
				 "the intermediate instance %s was released by somebody", id);
	if (rc == 0 && thing.phase == CLOUD_LEAVING)
		rc = course_wait_thing(c, CLOUD_KIND_INSTANCE, id, CLOUD_WANT_STOPPED, PIPE_WAIT_MS,
				       &thing);
	if (rc == 0 && thing.phase == CLOUD_STOPPED)
		rc = cloud_instance_start(c->cloud, course_region(c), id);
	if (rc == 0)
		rc = course_wait_thing(c, CLOUD_KIND_INSTANCE, id, CLOUD_WANT_READY, PIPE_WAIT_MS,
				       NULL);
	return rc < 0 ? rc : wait_receiver(c);
}

static int power_make(struct course *c, json_t *fact)
{
	(void)fact;
	/* In the first run it has just been started. */
	return c->job->run > 1 ? course_power_on(c) : 0;
}

const struct pipe_step power_step = {
	.name = "power",
	.phase = PIPE_PREPARING,
	.per_run = true,
	.wanted = is_cloud,
	.make = power_make,
};

static int stop_make(struct course *c, json_t *fact)
{
	const char *id = course_fact_text(c, "instance", "id");
	int rc = course_cloud(c);

	(void)fact;
	course_unlink(c);
	if (rc == 0)
		rc = cloud_instance_stop(c->cloud, course_region(c), id, false);
	return rc < 0 ? rc
		      : course_wait_thing(c, CLOUD_KIND_INSTANCE, id, CLOUD_WANT_STOPPED,
					  PIPE_WAIT_MS, NULL);
}

const struct pipe_step stop_step = {
	.name = "stop-instance",
	.phase = PIPE_PROCESSING,
	.per_run = true,
	.wanted = is_ecs,
	.make = stop_make,
};
