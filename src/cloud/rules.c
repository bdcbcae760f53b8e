/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What each error code of the cloud means, what the program does about it, and what a person can
 * do. The vendor's own misspellings are kept; docs/cloud.md shows the same table, and a test
 * compares.
 */
#include <fnmatch.h>
#include <string.h>

#include "base/num.h"
#include "cloud/private.h"

#define NOTHING	  "Nothing need be done; the pipeline tries again by itself."
#define TRY_LATER "Start the job again later."
#define OURS	  "This is a fault of this program; please report it with the request id."
#define PERMIT                                                                               \
	"Let an administrator of the account give these keys the permission (docs/cloud.md " \
	"lists the actions that a job calls)."
#define KEYS                                                                                      \
	"Check which keys are used (environment, configuration file, profile) and that they are " \
	"enabled in the RAM console."
#define CLOCK	"Set this machine's clock right (NTP), then start the job again."
#define PAY	"Pay the account's open bills or add money to it, then retry the job."
#define CHOOSE	"Name another instance type, disk category or zone in the job."
#define QUOTA	"Delete what is not needed or have the quota raised in the quota centre, then retry."
#define SUPPORT "Ask the vendor's support to allow it for this account, or use the direct way."
#define EXPORT	"Correct the export options of the job, or use the direct way."
#define GONE	"It was deleted by somebody else; start the job again with a new one."
#define LOCKED	"Take the protection or lock away in the ECS console, then retry."

