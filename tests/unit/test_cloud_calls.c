/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls over a bad network and with a wrong clock: what is repeated, what is not, what is said. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/num.h"
#include "cloud/cloud.h"
#include "cloud/endpoint.h"
#include "cloud/private.h"
#include "cloud/text.h"
#include "http_server.h"
#include "unit.h"

#define REGION "cn-beijing"
#define OK_REPLY                                                                     \
	{                                                                            \
		.status = 200,                                                       \
		.body = "{\"RequestId\": \"r\", \"ImageId\": \"m-1\", \"Vpcs\": {}}" \
	}
#define THROTTLED                                                                             \
	{                                                                                     \
		.status = 400, .headers = "x-acs-retry-after: 7700\r\n",                      \
		.body = "{\"Code\": \"Throttling.User\", \"Message\": \"m\", \"RequestId\": " \
			"\"r\"}"                                                              \
	}

struct fixture {
	struct http_server server;
	struct cloud *c;
	uint64_t longest_pause_ms, pauses, pause_ms[16]; /* the first ones */
	int pause_answer;
	/* Break the connection there. */
	enum cloud_stage break_stage;
	uint64_t break_call;
	uint64_t stages_seen[3];
};

static int no_pause(void *ctx, uint64_t ms)
{
	struct fixture *f = ctx;

	f->longest_pause_ms = max_of(f->longest_pause_ms, ms);
	if (ms > 0 && f->pauses < ARRAY_SIZE(f->pause_ms))
		f->pause_ms[f->pauses] = ms;
	f->pauses += ms > 0;
	return f->pause_answer;
}

static int hook(void *ctx, enum cloud_stage stage, uint64_t call, const char *what)
{
	struct fixture *f = ctx;

	assert_non_null(strchr(what, ' '));
	f->stages_seen[stage] = call;
	return stage == f->break_stage && call == f->break_call;
}

static struct cloud_options options_of(struct fixture *f)
{
	struct cloud_options o = {.region = REGION,
				  .keys = CLOUD_KEYS_ENVIRONMENT,
				  .pause = no_pause,
				  .ctx = f,
				  .call_hook = hook,
				  .hook_ctx = f};

	for (int i = 0; i < CLOUD_PRODUCT_COUNT; i++)
		o.endpoint[i] = f->server.url;
	return o;
}

static int start(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct cloud_options o;

	*state = f;
	setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "test-id", 1);
	setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "test-secret-value", 1);
	if (http_server_start(&f->server) != 0)
		return -1;
	o = options_of(f);
	return cloud_open(&o, &f->c);
}

static int stop(void **state)
{
	struct fixture *f = *state;

	cloud_close(f->c);
	http_server_stop(&f->server);
	free(f);
	return 0;
}

static int import_image(struct fixture *f)
{
	return cloud_call(f->c, CLOUD_ENS, NULL, "ImportImage", NULL, NULL);
}

static int describe_vpcs(struct fixture *f)
{
	return cloud_call(f->c, CLOUD_VPC, NULL, "DescribeVpcs", NULL, NULL);
}

/* A value of the query of a request, or of its form; "" when it is not there. */
static const char *parameter(struct arena *a, const char *request, const char *name)
{
	const char *key = arena_printf(a, "%s=", name);

	for (const char *p = request; (p = strstr(p, key)); p++)
		if (p[-1] == '?' || p[-1] == '&' || p[-1] == '\n')
			return text_decoded(a, arena_strndup(a, p + strlen(key),
							     strcspn(p + strlen(key), "& \r\n")));
	return "";
}

static const char *header(struct arena *a, const char *request, const char *name)
{
	const char *at = strcasestr(request, arena_printf(a, "\r\n%s: ", name));

	if (!at)
		return "";
	at += strlen(name) + 4;
	return arena_strndup(a, at, strcspn(at, "\r"));
}

