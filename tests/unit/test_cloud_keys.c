/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where keys come from, how they are refreshed, and that no secret is ever said: every line that is
 * logged at the finest level and every reason goes through one filter at the end.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/num.h"
#include "cloud/cloud.h"
#include "cloud/private.h"
#include "cloud/text.h"
#include "http_server.h"
#include "unit.h"

#define REGION "cn-beijing"
#define OK_REPLY                                                \
	{                                                       \
		.status = 200, .body = "{\"RequestId\": \"r\"}" \
	}

/* All secrets of this file have this in them. */
#define SECRET "s3cr3t"

struct fixture {
	struct http_server server;
	char dir[64];
	char path[96];
	int64_t expires_in_s; /* of the keys that the server hands out */
	unsigned handed_out;
};

/* Everything that was said. */
static char said[1 << 20];

static void note(const char *text)
{
	strncat(said, text, sizeof(said) - strlen(said) - 1);
}

static void sink(void *ctx, enum log_level level, const char *line)
{
	(void)ctx, (void)level;
	note(line);
}

static int start(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	snprintf(f->dir, sizeof(f->dir), "/tmp/coldlift-keys-XXXXXX");
	if (!mkdtemp(f->dir) || http_server_start(&f->server) != 0)
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/config.json", f->dir);
	log_setup(LOG_LEVEL_DEBUG, sink, NULL);
	return 0;
}

static int stop(void **state)
{
	struct fixture *f = *state;

	http_server_stop(&f->server);
	remove_tree(f->dir);
	free(f);
	return 0;
}

static int fresh(void **state)
{
	static const char *const names[] = {
		"ALIBABA_CLOUD_ACCESS_KEY_ID",	"ALIBABA_CLOUD_ACCESS_KEY_SECRET",
		"ALIBABA_CLOUD_SECURITY_TOKEN", "ALICLOUD_ACCESS_KEY",
		"ALICLOUD_SECRET_KEY",		"ALIBABA_CLOUD_PROFILE",
		"ALIBABA_CLOUD_ECS_METADATA"};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unsetenv(names[i]);
	setenv("HOME", f->dir, 1);
	unlink(f->path);
	f->expires_in_s = 3600;
	f->handed_out = 0;
	HTTP_SCRIPT(&f->server, OK_REPLY);
	return 0;
}

static struct cloud *open_with(struct fixture *f, enum cloud_source keys, const char *profile)
{
	struct cloud_options o = {.region = REGION,
				  .keys = keys,
				  .profile = profile,
				  .metadata_endpoint = f->server.url,
				  .backoff_ms = 1,
				  .retry_for_ms = 50,
				  .config_path = keys == CLOUD_KEYS_FILE ? f->path : NULL};
	struct cloud *c = NULL;

	for (int i = 0; i < CLOUD_PRODUCT_COUNT; i++)
		o.endpoint[i] = f->server.url;
	assert_int_equal(cloud_open(&o, &c), 0);
	return c;
}

static int call(struct cloud *c)
{
	int rc = cloud_call(c, CLOUD_VPC, NULL, "DescribeVpcs", NULL, NULL);

	note(err_reason());
	return rc;
}

static const char *header(struct arena *a, const char *request, const char *name)
{
	const char *at = strcasestr(request, arena_printf(a, "\r\n%s: ", name));

	if (!at)
		return "";
	at += strlen(name) + 4;
	return arena_strndup(a, at, strcspn(at, "\r"));
}

static const char *key_used(struct arena *a, struct fixture *f, size_t n)
{
	const char *text = strstr(header(a, f->server.requests[n], "authorization"), "Credential=");

	return text ? arena_strndup(a, text + 11, strcspn(text + 11, ",")) : "";
}

static void write_config(struct fixture *f, const char *text)
{
	assert_int_equal(io_replace_file(f->path, text, strlen(text), 0600), 0);
}

static void the_environment_is_first(void **state)
{
	struct fixture *f = *state;
	CLEANUP_ARENA struct arena *a = arena_new();
	struct cloud *c = open_with(f, CLOUD_KEYS_ANYWHERE, NULL);

	setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "env-id", 1);
	setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRET "-env", 1);
	setenv("ALIBABA_CLOUD_SECURITY_TOKEN", SECRET "-token", 1);
	assert_int_equal(call(c), 0);
	assert_string_equal(key_used(a, f, 0), "env-id");
	assert_string_equal(header(a, f->server.requests[0], "x-acs-security-token"),
			    SECRET "-token");
	cloud_close(c);
}