static const struct cloud_rule table[] = {
	/* Too many calls, or a service that is not well. */
	{"Throttling", CLOUD_RETRY, "too many calls", NOTHING},
	{"Throttling.User", CLOUD_RETRY, "too many calls of this account", NOTHING},
	{"Throttling.Api", CLOUD_RETRY, "too many calls of this action", NOTHING},
	{"Throttling.ConcurrentLimitExceeded", CLOUD_RETRY, "too many calls at once", NOTHING},
	{"Throttling.DeepPageSkip", CLOUD_RETRY, "too many pages asked for", NOTHING},
	{"Rejected.Throttling", CLOUD_RETRY, "too many calls", NOTHING},
	{"*Throttling*", CLOUD_RETRY, "too many calls", NOTHING},
	{"ServiceUnavailable", CLOUD_RETRY, "the service is not available for now", NOTHING},
	{"ServiceUnavailable.RegionMaintaining", CLOUD_RETRY, "the region is being maintained",
	 TRY_LATER},
	{"InternalError", CLOUD_RETRY_SAFE, "the service failed", TRY_LATER},
	{"UnknownError", CLOUD_RETRY_SAFE, "the service failed", TRY_LATER},
	{"SystemBusy", CLOUD_RETRY_SAFE, "the service is busy", TRY_LATER},
	{"CallInterface", CLOUD_RETRY_SAFE, "a service behind ENS failed", TRY_LATER},

	/* The object, or its neighbourhood, is not ready. */
	{"OperationConflict", CLOUD_RETRY_STATE, "another operation runs", NOTHING},
	{"Operation.Conflict", CLOUD_RETRY_STATE, "another operation runs", NOTHING},
	{"InvalidOperation.Conflict", CLOUD_RETRY_STATE, "another operation runs", NOTHING},
	{"TaskConflict", CLOUD_RETRY_STATE, "another operation runs", NOTHING},
	{"OperationDenied.CreatingConflict", CLOUD_RETRY_STATE, "another instance is being made",
	 NOTHING},
	{"OperationDenied.OtherSubnetProcessing", CLOUD_RETRY_STATE,
	 "another vSwitch of the VPC is being changed", NOTHING},
	{"InvalidStatus.RouteEntry", CLOUD_RETRY_STATE, "a route of the VPC is being changed",
	 NOTHING},
	{"IncorrectInstanceStatus", CLOUD_RETRY_STATE, "the instance is in another state", NOTHING},
	{"IncorrectInstanceStatus.Initializing", CLOUD_RETRY_STATE, "the instance is starting",
	 NOTHING},
	{"IncorrectDiskStatus", CLOUD_RETRY_STATE, "the disk is busy", NOTHING},
	{"IncorrectDiskStatus.Initializing", CLOUD_RETRY_STATE, "the disk is being made", NOTHING},
	{"IncorrectDiskStatus.CreatingSnapshot", CLOUD_RETRY_STATE,
	 "another snapshot of the disk is being made", NOTHING},
	{"IncorrectDiskStatus.Transferring", CLOUD_RETRY_STATE, "the disk is being moved", NOTHING},
	{"IncorrectVolumeStatus", CLOUD_RETRY_STATE, "the disk is busy", NOTHING},
	{"DisksDetachingOnEcsExceeded", CLOUD_RETRY_STATE, "other disks are being detached",
	 NOTHING},
	{"IncorrectVSwitchStatus", CLOUD_RETRY_STATE, "the vSwitch is not ready", NOTHING},
	{"IncorrectVpcStatus", CLOUD_RETRY_STATE, "the VPC is not ready", NOTHING},
	{"IncorrectRouteEntryStatus", CLOUD_RETRY_STATE, "a route is not ready", NOTHING},
	{"IncorrectStatus*", CLOUD_RETRY_STATE, "the object is not ready", NOTHING},
	{"OperationFailed.DistibuteLock", CLOUD_RETRY_STATE, "the object is locked for a moment",
	 NOTHING},
	{"DependencyViolation", CLOUD_RETRY_STATE, "something still uses it",
	 "See in the console what still uses it; remove that, then run the clean-up again."},
	{"DependencyViolation.*", CLOUD_RETRY_STATE, "something still uses it",
	 "See in the console what still uses it; remove that, then run the clean-up again."},
	{"InvalidSnapshotId.NotReady", CLOUD_RETRY_STATE, "the snapshot is not finished", NOTHING},
	{"ConcurrentQuotaExceed.ExportImage", CLOUD_RETRY_SLOWLY, "too many exports at once",
	 "Wait until other exports of this account are done; the pipeline tries again."},

	/* Repeats. */
	{"IdempotentProcessing", CLOUD_SAME_TOKEN, "the first request still runs", NOTHING},
	{"LastTokenProcessing", CLOUD_SAME_TOKEN, "the first request still runs", NOTHING},
	{"OperationFailed.LastTokenProcessing", CLOUD_SAME_TOKEN, "the first request still runs",
	 NOTHING},
	{"OperationFailed.IdempotentTokenProcessing", CLOUD_SAME_TOKEN,
	 "the first request still runs", NOTHING},
	{"TOKEN_PROCESSING", CLOUD_SAME_TOKEN, "the first request still runs", NOTHING},
	{"IdempotentParameterMismatch", CLOUD_FINAL,
	 "the same ClientToken came with other parameters", OURS},
	{"InvalidIdempotenceParameter.Mismatch", CLOUD_FINAL,
	 "the same ClientToken came with other parameters", OURS},
	{"IdempotenceParamNotMatch", CLOUD_FINAL, "the same ClientToken came with other parameters",
	 OURS},
	{"InvalidParamter.Conflict", CLOUD_FINAL, "the same ClientToken came with other parameters",
	 OURS},

	/* Disks, snapshots, images. */
	{"IncorrectDiskStatus.NeverAttached", CLOUD_FINAL, "the disk was never attached",
	 "Leave this disk out of the job, or copy to it first."},
	{"IncorrectDiskStatus.NeverUsed", CLOUD_FINAL, "the disk was never written",
	 "Leave this disk out of the job, or copy to it first."},
	{"SnapshotCreatedImage", CLOUD_DELETE_IMAGE, "an image still uses the snapshot",
	 "Delete the image first, then the snapshot."},
	{"SnapshotCreatedDisk", CLOUD_FORCE, "a disk was made from the snapshot",
	 "Delete the snapshot with force."},
	{"ImageIsExporting", CLOUD_RUNNING, "the image is being exported",
	 "Wait for the export, or cancel its task."},
	{"ImageIsImporting", CLOUD_RUNNING, "the image is being imported",
	 "Wait for the import, or cancel its task."},
	{"WeeklyQuotaExceed.ExportImage", CLOUD_QUOTA,
	 "the exports that this account has in a week are used up",
	 "Start the job again next week, or use the direct way."},
	{"InvalidImageName.Duplicated", CLOUD_OTHER_NAME, "an image of this name exists",
	 "The pipeline takes the name with the job's id behind it."},
	{"UserNotInTheWhiteList", CLOUD_DENIED, "this is not enabled for the account", SUPPORT},
	{"NoSetRoletoECSServiceAcount", CLOUD_DENIED, "ECS may not write to the bucket",
	 "Create the role AliyunECSImageExportDefaultRole for the service ECS in the RAM console "
	 "(policy AliyunECSImageExportRolePolicy), then retry."},
	{"InvalidOSSBucket.NotFound", CLOUD_FINAL, "there is no such bucket", EXPORT},
	{"InvalidOSSBucket.NotMatched", CLOUD_FINAL, "the bucket is in another region", EXPORT},
	{"InvalidOSSPrefix.Malformed", CLOUD_FINAL, "the prefix of the objects is not allowed",
	 EXPORT},
	{"InvalidImageFormat.Malformed", CLOUD_FINAL, "the image format is not allowed", EXPORT},
	{"InvalidRegion.NotSupport", CLOUD_FINAL, "images cannot be exported in this region",
	 EXPORT},
	{"InvalidImage.DiskAmountOrSize", CLOUD_FINAL,
	 "too many data disks, or one that is too large, for an export",
	 "At most 4 data disks of at most 500 GiB each can be exported; leave disks out."},
	{"ImageNotSupported", CLOUD_FINAL, "this image cannot be exported", EXPORT},
	{"InvalidImageLicense.NotSupported", CLOUD_FINAL, "this image's licence forbids the export",
	 EXPORT},
	{"ExportImageFailed", CLOUD_FINAL, "the export failed", EXPORT},
	{"ImageUsingByInstance", CLOUD_FINAL, "an instance was made from the image",
	 "Release the instance, then delete the image."},
	{"ImageUseShared", CLOUD_FINAL, "the image is shared with other accounts",
	 "Stop sharing the image, then delete it."},
	{"OperationDenied.ImageCopying", CLOUD_RETRY_STATE, "the image is being copied", NOTHING},
	{"InvalidDevice.InUse", CLOUD_FINAL, "two disks have the same device name", OURS},
	{"InvalidSize.ValueNotSupported", CLOUD_FINAL, "the size of a disk is not allowed",
	 "Correct the size of the disk in the job."},
	{"InvalidTaskId.NotFound", CLOUD_GONE, "there is no such task", GONE},
	{"InvalidTaskId.IncorrectTaskStatus", CLOUD_DONE, "the task has ended already", NOTHING},
	{"CancelTaskFailed", CLOUD_RETRY_STATE, "the task could not be cancelled", TRY_LATER},
	{"OperationDenied", CLOUD_FINAL, "the object does not allow this",
	 "See the message for what it lacks, or use the direct way."},
	{"DiskNotPortable", CLOUD_FINAL, "the disk cannot be detached", OURS},
	{"InvalidInstance.ImageCategory", CLOUD_FINAL, "the instance's image does not allow this",
	 OURS},

	/* Sold out. */
	{"OperationDenied.NoStock", CLOUD_NEXT_CANDIDATE, "sold out", CHOOSE},
	{"InvalidInstanceType.ZoneNotSupported", CLOUD_NEXT_CANDIDATE,
	 "the zone does not have this instance type", CHOOSE},
	{"InvalidInstanceType.ValueNotSupported", CLOUD_NEXT_CANDIDATE,
	 "the instance type is not offered", CHOOSE},
	{"InvalidInstanceType.NotSupported", CLOUD_NEXT_CANDIDATE,
	 "the instance type is not offered", CHOOSE},
	{"Zone.NotOnSale", CLOUD_NEXT_CANDIDATE, "the zone is not on sale", CHOOSE},
	{"Zone.NotOpen", CLOUD_NEXT_CANDIDATE, "the zone is not open to this account", CHOOSE},
	{"ResourceNotAvailable", CLOUD_NEXT_CANDIDATE, "not available in this zone", CHOOSE},
	{"InvalidSystemDiskCategory.ValueNotSupported", CLOUD_NEXT_CANDIDATE,
	 "the system disk's category is not offered here", CHOOSE},
	{"InvalidDataDiskCategory.ValueNotSupported", CLOUD_NEXT_CANDIDATE,
	 "the data disks' category is not offered here", CHOOSE},
	{"CategoryNotSupported", CLOUD_NEXT_CANDIDATE, "the disk category is not offered here",
	 CHOOSE},

	/* Quotas and money. */
	{"QuotaExceeded.Vpc", CLOUD_QUOTA, "the VPCs of this region are used up (10 by default)",
	 "Name an existing VPC and vSwitch in the job, or delete a VPC that is not needed."},
	{"QuotaExceed.SecurityGroup", CLOUD_QUOTA, "the quota of security groups is used up",
	 QUOTA},
	{"QuotaExceed.Image", CLOUD_QUOTA, "the quota of images is used up", QUOTA},
	{"QuotaExceed.Snapshot", CLOUD_QUOTA, "the quota of snapshots is used up", QUOTA},
	{"QuotaExceed.AfterpayInstance", CLOUD_QUOTA,
	 "the quota of pay-as-you-go instances is used up", QUOTA},
	{"QuotaExceed.PostPaidDisk", CLOUD_QUOTA, "the quota of pay-as-you-go disks is used up",
	 QUOTA},
	{"QuotaExceed.ElasticQuota", CLOUD_QUOTA, "the quota of this instance type is used up",
	 QUOTA},
	{"QuotaExceeded.PrivateIpAddress", CLOUD_QUOTA, "the vSwitch has no free address",
	 "Name a vSwitch with free addresses in the job."},
	{"QuotaExceeded", CLOUD_QUOTA, "a quota is used up", QUOTA},
	{"AuthorizationLimitExceed", CLOUD_QUOTA, "the security group has too many rules", QUOTA},
	{"SecurityGroupInstanceLimitExceed", CLOUD_QUOTA,
	 "the security group has too many instances", QUOTA},
	{"QuotaExceed*", CLOUD_QUOTA, "a quota is used up", QUOTA},
	{"InvalidAccountStatus.NotEnoughBalance", CLOUD_MONEY, "the account has not enough money",
	 PAY},
	{"InsufficientBalance", CLOUD_MONEY, "the account has not enough money", PAY},
	{"Account.Arrearage", CLOUD_MONEY, "the account has open bills", PAY},
	{"InvalidPayMethod", CLOUD_MONEY, "the account has no valid means of payment", PAY},
	{"PaymentMethodNotFound", CLOUD_MONEY, "the account has no means of payment", PAY},
	{"DiskInArrears", CLOUD_MONEY, "the disk is locked for open bills", PAY},
	{"InstanceExpiredOrInArrears", CLOUD_MONEY, "the instance is locked for open bills", PAY},
	{"InvalidAccountStatus.SnapshotServiceUnavailable", CLOUD_QUOTA,
	 "the snapshot service is not activated",
	 "Activate snapshots in the ECS console, then retry."},
	{"RealNameAuthenticationError", CLOUD_DENIED, "the account's owner is not verified",
	 "Complete the account's real-name verification, then retry."},
	{"Forbidden.RiskControl", CLOUD_DENIED, "the account is under risk control",
	 "Ask the vendor's support."},

	/* Permissions, keys, clock. */
	{"Forbidden.RAM", CLOUD_DENIED, "these keys lack a permission", PERMIT},
	{"Forbidden.Unauthorized", CLOUD_DENIED, "a service lacks the role that it needs", PERMIT},
	{"Forbidden.SubUser", CLOUD_DENIED, "a RAM user may not do this", PERMIT},
	{"Forbidden.Subuser", CLOUD_DENIED, "a RAM user may not do this", PERMIT},
	{"Forbidden", CLOUD_DENIED, "these keys lack a permission", PERMIT},
	{"Forbbiden", CLOUD_DENIED, "these keys lack a permission", PERMIT},
	{"NoPermission", CLOUD_DENIED, "these keys lack a permission", PERMIT},
	{"Forbidden.NotSupportRAM", CLOUD_DENIED, "a RAM user may not do this", PERMIT},
	{"InvalidUser.PassRoleForbidden", CLOUD_DENIED, "these keys may not pass the role on",
	 "Let an administrator grant ram:PassRole to these keys."},
	{"InvalidAccessKeyId.NotFound", CLOUD_DENIED, "there is no such access key", KEYS},
	{"InvalidAccessKeyId.Inactive", CLOUD_DENIED, "the access key is switched off", KEYS},
	{"Forbidden.AccessKeyDisabled", CLOUD_DENIED, "the access key is switched off", KEYS},
	{"InvalidSecurityToken.Expired", CLOUD_NEW_CREDENTIALS, "the session has expired", KEYS},
	{"InvalidSecurityToken.Malformed", CLOUD_NEW_CREDENTIALS, "the session token is not valid",
	 KEYS},
	{"InvalidSecurityToken.MismatchWithAccessKey", CLOUD_NEW_CREDENTIALS,
	 "the session token belongs to other keys", KEYS},
	{"IllegalTimestamp", CLOUD_FIX_CLOCK, "this machine's clock is wrong", CLOCK},
	{"InvalidTimeStamp.Expired", CLOUD_FIX_CLOCK, "this machine's clock is wrong", CLOCK},
	{"InvalidTimeStamp.Format", CLOUD_FIX_CLOCK, "the time of the request is not understood",
	 CLOCK},
	{"SignatureNonceUsed", CLOUD_NEW_NONCE, "the request came twice", NOTHING},
	{"SignatureDoesNotMatch", CLOUD_DENIED, "the signature is wrong",
	 "Check that the secret belongs to the access key and was copied whole."},
	{"IncompleteSignature", CLOUD_DENIED, "the signature is wrong",
	 "Check that the secret belongs to the access key and was copied whole."},

	/* A request that is wrong. */
	{"DryRunOperation", CLOUD_DONE, "the request would have succeeded", NOTHING},
	{"InvalidAction", CLOUD_FINAL, "there is no such action", OURS},
	{"InvalidAction.NotFound", CLOUD_FINAL, "there is no such action", OURS},
	{"InvalidRegionId.NotFound", CLOUD_FINAL, "there is no such region",
	 "Correct the region in the job."},
	{"InvalidZoneId.NotFound", CLOUD_FINAL, "there is no such zone",
	 "Correct the zone in the job."},
	{"VSwitchIdVpcId.Mismatch", CLOUD_FINAL, "the vSwitch is in another VPC",
	 "Correct the VPC or the vSwitch in the job."},
	{"InvalidOperation.DeletionProtection", CLOUD_FINAL, "it is protected from deletion",
	 LOCKED},
	{"InvalidOperation.ResourceManagedByCloudProduct", CLOUD_FINAL,
	 "a product of the cloud manages it", LOCKED},
	{"InstanceLockedForSecurity", CLOUD_FINAL, "the instance is locked for security", LOCKED},
	{"InvalidParameter*", CLOUD_FINAL, "a parameter is wrong", "See the message."},
	{"MissingParameter*", CLOUD_FINAL, "a parameter is missing", OURS},
	{"*.Malformed", CLOUD_FINAL, "a parameter is wrong", "See the message."},

	/* Not there. */
	{"InvalidDisk.AlreadyDetached", CLOUD_DONE, "the disk is detached already", NOTHING},
	{"InvalidInstanceId.NotFound", CLOUD_GONE, "there is no such instance", GONE},
	{"InvalidVpcID.NotFound", CLOUD_GONE, "there is no such VPC", GONE},
	{"InvalidVpcId.NotFound", CLOUD_GONE, "there is no such VPC", GONE},
	{"Forbidden.VpcNotFound", CLOUD_GONE, "there is no such VPC", GONE},
	{"InvalidVswitchID.NotFound", CLOUD_GONE, "there is no such vSwitch", GONE},
	{"InvalidVSwitchId.NotFound", CLOUD_GONE, "there is no such vSwitch", GONE},
	{"InvalidSecurityGroupId.NotFound", CLOUD_GONE, "there is no such security group", GONE},
	{"InvalidDiskId.NotFound", CLOUD_GONE, "there is no such disk", GONE},
	{"InvalidImageId.NotFound", CLOUD_GONE, "there is no such image", GONE},
	{"InvalidSnapshotId.NotFound", CLOUD_GONE, "there is no such snapshot", GONE},
	{"EntityNotExist.Role", CLOUD_GONE, "there is no such role",
	 "Create the role in the RAM console."},
	{"*.NotFound", CLOUD_GONE, "it is not there", GONE},
};