static void a_lost_reply_is_asked_for_again_if_that_is_safe(void **state)
{
	struct fixture *f = *state;
	CLEANUP_ARENA struct arena *a = arena_new();
	const char *first, *second;

	HTTP_SCRIPT(&f->server, {.does = HTTP_HANGS_UP}, OK_REPLY);
	assert_int_equal(describe_vpcs(f), 0);
	assert_int_equal(http_server_count(&f->server), 2);

	HTTP_SCRIPT(&f->server, {.does = HTTP_HANGS_UP}, OK_REPLY);
	assert_int_equal(import_image(f), -EREMCHG);
	assert_string_equal(err_code(), "CLOUD_REPLY_LOST");
	assert_int_equal(http_server_count(&f->server), 1);

	HTTP_SCRIPT(&f->server, {.does = HTTP_HANGS_UP}, OK_REPLY);
	assert_int_equal(cloud_call(f->c, CLOUD_ECS, NULL, "RunInstances", NULL, NULL), 0);
	first = f->server.requests[0];
	second = f->server.requests[1];
	assert_int_equal(strlen(parameter(a, first, "ClientToken")), 32);
	assert_string_equal(parameter(a, first, "ClientToken"),
			    parameter(a, second, "ClientToken"));
	assert_string_not_equal(header(a, first, "x-acs-signature-nonce"),
				header(a, second, "x-acs-signature-nonce"));
}

static void a_cut_reply_is_no_reply(void **state)
{
	struct fixture *f = *state;
	static const struct http_answer cut[] = {
		{.status = 200, .body = "{\"RequestId\": \"r\"}", .does = HTTP_CUTS_SHORT},
		{.status = 200, .body = "{\"RequestId\": \"r\""},
		{.status = 200, .body = ""},
		{.status = 200, .body = "[]"},
		{.status = 200, .body = "{\"RequestId\": 1, \"RequestId\": 2}"},
		{.status = 200, .body = "<html>a proxy says hello</html>"}};

	for (size_t i = 0; i < ARRAY_SIZE(cut); i++) {
		HTTP_SCRIPT(&f->server, cut[i], OK_REPLY);
		assert_int_equal(describe_vpcs(f), 0);
		assert_int_equal(http_server_count(&f->server), 2);
		HTTP_SCRIPT(&f->server, cut[i], OK_REPLY);
		assert_int_equal(import_image(f), -EREMCHG);
		assert_int_equal(http_server_count(&f->server), 1);
	}
}

static void a_hint_to_wait_is_honoured(void **state)
{
	struct fixture *f = *state;

	f->longest_pause_ms = 0;
	HTTP_SCRIPT(&f->server, THROTTLED, OK_REPLY);
	assert_int_equal(import_image(f), 0);
	assert_in_range(f->longest_pause_ms, 7700, 8000);
	f->longest_pause_ms = 0;
	HTTP_SCRIPT(&f->server, {.status = 503, .headers = "Retry-After: 3\r\n", .body = "busy"},
		    OK_REPLY);
	assert_int_equal(import_image(f), 0);
	assert_in_range(f->longest_pause_ms, 3000, 3000);
}