static void half_of_a_key_is_refused(void **state)
{
	struct cloud *c = open_with(*state, CLOUD_KEYS_ANYWHERE, NULL);

	setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRET "-alone", 1);
	assert_int_equal(call(c), -EACCES);
	assert_string_equal(err_code(), "CLOUD_KEYS_MISSING");
	cloud_close(c);
}

static void a_key_that_would_end_a_header_is_refused(void **state)
{
	struct cloud *c = open_with(*state, CLOUD_KEYS_ENVIRONMENT, NULL);

	setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "id\r\nX-Other: 1", 1);
	setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRET, 1);
	assert_int_equal(call(c), -EACCES);
	assert_string_equal(err_code(), "CLOUD_KEYS_INVALID");
	cloud_close(c);
}

static const char two_profiles[] =
	"{\"current\": \"one\", \"profiles\": ["
	"{\"name\": \"one\", \"mode\": \"AK\", \"access_key_id\": \"file-id\","
	" \"access_key_secret\": \"" SECRET "-file\", \"region_id\": \"cn-hongkong\"},"
	"{\"name\": \"two\", \"mode\": \"StsToken\", \"access_key_id\": \"sts-id\","
	" \"access_key_secret\": \"" SECRET "-sts\", \"sts_token\": \"" SECRET "-sts-token\"},"
	"{\"name\": \"role\", \"mode\": \"RamRoleArn\", \"access_key_id\": \"base-id\","
	" \"access_key_secret\": \"" SECRET "-base\", \"ram_role_arn\": \"acs:ram::1:role/x\","
	" \"ram_session_name\": \"me\", \"expired_seconds\": 900},"
	"{\"name\": \"chain\", \"mode\": \"ChainableRamRoleArn\", \"source_profile\": \"one\","
	" \"ram_role_arn\": \"acs:ram::1:role/y\"},"
	"{\"name\": \"ecs\", \"mode\": \"EcsRamRole\", \"ram_role_name\": \"worker\"},"
	"{\"name\": \"sso\", \"mode\": \"CloudSSO\", \"access_token\": \"" SECRET "-sso\"},"
	"{\"name\": \"broken\", \"mode\": \"AK\", \"access_key_id\": \"x\"}]}";

static void a_profile_of_the_vendors_tool_is_used(void **state)
{
	struct fixture *f = *state;
	CLEANUP_ARENA struct arena *a = arena_new();
	static const struct {
		const char *profile, *env, *id;
	} cases[] = {{NULL, NULL, "file-id"}, {"two", NULL, "sts-id"}, {NULL, "two", "sts-id"}};

	write_config(f, two_profiles);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cloud *c = open_with(f, CLOUD_KEYS_FILE, cases[i].profile);

		if (cases[i].env)
			setenv("ALIBABA_CLOUD_PROFILE", cases[i].env, 1);
		HTTP_SCRIPT(&f->server, OK_REPLY);
		assert_int_equal(call(c), 0);
		assert_string_equal(key_used(a, f, 0), cases[i].id);
		if (i == 0)
			assert_string_equal(cloud_region(c), REGION);
		cloud_close(c);
	}
}

static void the_region_comes_from_where_the_keys_do(void **state)
{
	struct fixture *f = *state;
	struct cloud_options o = {.keys = CLOUD_KEYS_FILE, .config_path = f->path};
	struct cloud *c;

	write_config(f, two_profiles);
	assert_int_equal(cloud_open(&o, &c), 0);
	assert_string_equal(cloud_region(c), "cn-hongkong");
	setenv("ALIBABA_CLOUD_REGION_ID", "cn-qingdao", 1);
	assert_string_equal(cloud_region(c), "cn-qingdao");
	unsetenv("ALIBABA_CLOUD_REGION_ID");
	cloud_close(c);
	o.profile = "two";
	assert_int_equal(cloud_open(&o, &c), 0);
	assert_null(cloud_region(c));
	cloud_close(c);
}