static const struct cloud_rule oss_table[] = {
	{"RequestTimeTooSkewed", CLOUD_FIX_CLOCK, "this machine's clock is wrong", CLOCK},
	{"BadRequest", CLOUD_RETRY, "the request arrived damaged", NOTHING},
	{"RequestTimeout", CLOUD_RETRY_SAFE, "the upload was too slow", NOTHING},
	{"InternalError", CLOUD_RETRY_SAFE, "the service failed", TRY_LATER},
	{"ServiceUnavailable", CLOUD_RETRY, "the service is not available for now", NOTHING},
	{"SlowDown", CLOUD_RETRY, "too many calls", NOTHING},
	{"*LimitExceeded", CLOUD_RETRY, "too many calls, or too much traffic", NOTHING},
	{"*Throttling*", CLOUD_RETRY, "too many calls", NOTHING},
	{"InvalidDigest", CLOUD_RETRY_SAFE, "the body arrived damaged", NOTHING},
	{"AccessDenied", CLOUD_DENIED, "these keys may not do this with the bucket", PERMIT},
	{"InvalidAccessKeyId", CLOUD_DENIED, "there is no such access key, or it is off", KEYS},
	{"SignatureDoesNotMatch", CLOUD_DENIED, "the signature is wrong",
	 "Check that the secret belongs to the access key and was copied whole."},
	{"SecurityTokenExpired", CLOUD_NEW_CREDENTIALS, "the session has expired", KEYS},
	{"InvalidSecurityToken", CLOUD_NEW_CREDENTIALS, "the session token is not valid", KEYS},
	{"UserDisable", CLOUD_MONEY, "OSS is locked for this account", PAY},
	{"NoSuchBucket", CLOUD_FINAL, "there is no such bucket",
	 "Correct the bucket in the job, or create it in the same region."},
	{"InvalidOSSBucket.NotMatched", CLOUD_FINAL, "the bucket is in another region",
	 "Name a bucket in the region where the intermediate instance is made."},
	{"NoSuchKey", CLOUD_GONE, "there is no such object", GONE},
	{"NoSuchUpload", CLOUD_GONE, "there is no such upload", GONE},
	{"NoSuchVersion", CLOUD_GONE, "there is no such version", GONE},
	{"BucketAlreadyExists", CLOUD_OTHER_NAME, "the bucket's name is taken",
	 "Choose another name for the bucket."},
	{"TooManyBuckets", CLOUD_QUOTA, "the quota of buckets is used up", QUOTA},
	{"FileImmutable", CLOUD_FINAL, "the bucket's retention policy keeps the object",
	 "Wait until the retention ends, or use a bucket without such a policy."},
	{"InvalidArgument", CLOUD_FINAL, "a parameter is wrong", "See the message."},
	{"InvalidPart", CLOUD_FINAL, "a part of the upload is missing or was replaced",
	 "Start the upload again."},
	{"InvalidPartOrder", CLOUD_FINAL, "the parts are not in order", OURS},
	{"EntityTooSmall", CLOUD_FINAL, "a part is too small", OURS},
	{"InvalidObjectState", CLOUD_FINAL, "the object is archived",
	 "Use a bucket of the storage class Standard."},
};