static void pauses_grow_and_have_an_end(void **state)
{
	struct fixture *f = *state;
	struct cloud_options o = options_of(f);
	struct cloud *c;
	uint64_t start_ms;

	/*
	 * 500, 1000, 2000 s and so on, halved at most, and none of them is waited for here: the
	 * fifth fits into what is left even if the machine loses an hour, the seventh never does.
	 */
	o.backoff_ms = 500000;
	o.retry_for_ms = 31 * o.backoff_ms;
	assert_int_equal(cloud_open(&o, &c), 0);
	f->pauses = 0;
	HTTP_SCRIPT(&f->server,
		    {.status = 400, .body = "{\"Code\": \"Throttling\", \"RequestId\": \"r\"}"});
	assert_int_equal(cloud_call(c, CLOUD_VPC, NULL, "DescribeVpcs", NULL, NULL), -EAGAIN);
	assert_string_equal(err_code(), "Throttling");
	assert_in_range(f->pauses, 5, 6);
	assert_int_equal(http_server_count(&f->server), f->pauses + 1);
	for (unsigned i = 0; i < f->pauses; i++)
		assert_in_range(f->pause_ms[i], o.backoff_ms << i >> 1, o.backoff_ms << i);
	cloud_close(c);
	/* One that is waited for. */
	o.backoff_ms = 20;
	o.retry_for_ms = 600000;
	o.pause = NULL;
	assert_int_equal(cloud_open(&o, &c), 0);
	HTTP_SCRIPT(&f->server,
		    {.status = 400, .body = "{\"Code\": \"Throttling\", \"RequestId\": \"r\"}"},
		    OK_REPLY);
	start_ms = clock_ms();
	assert_int_equal(cloud_call(c, CLOUD_VPC, NULL, "DescribeVpcs", NULL, NULL), 0);
	assert_true(clock_ms() - start_ms >= 10);
	HTTP_SCRIPT(&f->server,
		    {.status = 400, .body = "{\"Code\": \"Throttling\", \"RequestId\": \"r\"}"});
	assert_int_equal(cloud_call_once(c, CLOUD_VPC, NULL, "DescribeVpcs", NULL, NULL), -EAGAIN);
	cloud_close(c);
	HTTP_SCRIPT(&f->server, THROTTLED);
	assert_int_equal(cloud_call_once(f->c, CLOUD_VPC, NULL, "DescribeVpcs", NULL, NULL),
			 -EAGAIN);
	assert_int_equal(http_server_count(&f->server), 1);
}

static void an_interruption_ends_a_call(void **state)
{
	struct fixture *f = *state;

	f->pause_answer = 1;
	HTTP_SCRIPT(&f->server, THROTTLED, OK_REPLY);
	assert_int_equal(import_image(f), -ECANCELED);
	f->pause_answer = 0;
}

/* A server whose clock is years behind takes what is dated by its own time alone. */
static struct http_answer strict_about_time(struct http_server *s, const char *request)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	static char date[64];
	int64_t mine = 1767323045;
	const char *stamp = header(a, request, "x-acs-date");
	int64_t theirs = text_parse_iso_time(stamp[0] ? stamp : parameter(a, request, "Timestamp"));

	(void)s;
	snprintf(date, sizeof(date), "Date: %s\r\n", text_time_http(a, mine));
	if (theirs >= mine && theirs < mine + 3600)
		return (struct http_answer)OK_REPLY;
	return (struct http_answer){.status = 400,
				    .headers = date,
				    .body = "{\"Code\": \"IllegalTimestamp\", \"Message\": \"m\", "
					    "\"RequestId\": \"r\"}"};
}

static void a_wrong_clock_is_corrected_once(void **state)
{
	struct fixture *f = *state;
	struct cloud_options o = options_of(f);
	struct cloud *c;

	for (int old = 0; old < 2; old++) {
		o.rpc_signature = old ? CLOUD_SIGNATURE_OLD : CLOUD_SIGNATURE_NEW;
		assert_int_equal(cloud_open(&o, &c), 0);
		HTTP_SCRIPT(&f->server, OK_REPLY);
		f->server.answer = strict_about_time;
		assert_int_equal(cloud_call(c, CLOUD_VPC, NULL, "DescribeVpcs", NULL, NULL), 0);
		assert_int_equal(http_server_count(&f->server), 2);
		/* Remembered. */
		assert_int_equal(cloud_call(c, CLOUD_VPC, NULL, "DescribeVpcs", NULL, NULL), 0);
		assert_int_equal(http_server_count(&f->server), 3);
		cloud_close(c);
	}
	HTTP_SCRIPT(&f->server, {.status = 400,
				 .headers = "Date: Fri, 02 Jan 2026 03:04:05 GMT\r\n",
				 .body = "{\"Code\": \"IllegalTimestamp\", \"RequestId\": \"r\"}"});
	assert_int_equal(describe_vpcs(f), -ETIME);
	assert_int_equal(http_server_count(&f->server), 2);
	HTTP_SCRIPT(&f->server, {.status = 400,
				 .headers = "Date: nonsense\r\n",
				 .body = "{\"Code\": \"IllegalTimestamp\", \"RequestId\": \"r\"}"});
	assert_int_equal(describe_vpcs(f), -ETIME);
	assert_int_equal(http_server_count(&f->server), 1);
	f->c->skew_s = 0;
}

