/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every error code of the cloud: how often it is tried again, what a caller gets, and that the
 * reason says what to do. Each code is really answered, by a server in this test.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/num.h"
#include "cloud/cloud.h"
#include "http_server.h"
#include "unit.h"

#define REGION	"cn-beijing"
#define OK_BODY "{\"RequestId\": \"r-ok\", \"Code\": 0}"

struct fixture {
	struct http_server server;
	struct cloud *c;
	uint64_t longest_pause_ms;
};

/* The tests do not wait. */
static int no_pause(void *ctx, uint64_t ms)
{
	struct fixture *f = ctx;

	f->longest_pause_ms = max_of(f->longest_pause_ms, ms);
	return 0;
}

static int start(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct cloud_options o = {
		.region = REGION, .keys = CLOUD_KEYS_ENVIRONMENT, .pause = no_pause, .ctx = f};

	*state = f;
	setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "test-id", 1);
	setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "test-secret-value", 1);
	if (http_server_start(&f->server) != 0)
		return -1;
	for (int i = 0; i < CLOUD_PRODUCT_COUNT; i++)
		o.endpoint[i] = f->server.url;
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

/* As the vendor's documents have them: status, codes. The misspelt ones are theirs. */
static const struct row {
	enum cloud_decision decision;
	unsigned status;
	const char *codes;
} rows[] = {
	{CLOUD_RETRY, 400, "Throttling Throttling.User Throttling.Api Throttling.Something"},
	{CLOUD_RETRY, 403, "Throttling.ConcurrentLimitExceeded Throttling.DeepPageSkip"},
	{CLOUD_RETRY, 503,
	 "Rejected.Throttling ServiceUnavailable ServiceUnavailable.RegionMaintaining"},
	{CLOUD_RETRY, 429, "Some.Unknown.Code"},
	{CLOUD_RETRY_SAFE, 500, "InternalError UnknownError Some.Unknown.Code"},
	{CLOUD_RETRY_SAFE, 400, "SystemBusy CallInterface"},
	{CLOUD_RETRY_STATE, 409, "OperationConflict Operation.Conflict InvalidOperation.Conflict"},
	{CLOUD_RETRY_STATE, 403,
	 "TaskConflict IncorrectInstanceStatus IncorrectInstanceStatus.Initializing "
	 "IncorrectDiskStatus IncorrectDiskStatus.Initializing "
	 "IncorrectDiskStatus.CreatingSnapshot "
	 "IncorrectDiskStatus.Transferring IncorrectVolumeStatus DisksDetachingOnEcsExceeded "
	 "InvalidSnapshotId.NotReady OperationDenied.ImageCopying CancelTaskFailed"},
	{CLOUD_RETRY_STATE, 400,
	 "IncorrectVSwitchStatus IncorrectVpcStatus IncorrectStatus IncorrectStatus.VSwitch "
	 "OperationFailed.DistibuteLock IncorrectRouteEntryStatus InvalidStatus.RouteEntry "
	 "OperationDenied.OtherSubnetProcessing DependencyViolation DependencyViolation.VSwitch "
	 "DependencyViolation.SecurityGroup DependencyViolation.Instance "
	 "DependencyViolation.RouteEntry"},
	{CLOUD_RETRY_STATE, 404, "OperationDenied.CreatingConflict"},
	{CLOUD_RETRY_SLOWLY, 403, "ConcurrentQuotaExceed.ExportImage"},
	{CLOUD_SAME_TOKEN, 403,
	 "IdempotentProcessing LastTokenProcessing OperationFailed.LastTokenProcessing "
	 "TOKEN_PROCESSING OperationFailed.IdempotentTokenProcessing"},
	{CLOUD_NEW_NONCE, 400, "SignatureNonceUsed"},
	{CLOUD_FIX_CLOCK, 400, "IllegalTimestamp InvalidTimeStamp.Expired InvalidTimeStamp.Format"},
	{CLOUD_NEW_CREDENTIALS, 400,
	 "InvalidSecurityToken.Expired InvalidSecurityToken.Malformed "
	 "InvalidSecurityToken.MismatchWithAccessKey"},
	{CLOUD_FINAL, 400,
	 "IdempotentParameterMismatch InvalidIdempotenceParameter.Mismatch "
	 "IdempotenceParamNotMatch "
	 "InvalidParamter.Conflict InvalidAction InvalidParameter InvalidParameter.ImageName "
	 "MissingParameter MissingParameter.RegionId InvalidPlatform.Malformed "
	 "InvalidArchitecture.Malformed InvalidDevice.InUse InvalidSize.ValueNotSupported "
	 "VSwitchIdVpcId.Mismatch Some.Unknown.Code"},
	{CLOUD_FINAL, 403,
	 "IncorrectDiskStatus.NeverAttached IncorrectDiskStatus.NeverUsed "
	 "InvalidOSSBucket.NotMatched "
	 "InvalidOSSPrefix.Malformed InvalidImageFormat.Malformed InvalidRegion.NotSupport "
	 "InvalidImage.DiskAmountOrSize ImageNotSupported InvalidImageLicense.NotSupported "
	 "ExportImageFailed ImageUsingByInstance ImageUseShared OperationDenied DiskNotPortable "
	 "InvalidInstance.ImageCategory InvalidOperation.DeletionProtection "
	 "InvalidOperation.ResourceManagedByCloudProduct InstanceLockedForSecurity"},
	{CLOUD_FINAL, 404,
	 "InvalidOSSBucket.NotFound InvalidAction.NotFound InvalidRegionId.NotFound"},
	{CLOUD_NEXT_CANDIDATE, 403,
	 "OperationDenied.NoStock InvalidInstanceType.ZoneNotSupported "
	 "InvalidInstanceType.ValueNotSupported InvalidInstanceType.NotSupported Zone.NotOnSale "
	 "Zone.NotOpen ResourceNotAvailable InvalidSystemDiskCategory.ValueNotSupported "
	 "InvalidDataDiskCategory.ValueNotSupported CategoryNotSupported"},
	{CLOUD_OTHER_NAME, 400, "InvalidImageName.Duplicated"},
	{CLOUD_DONE, 400, "DryRunOperation"},
	{CLOUD_DONE, 412, "DryRunOperation"},
	{CLOUD_DONE, 403, "InvalidDisk.AlreadyDetached InvalidTaskId.IncorrectTaskStatus"},
	{CLOUD_GONE, 404,
	 "InvalidInstanceId.NotFound InvalidVpcID.NotFound InvalidVpcId.NotFound "
	 "Forbidden.VpcNotFound InvalidVswitchID.NotFound InvalidVSwitchId.NotFound "
	 "InvalidSecurityGroupId.NotFound InvalidDiskId.NotFound InvalidImageId.NotFound "
	 "InvalidSnapshotId.NotFound InvalidTaskId.NotFound Invalid.Whatever.NotFound"},
	{CLOUD_RUNNING, 403, "ImageIsExporting ImageIsImporting"},
	{CLOUD_DELETE_IMAGE, 403, "SnapshotCreatedImage"},
	{CLOUD_FORCE, 403, "SnapshotCreatedDisk"},
	{CLOUD_QUOTA, 400, "QuotaExceeded.Vpc"},
	{CLOUD_QUOTA, 403,
	 "QuotaExceed.SecurityGroup QuotaExceed.Image QuotaExceed.Snapshot "
	 "QuotaExceed.AfterpayInstance QuotaExceed.PostPaidDisk QuotaExceed.ElasticQuota "
	 "QuotaExceeded.PrivateIpAddress QuotaExceeded AuthorizationLimitExceed "
	 "SecurityGroupInstanceLimitExceed WeeklyQuotaExceed.ExportImage QuotaExceed.Something "
	 "InvalidAccountStatus.SnapshotServiceUnavailable"},
	{CLOUD_MONEY, 403,
	 "InvalidAccountStatus.NotEnoughBalance InsufficientBalance Account.Arrearage "
	 "InvalidPayMethod PaymentMethodNotFound DiskInArrears InstanceExpiredOrInArrears"},
	{CLOUD_DENIED, 403,
	 "UserNotInTheWhiteList NoSetRoletoECSServiceAcount RealNameAuthenticationError "
	 "Forbidden.RAM Forbidden.Unauthorized Forbidden.SubUser Forbidden.Subuser Forbidden "
	 "Forbbiden Forbidden.NotSupportRAM InvalidUser.PassRoleForbidden Forbidden.RiskControl "
	 "Forbidden.AccessKeyDisabled SignatureDoesNotMatch Some.Unknown.Code"},
	{CLOUD_DENIED, 400,
	 "NoPermission InvalidAccessKeyId.Inactive IncompleteSignature SignatureDoesNotMatch"},
	{CLOUD_DENIED, 404, "InvalidAccessKeyId.NotFound"},
};