static const struct cloud_rule by_status[] = {
	{"(status 429 or 503)", CLOUD_RETRY, "too many calls", NOTHING},
	{"(status 408 or 5xx)", CLOUD_RETRY_SAFE, "the service failed", TRY_LATER},
	{"(status 401 or 403)", CLOUD_DENIED, "it is not allowed", PERMIT},
	{"(status 404)", CLOUD_GONE, "it is not there", GONE},
	{"(any other)", CLOUD_FINAL, "the request was refused", "See the message."},
};

static const struct cloud_rule *of_status(unsigned status)
{
	if (status == 429 || status == 503)
		return &by_status[0];
	if (status == 408 || status / 100 == 5)
		return &by_status[1];
	if (status == 401 || status == 403)
		return &by_status[2];
	return status == 404 ? &by_status[3] : &by_status[4];
}

static const struct cloud_rule *find(const struct cloud_rule *rules, size_t n, const char *code)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(rules[i].code, code) == 0)
			return &rules[i];
	for (size_t i = 0; i < n; i++)
		if (strchr(rules[i].code, '*') && fnmatch(rules[i].code, code, 0) == 0)
			return &rules[i];
	return NULL;
}

const struct cloud_rule *cloud_rule_find(const char *code, unsigned status, bool oss)
{
	const struct cloud_rule *rule = NULL;

	if (oss && code[0])
		rule = find(oss_table, ARRAY_SIZE(oss_table), code);
	else if (code[0])
		rule = find(table, ARRAY_SIZE(table), code);
	/* OSS asks for a second try after 401 and every 5xx, whatever it calls them. */
	if (oss && !rule && status == 401)
		return &by_status[1];
	return rule ? rule : of_status(status);
}