static void a_connection_can_be_broken_at_each_stage(void **state)
{
	struct fixture *f = *state;
	static const struct {
		enum cloud_stage stage;
		size_t seen; /* by the server, before the try that succeeds */
		int unsafe;
	} cases[] = {{CLOUD_BEFORE_SEND, 0, 0},
		     {CLOUD_AFTER_SEND, 1, -EREMCHG},
		     {CLOUD_AFTER_REPLY, 1, -EREMCHG}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		HTTP_SCRIPT(&f->server, OK_REPLY);
		f->break_stage = cases[i].stage;
		f->break_call = f->stages_seen[CLOUD_BEFORE_SEND] + 1;
		assert_int_equal(describe_vpcs(f), 0);
		assert_int_equal(http_server_count(&f->server), cases[i].seen + 1);
		f->break_call = f->stages_seen[CLOUD_BEFORE_SEND] + 1;
		assert_int_equal(import_image(f), cases[i].unsafe);
	}
	assert_int_equal(f->stages_seen[CLOUD_BEFORE_SEND], f->stages_seen[CLOUD_AFTER_REPLY]);
	f->break_call = 0;
}

static void nobody_there_is_said(void **state)
{
	struct fixture *f = *state;
	struct cloud_options o = options_of(f);
	struct cloud *c;

	/* Port 1 is nobody's. */
	o.endpoint[CLOUD_ENS] = "http://127.0.0.1:1";
	o.retry_for_ms = 1;
	assert_int_equal(cloud_open(&o, &c), 0);
	assert_int_equal(cloud_call(c, CLOUD_ENS, NULL, "ImportImage", NULL, NULL), -EAGAIN);
	assert_string_equal(err_code(), "CLOUD_UNREACHABLE");
	cloud_close(c);
}

static void a_hanging_server_is_given_up(void **state)
{
	struct fixture *f = *state;
	struct cloud_options o = options_of(f);
	struct http_server mute = {0};
	struct cloud *c;

	/* Accepted by the kernel, answered by nobody. */
	assert_int_equal(http_server_start(&mute), 0);
	pthread_mutex_lock(&mute.lock);
	o.endpoint[CLOUD_VPC] = mute.url;
	o.call_timeout_ms = 1000;
	o.retry_for_ms = 1;
	assert_int_equal(cloud_open(&o, &c), 0);
	/* Where the second passes before the request is on its way there is no reply to lose. */
	for (int i = 0; i < 20; i++) {
		assert_int_equal(cloud_call(c, CLOUD_VPC, NULL, "DescribeVpcs", NULL, NULL),
				 -EAGAIN);
		if (strcmp(err_code(), "CLOUD_UNREACHABLE") != 0)
			break;
	}
	assert_string_equal(err_code(), "CLOUD_REPLY_LOST");
	cloud_close(c);
	HTTP_SCRIPT(&f->server, OK_REPLY);
	mute.script[0] = (struct http_answer)OK_REPLY;
	pthread_mutex_unlock(&mute.lock);
	http_server_stop(&mute);
}

static void plain_http_leaves_this_machine_never(void **state)
{
	struct fixture *f = *state;
	static const char *const bad[] = {"http://ecs.example.com",
					  "http://127.0.0.1.example.com",
					  "http://127.0.0.1@example.com",
					  "ftp://127.0.0.1",
					  "127.0.0.1:80",
					  "http://localhost.example.com",
					  "https://",
					  "https://a@b"};
	static const char *const good[] = {"http://127.0.0.1:8080", "http://[::1]:80/",
					   "http://localhost:80", "https://ecs.example.com"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct cloud_options o = options_of(f);
		struct cloud *c = NULL;

		o.endpoint[CLOUD_ECS] = bad[i];
		if (cloud_open(&o, &c) != -EPERM)
			fail_msg("%s was taken", bad[i]);
		assert_string_equal(err_code(), "CLOUD_ENDPOINT_REFUSED");
	}
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(endpoint_check(good[i], "x"), 0);
}