static void a_bad_configuration_is_refused(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *text, *profile, *code, *words;
	} cases[] = {
		{NULL, NULL, "CLOUD_KEYS_MISSING", "config.json"},
		{"{\"current\": \"" SECRET "\" \"x\"}", NULL, "CLOUD_KEYS_INVALID", "line 1"},
		{"[]", NULL, "CLOUD_KEYS_MISSING", "default"},
		{two_profiles, "nobody", "CLOUD_KEYS_MISSING", "nobody"},
		{two_profiles, "sso", "CLOUD_KEYS_INVALID", "CloudSSO"},
		{two_profiles, "broken", "CLOUD_KEYS_INVALID", "broken"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cloud *c;

		if (cases[i].text)
			write_config(f, cases[i].text);
		c = open_with(f, CLOUD_KEYS_FILE, cases[i].profile);
		assert_int_equal(call(c), -EACCES);
		if (strcmp(err_code(), cases[i].code) != 0 || !strstr(err_reason(), cases[i].words))
			fail_msg("case %zu: %s: %s", i, err_code(), err_reason());
		cloud_close(c);
	}
	assert_int_equal(http_server_count(&f->server), 0);
}

static void a_file_that_others_may_read_is_warned_about(void **state)
{
	struct fixture *f = *state;
	struct cloud *c = open_with(f, CLOUD_KEYS_FILE, NULL);
	const char *from;

	write_config(f, two_profiles);
	chmod(f->path, 0644);
	from = said + strlen(said);
	assert_int_equal(call(c), 0);
	assert_non_null(strstr(from, "chmod 600"));
	cloud_close(c);
}

/* STS and the metadata service, with other keys each time. */
static struct http_answer hand_out(struct http_server *s, const char *request)
{
	struct fixture *f = s->ctx;
	CLEANUP_ARENA struct arena *a = arena_new();
	static char body[1024];
	const char *until = text_time_iso(a, (int64_t)time(NULL) + f->expires_in_s);

	if (strncmp(request, "PUT /latest/api/token", 21) == 0)
		return (struct http_answer){.status = 200, .body = SECRET "-metadata-session"};
	if (strncmp(request, "GET /creds HTTP", 15) == 0) {
		snprintf(body, sizeof(body),
			 "{\"Code\": \"Success\", \"AccessKeyId\": \"uri-%u\", "
			 "\"AccessKeySecret\": \"" SECRET "-u\", \"SecurityToken\": \"" SECRET
			 "-ut\", \"Expiration\": \"%s\"}",
			 ++f->handed_out, until);
		return (struct http_answer){.status = 200, .body = body};
	}
	if (strncmp(request, "GET /latest/", 12) == 0 &&
	    strcmp(header(a, request, "X-aliyun-ecs-metadata-token"), SECRET "-metadata-session") !=
		    0)
		return (struct http_answer){.status = 403, .body = "no"};
	if (strstr(request, "security-credentials/ HTTP"))
		return (struct http_answer){.status = 200, .body = "worker"};
	if (strstr(request, "security-credentials/worker HTTP")) {
		snprintf(body, sizeof(body),
			 "{\"Code\": \"Success\", \"AccessKeyId\": \"instance-%u\", "
			 "\"AccessKeySecret\": \"" SECRET "-i\", \"SecurityToken\": \"" SECRET
			 "-it\", \"Expiration\": \"%s\"}",
			 ++f->handed_out, until);
		return (struct http_answer){.status = 200, .body = body};
	}
	if (strcmp(header(a, request, "x-acs-action"), "AssumeRole") == 0) {
		snprintf(body, sizeof(body),
			 "{\"RequestId\": \"r\", \"Credentials\": {\"AccessKeyId\": \"role-%u\", "
			 "\"AccessKeySecret\": \"" SECRET "-r\", \"SecurityToken\": \"" SECRET
			 "-rt\", \"Expiration\": \"%s\"}}",
			 ++f->handed_out, until);
		return (struct http_answer){.status = 200, .body = body};
	}
	return (struct http_answer)OK_REPLY;
}

static void hand_out_keys(struct fixture *f)
{
	HTTP_SCRIPT(&f->server, OK_REPLY);
	f->server.ctx = f;
	f->server.answer = hand_out;
}