static const struct row oss_rows[] = {
	{CLOUD_FIX_CLOCK, 403, "RequestTimeTooSkewed"},
	{CLOUD_RETRY, 400, "BadRequest Throttling.User"},
	{CLOUD_RETRY, 503, "QpsLimitExceeded UploadTrafficRateLimitExceeded"},
	{CLOUD_RETRY, 503, "ServiceUnavailable SlowDown Some.Unknown.Code"},
	{CLOUD_RETRY_SAFE, 500, "InternalError Some.Unknown.Code"},
	{CLOUD_RETRY_SAFE, 408, "RequestTimeout"},
	{CLOUD_RETRY_SAFE, 401, "Some.Unknown.Code"},
	{CLOUD_RETRY, 429, "Some.Unknown.Code"},
	{CLOUD_DENIED, 403, "AccessDenied InvalidAccessKeyId SignatureDoesNotMatch"},
	{CLOUD_FINAL, 404, "NoSuchBucket"},
	{CLOUD_GONE, 404, "NoSuchKey NoSuchUpload"},
	{CLOUD_FINAL, 400, "InvalidArgument InvalidPart InvalidPartOrder EntityTooSmall"},
	{CLOUD_FINAL, 409, "FileImmutable"},
	{CLOUD_OTHER_NAME, 409, "BucketAlreadyExists"},
	{CLOUD_NEW_CREDENTIALS, 403, "SecurityTokenExpired"},
	{CLOUD_MONEY, 403, "UserDisable"},
};