static void the_environment_has_the_settings(void **state)
{
	struct cloud_options o = {.backoff_ms = 7};

	(void)state;
	setenv("COLDLIFT_ENDPOINT_ECS", "http://127.0.0.1:1", 1);
	setenv("COLDLIFT_RPC_SIGNATURE", "v1", 1);
	setenv("COLDLIFT_CLOUD_BACKOFF_MS", "9", 1);
	setenv("COLDLIFT_CLOUD_RETRY_MS", "1000", 1);
	setenv("COLDLIFT_CLOUD_KILL", "12:reply", 1);
	assert_int_equal(cloud_options_from_environment(&o), 0);
	assert_string_equal(o.endpoint[CLOUD_ECS], "http://127.0.0.1:1");
	assert_null(o.endpoint[CLOUD_OSS]);
	assert_int_equal(o.rpc_signature, CLOUD_SIGNATURE_OLD);
	assert_int_equal(o.backoff_ms, 7);
	assert_int_equal(o.retry_for_ms, 1000);
	assert_int_equal(o.kill_call, 12);
	assert_int_equal(o.kill_stage, CLOUD_AFTER_REPLY);
	setenv("COLDLIFT_CLOUD_KILL", "12", 1);
	assert_int_equal(cloud_options_from_environment(&o), -EINVAL);
	unsetenv("COLDLIFT_CLOUD_KILL");
	setenv("COLDLIFT_RPC_SIGNATURE", "v2", 1);
	assert_int_equal(cloud_options_from_environment(&o), -EINVAL);
	unsetenv("COLDLIFT_RPC_SIGNATURE");
	setenv("COLDLIFT_CLOUD_TIMEOUT_MS", "soon", 1);
	assert_int_equal(cloud_options_from_environment(&o), -EINVAL);
	unsetenv("COLDLIFT_CLOUD_TIMEOUT_MS");
}

/* A process of its own dies at each stage; what the server has seen tells when. */
static void a_process_can_be_killed_at_each_stage(void **state)
{
	struct fixture *f = *state;

	for (int stage = 0; stage < 3; stage++) {
		int status = 0;
		pid_t pid;

		HTTP_SCRIPT(&f->server, OK_REPLY);
		pid = fork();
		if (pid == 0) {
			struct cloud_options o = options_of(f);
			struct cloud *c;

			o.kill_call = 2;
			o.kill_stage = (enum cloud_stage)stage;
			if (cloud_open(&o, &c) == 0 &&
			    cloud_call(c, CLOUD_VPC, NULL, "DescribeVpcs", NULL, NULL) == 0)
				(void)cloud_call(c, CLOUD_VPC, NULL, "DescribeVpcs", NULL, NULL);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		assert_int_equal(http_server_count(&f->server), stage == 0 ? 1 : 2);
	}
}

static void endpoints_are_the_vendors(void **state)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	struct cloud_options o = {0};
	struct endpoint e;

	(void)state;
	assert_int_equal(endpoint_rpc(&o, CLOUD_ECS, "cn-beijing", a, &e), 0);
	assert_string_equal(e.url, "https://ecs.cn-beijing.aliyuncs.com");
	assert_int_equal(endpoint_rpc(&o, CLOUD_ECS, "cn-hangzhou", a, &e), 0);
	assert_string_equal(e.host, "ecs-cn-hangzhou.aliyuncs.com");
	assert_int_equal(endpoint_rpc(&o, CLOUD_VPC, "ap-southeast-1", a, &e), 0);
	assert_string_equal(e.host, "vpc.ap-southeast-1.aliyuncs.com");
	assert_int_equal(endpoint_rpc(&o, CLOUD_ENS, NULL, a, &e), 0);
	assert_string_equal(e.host, "ens.aliyuncs.com");
	assert_int_equal(endpoint_oss(&o, "cn-beijing", "my-bucket", false, a, &e), 0);
	assert_string_equal(e.host, "my-bucket.oss-cn-beijing.aliyuncs.com");
	assert_int_equal(endpoint_oss(&o, "cn-beijing", "my-bucket", true, a, &e), 0);
	assert_string_equal(e.host, "my-bucket.oss-cn-beijing-internal.aliyuncs.com");
	o.internal = true;
	assert_int_equal(endpoint_rpc(&o, CLOUD_ECS, "cn-hangzhou", a, &e), 0);
	assert_string_equal(e.host, "ecs-vpc.cn-hangzhou.aliyuncs.com");
	assert_int_equal(endpoint_rpc(&o, CLOUD_ENS, NULL, a, &e), 0);
	assert_string_equal(e.host, "ens.aliyuncs.com");
	assert_int_equal(endpoint_rpc(&o, CLOUD_ECS, "evil.example/", a, &e), -EINVAL);
	assert_int_equal(endpoint_rpc(&o, CLOUD_ECS, NULL, a, &e), -EINVAL);
	assert_int_equal(endpoint_oss(&o, "cn-beijing", "a/b", false, a, &e), -EINVAL);
}