/* The key of the last request. */
static const char *last_key(struct arena *a, struct fixture *f)
{
	return key_used(a, f, http_server_count(&f->server) - 1);
}

static void a_role_is_assumed_by_the_profiles_keys(void **state)
{
	struct fixture *f = *state;
	CLEANUP_ARENA struct arena *a = arena_new();
	static const struct {
		const char *profile, *base;
	} cases[] = {{"role", "base-id"}, {"chain", "file-id"}};

	write_config(f, two_profiles);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cloud *c = open_with(f, CLOUD_KEYS_FILE, cases[i].profile);

		f->handed_out = 0;
		hand_out_keys(f);
		assert_int_equal(call(c), 0);
		assert_string_equal(key_used(a, f, 0), cases[i].base);
		assert_string_equal(last_key(a, f), "role-1");
		assert_string_equal(header(a, f->server.requests[1], "x-acs-security-token"),
				    SECRET "-rt");
		/* Kept for the next call. */
		assert_int_equal(call(c), 0);
		assert_string_equal(last_key(a, f), "role-1");
		assert_int_equal(http_server_count(&f->server), 3);
		cloud_close(c);
	}
}

static void the_instances_role_is_used_with_a_session(void **state)
{
	struct fixture *f = *state;
	CLEANUP_ARENA struct arena *a = arena_new();
	struct cloud *c = open_with(f, CLOUD_KEYS_ANYWHERE, NULL);

	hand_out_keys(f);
	assert_int_equal(call(c), 0);
	assert_int_equal(http_server_count(&f->server), 4);
	assert_string_equal(last_key(a, f), "instance-1");
	cloud_close(c);
}

static void a_service_gives_keys_at_its_uri_and_renews_them(void **state)
{
	struct fixture *f = *state;
	CLEANUP_ARENA struct arena *a = arena_new();
	static const char form[] =
		"{\"current\": \"u\", \"profiles\": [{\"name\": \"u\", \"mode\": "
		"\"CredentialsURI\", \"credentials_uri\": \"%s\"}]}";
	struct cloud *c;

	write_config(f, arena_printf(a, form, arena_printf(a, "%s/creds", f->server.url)));
	c = open_with(f, CLOUD_KEYS_FILE, NULL);
	hand_out_keys(f);
	f->expires_in_s = 200;
	assert_int_equal(call(c), 0);
	assert_string_equal(last_key(a, f), "uri-1");
	assert_int_equal(call(c), 0);
	assert_string_equal(last_key(a, f), "uri-2");
	HTTP_SCRIPT(&f->server, {.status = 500, .body = "no"});
	cloud_close(c);
	c = open_with(f, CLOUD_KEYS_FILE, NULL);
	assert_int_equal(call(c), -EACCES);
	assert_string_equal(err_code(), "CLOUD_KEYS_MISSING");
	cloud_close(c);
	/* In the clear to another machine; and nowhere. */
	for (int i = 0; i < 2; i++) {
		write_config(f, arena_printf(a, form, i ? "" : "http://192.0.2.1/creds"));
		c = open_with(f, CLOUD_KEYS_FILE, NULL);
		assert_int_equal(call(c), -EACCES);
		assert_string_equal(err_code(), "CLOUD_KEYS_INVALID");
		cloud_close(c);
	}
}

static void keys_are_refreshed_before_they_expire(void **state)
{
	struct fixture *f = *state;
	CLEANUP_ARENA struct arena *a = arena_new();
	struct cloud *c = open_with(f, CLOUD_KEYS_INSTANCE, NULL);
	const char *from;

	f->expires_in_s = 200;
	hand_out_keys(f);
	assert_int_equal(call(c), 0);
	assert_int_equal(call(c), 0);
	assert_string_equal(last_key(a, f), "instance-2");
	/* When there are no new ones, the old ones do as long as they last. */
	HTTP_SCRIPT(&f->server, OK_REPLY);
	from = said + strlen(said);
	assert_int_equal(call(c), 0);
	assert_string_equal(last_key(a, f), "instance-2");
	assert_non_null(strstr(from, "could not be refreshed"));
	cloud_close(c);
}

static struct http_answer expired_at_first(struct http_server *s, const char *request)
{
	struct fixture *f = s->ctx;