/* What a caller gets, and how many requests there are when the second one is answered well. */
static int expected(enum cloud_decision d, bool safe, bool deleting, size_t *requests)
{
	*requests = 1;
	switch (d) {
	case CLOUD_RETRY_SAFE:
		if (!safe)
			return -EREMCHG;
		*requests = 2;
		return 0;
	case CLOUD_RETRY:
	case CLOUD_RETRY_STATE:
	case CLOUD_RETRY_SLOWLY:
	case CLOUD_SAME_TOKEN:
	case CLOUD_NEW_NONCE:
	case CLOUD_FIX_CLOCK:
		*requests = 2;
		return 0;
	case CLOUD_DONE:
		return 0;
	case CLOUD_GONE:
		return deleting ? 0 : -ENOENT;
	case CLOUD_NEXT_CANDIDATE:
		return -ENODEV;
	case CLOUD_OTHER_NAME:
		return -EEXIST;
	case CLOUD_RUNNING:
		return -EALREADY;
	case CLOUD_DELETE_IMAGE:
	case CLOUD_FORCE:
		return -EBUSY;
	case CLOUD_QUOTA:
	case CLOUD_MONEY:
		return -EDQUOT;
	case CLOUD_NEW_CREDENTIALS:
	case CLOUD_DENIED:
		return -EACCES;
	case CLOUD_FINAL:
		return -EINVAL;
	}
	return -1;
}