static struct http_answer three_pages(struct http_server *s, const char *request)
{
	static const char *const bodies[] = {
		"{\"NextToken\": \"t1\", \"Instances\": {\"Instance\": [{\"InstanceId\": "
		"\"i-1\"}]}}",
		"{\"NextToken\": \"t2\", \"Instances\": {\"Instance\": []}}",
		"{\"NextToken\": \"\", \"Instances\": {\"Instance\": [{\"InstanceId\": "
		"\"i-2\"}]}}"};
	CLEANUP_ARENA struct arena *a = arena_new();
	const char *token = parameter(a, request, "NextToken");

	(void)s;
	return (struct http_answer){.status = 200, .body = bodies[token[0] ? token[1] - '0' : 0]};
}

static struct http_answer numbered_pages(struct http_server *s, const char *request)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	const char *page = parameter(a, request, "PageNumber");

	(void)s;
	return (struct http_answer){
		.status = 200,
		.body = page[0] == '3' ? "{\"TotalCount\": \"3\", \"Images\": {\"Image\": [3]}}"
				       : "{\"TotalCount\": \"3\", \"Images\": {\"Image\": [1]}}"};
}

static void all_pages_are_gathered(void **state)
{
	struct fixture *f = *state;
	CLEANUP_JSON json_t *list = NULL, *numbers = NULL, *none = NULL;

	HTTP_SCRIPT(&f->server, OK_REPLY);
	f->server.answer = three_pages;
	assert_int_equal(cloud_call_pages(f->c, CLOUD_ECS, NULL, "DescribeInstances", NULL,
					  "Instances.Instance", &list),
			 0);
	assert_int_equal(json_array_size(list), 2);
	HTTP_SCRIPT(&f->server, OK_REPLY);
	f->server.answer = numbered_pages;
	assert_int_equal(cloud_call_pages(f->c, CLOUD_ENS, NULL, "DescribeSelfImages", NULL,
					  "Images.Image", &numbers),
			 0);
	assert_int_equal(json_array_size(numbers), 3);
	/* A server that goes in circles. */
	HTTP_SCRIPT(&f->server, {.status = 200, .body = "{\"NextToken\": \"again\"}"});
	assert_int_equal(cloud_call_pages(f->c, CLOUD_ECS, NULL, "DescribeInstances", NULL,
					  "Instances.Instance", &none),
			 -EBADMSG);
	assert_int_equal(cloud_call_pages(f->c, CLOUD_ECS, NULL, "RunInstances", NULL, "x", &none),
			 -EINVAL);
}

#define SAME_OBJECTS                                                                       \
	{                                                                                  \
		.status = 200, .body = "<ListBucketResult><IsTruncated>true</IsTruncated>" \
				       "<NextContinuationToken>t</NextContinuationToken>"  \
				       "</ListBucketResult>"                               \
	}