	if (f->handed_out == 1 && strstr(request, "Credential=instance-1"))
		return (struct http_answer){.status = 400,
					    .body = "{\"Code\": \"InvalidSecurityToken.Expired\", "
						    "\"RequestId\": \"r\"}"};
	return hand_out(s, request);
}

static void keys_that_the_cloud_calls_expired_are_renewed_once(void **state)
{
	struct fixture *f = *state;
	CLEANUP_ARENA struct arena *a = arena_new();
	struct cloud *c = open_with(f, CLOUD_KEYS_INSTANCE, NULL);

	hand_out_keys(f);
	f->server.answer = expired_at_first;
	assert_int_equal(call(c), 0);
	assert_string_equal(last_key(a, f), "instance-2");
	cloud_close(c);
}

static void no_keys_at_all_are_said_to_be_missing(void **state)
{
	struct fixture *f = *state;
	struct cloud *c = open_with(f, CLOUD_KEYS_ANYWHERE, NULL);

	HTTP_SCRIPT(&f->server, {.status = 404, .body = "not here"});
	assert_int_equal(call(c), -EACCES);
	assert_string_equal(err_code(), "CLOUD_KEYS_MISSING");
	cloud_close(c);
}

static void a_wrong_signature_is_not_quoted(void **state)
{
	struct fixture *f = *state;
	struct cloud *c = open_with(f, CLOUD_KEYS_ENVIRONMENT, NULL);

	setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "env-id", 1);
	setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRET "-env", 1);
	HTTP_SCRIPT(&f->server,
		    {.status = 400,
		     .body = "{\"Code\": \"SignatureDoesNotMatch\", \"RequestId\": \"r\", "
			     "\"Message\": \"server string to sign is:...SecurityToken%3D" SECRET
			     "\"}"});
	assert_int_equal(call(c), -EACCES);
	assert_string_equal(cloud_last_error(c)->message, "");
	cloud_close(c);
}

static void a_child_does_not_inherit_keys(void **state)
{
	CLEANUP_FREE char **env = NULL;
	size_t home = 0;

	(void)state;
	setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "env-id", 1);
	setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRET "-env", 1);
	setenv("ALICLOUD_SECURITY_TOKEN", SECRET "-token", 1);
	env = cloud_environment_without_keys();
	assert_non_null(env);
	for (size_t i = 0; env[i]; i++) {
		assert_null(strstr(env[i], SECRET));
		assert_null(strstr(env[i], "env-id"));
		home += strncmp(env[i], "HOME=", 5) == 0;
	}
	assert_int_equal(home, 1);
	unsetenv("ALICLOUD_SECURITY_TOKEN");
}

/* Last: reads what all the tests above have said. */
static void no_secret_was_ever_said(void **state)
{
	(void)state;
	assert_true(strlen(said) > 100);
	if (strstr(said, SECRET))
		fail_msg("said: %.200s", strstr(said, SECRET));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_environment_is_first, fresh),
		cmocka_unit_test_setup(half_of_a_key_is_refused, fresh),
		cmocka_unit_test_setup(a_key_that_would_end_a_header_is_refused, fresh),
		cmocka_unit_test_setup(a_profile_of_the_vendors_tool_is_used, fresh),
		cmocka_unit_test_setup(a_file_that_others_may_read_is_warned_about, fresh),
		cmocka_unit_test_setup(a_service_gives_keys_at_its_uri_and_renews_them, fresh),
		cmocka_unit_test_setup(keys_are_refreshed_before_they_expire, fresh),
		cmocka_unit_test_setup(the_region_comes_from_where_the_keys_do, fresh),
		cmocka_unit_test_setup(a_bad_configuration_is_refused, fresh),
		cmocka_unit_test_setup(a_role_is_assumed_by_the_profiles_keys, fresh),
		cmocka_unit_test_setup(the_instances_role_is_used_with_a_session, fresh),
		cmocka_unit_test_setup(keys_that_the_cloud_calls_expired_are_renewed_once, fresh),
		cmocka_unit_test_setup(no_keys_at_all_are_said_to_be_missing, fresh),
		cmocka_unit_test_setup(a_wrong_signature_is_not_quoted, fresh),
		cmocka_unit_test_setup(a_child_does_not_inherit_keys, fresh),
		cmocka_unit_test(no_secret_was_ever_said),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