const struct cloud_rule *cloud_rule_at(size_t n)
{
	if (n < ARRAY_SIZE(table))
		return &table[n];
	n -= ARRAY_SIZE(table);
	if (n < ARRAY_SIZE(oss_table))
		return &oss_table[n];
	n -= ARRAY_SIZE(oss_table);
	return n < ARRAY_SIZE(by_status) ? &by_status[n] : NULL;
}

const char *cloud_decision_name(enum cloud_decision decision)
{
	static const char *const names[] = {
		[CLOUD_FINAL] = "final",
		[CLOUD_RETRY] = "retry",
		[CLOUD_RETRY_SAFE] = "retry if safe",
		[CLOUD_RETRY_STATE] = "wait and retry",
		[CLOUD_RETRY_SLOWLY] = "retry slowly",
		[CLOUD_SAME_TOKEN] = "retry with the same token",
		[CLOUD_NEW_NONCE] = "sign anew",
		[CLOUD_FIX_CLOCK] = "correct the clock once",
		[CLOUD_NEW_CREDENTIALS] = "renew the keys once",
		[CLOUD_NEXT_CANDIDATE] = "next candidate",
		[CLOUD_OTHER_NAME] = "another name",
		[CLOUD_DONE] = "done",
		[CLOUD_GONE] = "not there",
		[CLOUD_RUNNING] = "already running",
		[CLOUD_DELETE_IMAGE] = "delete the image first",
		[CLOUD_FORCE] = "repeat with force",
		[CLOUD_QUOTA] = "quota",
		[CLOUD_MONEY] = "money",
		[CLOUD_DENIED] = "denied",
	};

	return names[decision];
}