#define SAME_UPLOADS                                                                  \
	{                                                                             \
		.status = 200,                                                        \
		.body = "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated>" \
			"<NextKeyMarker>x%2F1</NextKeyMarker>"                        \
			"<NextUploadIdMarker>U</NextUploadIdMarker>"                  \
			"</ListMultipartUploadsResult>"                               \
	}
#define HALF_OF_UPLOADS                                                               \
	{                                                                             \
		.status = 200,                                                        \
		.body = "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated>" \
			"</ListMultipartUploadsResult>"                               \
	}
#define ENOUGH                                                                    \
	{                                                                         \
		.status = 404, .body = "<Error><Code>NoSuchBucket</Code></Error>" \
	}

/* The same page again and again, or half a list that does not say where the other half begins. */
static void lists_of_the_store_go_in_no_circle(void **state)
{
	struct fixture *f = *state;
	CLEANUP_ARENA struct arena *a = arena_new();
	const struct cloud_object at = {REGION, "a-bucket", "x"};
	struct cloud_object_info *objects;
	struct cloud_upload *uploads;
	size_t n;

	HTTP_SCRIPT(&f->server, SAME_OBJECTS, SAME_OBJECTS, ENOUGH);
	assert_int_equal(cloud_object_list(f->c, &at, a, &objects, &n), -EBADMSG);
	HTTP_SCRIPT(&f->server, SAME_UPLOADS, SAME_UPLOADS, ENOUGH);
	assert_int_equal(cloud_upload_list(f->c, &at, a, &uploads, &n), -EBADMSG);
	assert_string_equal(parameter(a, f->server.requests[1], "key-marker"), "x/1");
	assert_string_equal(parameter(a, f->server.requests[1], "upload-id-marker"), "U");
	HTTP_SCRIPT(&f->server, HALF_OF_UPLOADS, ENOUGH);
	assert_int_equal(cloud_upload_list(f->c, &at, a, &uploads, &n), -EBADMSG);
}

static void long_parameters_go_as_a_form(void **state)
{
	struct fixture *f = *state;
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_JSON json_t *params = json_object();
	char *data = arena_alloc(a, 30001);

	memset(data, 'A', 30000);
	json_object_set_new(params, "UserData", json_string(data));
	HTTP_SCRIPT(&f->server, OK_REPLY);
	assert_int_equal(cloud_call(f->c, CLOUD_ECS, NULL, "RunInstances", params, NULL), 0);
	assert_memory_equal(f->server.requests[0], "POST / HTTP/1.1\r\n", 17);
	assert_int_equal(strlen(parameter(a, f->server.requests[0], "UserData")), 30000);
	assert_string_equal(parameter(a, f->server.requests[0], "SignatureMethod"), "HMAC-SHA1");
}

/* 0x995dc9bbdf1939fa is the CRC-64/XZ of "123456789". */
static void bytes_that_differ_are_found(void **state)
{
	struct fixture *f = *state;
	const struct cloud_object at = {REGION, "a-bucket", "x"};
	static const char good[] = "x-oss-hash-crc64ecma: 11051210869376104954\r\n";
	static const char bad[] = "x-oss-hash-crc64ecma: 11051210869376104955\r\n";

	HTTP_SCRIPT(&f->server, {.status = 200, .headers = good}, {.status = 200, .headers = bad});
	assert_int_equal(cloud_object_put(f->c, &at, "123456789", 9, NULL, NULL), 0);
	assert_int_equal(cloud_object_put(f->c, &at, "123456789", 9, NULL, NULL), -EBADMSG);
	assert_string_equal(err_code(), "CLOUD_BYTES_DIFFER");
}