static void check_reason(const char *code, unsigned status, bool oss)
{
	const struct cloud_rule *rule = cloud_rule_find(code, status, oss);

	if (strcmp(err_code(), code) != 0)
		fail_msg("%s: the code is %s", code, err_code());
	if (!strstr(err_reason(), rule->meaning) || !strstr(err_reason(), rule->advice) ||
	    !strstr(err_reason(), "r-refused"))
		fail_msg("%s: the reason is \"%s\"", code, err_reason());
}

struct way {
	enum cloud_product product;
	const char *action;
	bool safe, deleting;
};

static void check_rpc(struct fixture *f, const struct way *way, const struct row *row,
		      const char *code)
{
	char body[512];
	size_t requests;
	int want = expected(row->decision, way->safe, way->deleting, &requests), rc;

	/* DeleteVpc has an exception, which has a test of its own. */
	snprintf(body, sizeof(body),
		 "{\"RequestId\": \"r-refused\", \"HostId\": \"x\", \"Code\": \"%s\", "
		 "\"Message\": \"The words of the cloud.\"}",
		 code);
	HTTP_SCRIPT(&f->server,
		    {.status = row->status,
		     .headers = "Date: Fri, 02 Jan 2026 03:04:05 GMT\r\n",
		     .body = body},
		    {.status = 200, .body = OK_BODY});
	rc = cloud_call(f->c, way->product, NULL, way->action, NULL, NULL);
	if (rc != want || http_server_count(&f->server) != requests)
		fail_msg("%s %s with status %u: result %d and %zu requests, not %d and %zu: %s",
			 way->action, code, row->status, rc, http_server_count(&f->server), want,
			 requests, err_reason());
	if (rc < 0 && rc != -EREMCHG) {
		check_reason(code, row->status, false);
		assert_string_equal(cloud_last_error(f->c)->code, code);
		assert_int_equal(cloud_last_error(f->c)->decision, row->decision);
	}
}

static size_t each_code(const struct row *list, size_t n, struct fixture *f, const struct way *way,
			void (*check)(struct fixture *, const struct way *, const struct row *,
				      const char *))
{
	size_t codes = 0;

	for (size_t i = 0; i < n; i++) {
		CLEANUP_FREE char *copy = strdup(list[i].codes);
		char *save = NULL;

		for (char *c = strtok_r(copy, " ", &save); c; c = strtok_r(NULL, " ", &save)) {
			check(f, way, &list[i], c);
			codes++;
		}
	}
	return codes;
}

static void each_code_of_a_harmless_call_is_handled(void **state)
{
	const struct way way = {CLOUD_VPC, "DescribeVpcs", true, false};

	assert_true(each_code(rows, ARRAY_SIZE(rows), *state, &way, check_rpc) > 130);
}

static void each_code_of_a_call_with_a_token_is_handled(void **state)
{
	const struct way way = {CLOUD_ECS, "RunInstances", true, false};

	each_code(rows, ARRAY_SIZE(rows), *state, &way, check_rpc);
}

static void each_code_of_a_call_that_must_not_come_twice_is_handled(void **state)
{
	const struct way way = {CLOUD_ENS, "ImportImage", false, false};

	each_code(rows, ARRAY_SIZE(rows), *state, &way, check_rpc);
}

static void each_code_of_a_deletion_is_handled(void **state)
{
	const struct way way = {CLOUD_ECS, "DeleteImage", true, true};
	struct row kept[ARRAY_SIZE(rows)];
	size_t n = 0;

	/* A deletion takes one of them as "still busy": see below. */
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (!strstr(rows[i].codes, "Forbbiden"))
			kept[n++] = rows[i];
	each_code(kept, n, *state, &way, check_rpc);
}