static void a_webhook_is_signed(void **state)
{
	struct fixture *f = *state;
	CLEANUP_ARENA struct arena *a = arena_new();

	HTTP_SCRIPT(&f->server, {.status = 204}, {.status = 500, .body = "no"});
	assert_int_equal(cloud_post_json(f->server.url, "what do ya want for nothing?", "Jefe", 4,
					 NULL, 60000),
			 0);
	/* The second example of RFC 4231. */
	assert_string_equal(
		header(a, f->server.requests[0], "x-coldlift-signature"),
		"sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	assert_int_equal(cloud_post_json(f->server.url, "{}", NULL, 0, NULL, 60000), -EREMOTEIO);
	assert_string_equal(header(a, f->server.requests[1], "x-coldlift-signature"), "");
	assert_non_null(strstr(f->server.requests[1], "\r\n\r\n{}"));
}

static void an_unknown_action_is_not_sent(void **state)
{
	struct fixture *f = *state;

	HTTP_SCRIPT(&f->server, OK_REPLY);
	assert_int_equal(cloud_call(f->c, CLOUD_ECS, NULL, "DeleteEverything", NULL, NULL),
			 -EINVAL);
	assert_int_equal(http_server_count(&f->server), 0);
}

static void foreign_replies_are_read_with_care(void **state)
{
	CLEANUP_JSON json_t *r = json_loads(
		"{\"A\": [{\"B\": \"text\", \"N\": 7, \"P\": \"38%\", \"Neg\": -1, \"Big\": "
		"\"99999999999999999999\", \"T\": \"true\", \"F\": false, \"Null\": null}]}",
		0, NULL);
	const char *text;

	(void)state;
	assert_int_equal(cloud_get_string(r, "A.0.B", &text), 0);
	assert_string_equal(text, "text");
	assert_int_equal(cloud_get_string(r, "A.0.N", &text), -EBADMSG);
	assert_int_equal(cloud_get_string(r, "A.1.B", &text), -EBADMSG);
	assert_int_equal(cloud_get_string(r, "A.x.B", &text), -EBADMSG);
	assert_int_equal(cloud_get_string(r, "A.0.Null", &text), -EBADMSG);
	assert_int_equal(cloud_get_string(r, "A..B", &text), -EBADMSG);
	assert_non_null(strstr(err_reason(), "A..B"));
	assert_int_equal(cloud_get_u64_or(r, "A.0.P", 5), 38);
	assert_int_equal(cloud_get_u64_or(r, "A.0.Neg", 5), 5);
	assert_int_equal(cloud_get_u64_or(r, "A.0.Big", 5), 5);
	assert_int_equal(cloud_get_u64_or(r, "A.0.B", 5), 5);
	assert_true(cloud_get_bool_or(r, "A.0.T", false));
	assert_false(cloud_get_bool_or(r, "A.0.F", true));
	assert_null(cloud_get_list(r, "A.0"));
	assert_null(cloud_get_list(NULL, "A"));
	assert_string_equal(cloud_get_string_or(NULL, "A", "x"), "x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lost_reply_is_asked_for_again_if_that_is_safe),
		cmocka_unit_test(a_cut_reply_is_no_reply),
		cmocka_unit_test(a_hint_to_wait_is_honoured),
		cmocka_unit_test(pauses_grow_and_have_an_end),
		cmocka_unit_test(an_interruption_ends_a_call),
		cmocka_unit_test(a_wrong_clock_is_corrected_once),
		cmocka_unit_test(a_connection_can_be_broken_at_each_stage),
		cmocka_unit_test(nobody_there_is_said),
		cmocka_unit_test(a_hanging_server_is_given_up),
		cmocka_unit_test(plain_http_leaves_this_machine_never),
		cmocka_unit_test(endpoints_are_the_vendors),
		cmocka_unit_test(the_environment_has_the_settings),
		cmocka_unit_test(a_process_can_be_killed_at_each_stage),
		cmocka_unit_test(all_pages_are_gathered),
		cmocka_unit_test(lists_of_the_store_go_in_no_circle),
		cmocka_unit_test(long_parameters_go_as_a_form),
		cmocka_unit_test(bytes_that_differ_are_found),
		cmocka_unit_test(a_webhook_is_signed),
		cmocka_unit_test(an_unknown_action_is_not_sent),
		cmocka_unit_test(foreign_replies_are_read_with_care),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