static void a_misspelt_refusal_of_a_deletion_means_busy(void **state)
{
	const struct way way = {CLOUD_VPC, "DeleteVpc", true, true};
	const struct row busy = {CLOUD_RETRY_STATE, 400, ""};

	check_rpc(*state, &way, &busy, "Forbbiden");
}

static void check_oss(struct fixture *f, const struct way *way, const struct row *row,
		      const char *code)
{
	const struct cloud_object at = {REGION, "a-bucket", "an object"};
	char body[512];
	size_t requests;
	int want = expected(row->decision, way->safe, way->deleting, &requests), rc;

	snprintf(
		body, sizeof(body),
		"<?xml version=\"1.0\"?>\n<Error><Code>%s</Code><Message>Words &amp; more</Message>"
		"<RequestId>r-refused</RequestId><HostId>h</HostId></Error>",
		code);
	HTTP_SCRIPT(&f->server,
		    {.status = row->status,
		     .headers = "Date: Fri, 02 Jan 2026 03:04:05 GMT\r\n",
		     .body = body},
		    {.status = 200, .body = ""});
	rc = way->deleting ? cloud_object_delete(f->c, &at)
			   : cloud_object_put(f->c, &at, "x", 1, NULL, NULL);
	if (rc != want || http_server_count(&f->server) != requests)
		fail_msg("%s with status %u: result %d and %zu requests, not %d and %zu: %s", code,
			 row->status, rc, http_server_count(&f->server), want, requests,
			 err_reason());
	if (rc < 0)
		check_reason(code, row->status, true);
}

static void each_code_of_an_upload_is_handled(void **state)
{
	const struct way way = {CLOUD_OSS, "PutObject", true, false};

	assert_true(each_code(oss_rows, ARRAY_SIZE(oss_rows), *state, &way, check_oss) > 20);
}

static void each_code_of_an_objects_deletion_is_handled(void **state)
{
	const struct way way = {CLOUD_OSS, "DeleteObject", true, true};

	each_code(oss_rows, ARRAY_SIZE(oss_rows), *state, &way, check_oss);
}

/* The rows of the table stand in docs/cloud.md in the same words, and no others. */
static void each_code_is_documented(void **state)
{
	CLEANUP_FREE char *doc = NULL;
	const struct cloud_rule *rule;
	size_t rows_there = 0, n = 0;
	char line[512];

	(void)state;
	if (io_read_file("docs/cloud.md", 1 << 20, &doc, NULL) < 0)
		fail_msg("%s", err_reason());
	for (; (rule = cloud_rule_at(n)); n++) {
		snprintf(line, sizeof(line), "\n| `%s` | %s | %s | %s |\n", rule->code,
			 cloud_decision_name(rule->decision), rule->meaning, rule->advice);
		if (!strstr(doc, line))
			fail_msg("docs/cloud.md lacks the line%s", line);
	}
	for (const char *p = strstr(doc, "\n## Errors"); (p = strstr(p, "\n| `")); p++)
		rows_there++;
	assert_int_equal(rows_there, n);
}

/* Codes longer than what a failure carries would be cut. */
static void each_code_fits(void **state)
{
	const struct cloud_rule *rule;

	(void)state;
	for (size_t n = 0; (rule = cloud_rule_at(n)); n++)
		assert_true(strlen(rule->code) < ERR_CODE_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_code_of_a_harmless_call_is_handled),
		cmocka_unit_test(each_code_of_a_call_with_a_token_is_handled),
		cmocka_unit_test(each_code_of_a_call_that_must_not_come_twice_is_handled),
		cmocka_unit_test(each_code_of_a_deletion_is_handled),
		cmocka_unit_test(a_misspelt_refusal_of_a_deletion_means_busy),
		cmocka_unit_test(each_code_of_an_upload_is_handled),
		cmocka_unit_test(each_code_of_an_objects_deletion_is_handled),
		cmocka_unit_test(each_code_is_documented),
		cmocka_unit_test(each_code_fits),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
