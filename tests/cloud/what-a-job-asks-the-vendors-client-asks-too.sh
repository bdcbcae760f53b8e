#!/usr/bin/env bash
# Every call that jobs made, on both ways, with older signatures, when they failed, were cleaned up after or looked at an account,
# made once more by the vendor's own client from the same values: the same parameters on the wire, in presigned URLs, too. No
# action that `pipeline` calls is left out.
source "$(dirname "$0")/lib.sh"
sdk_ready
programs

compare() { # FILE
	start_emulator --set '{"real_instances": false, "record_only": true, "keys": {
		"emulated-key": {"secret": "emulated-secret"}, "emulated-session": {"secret": "emulated-secret", "token": "emulated-token"}}}'
	node tests/cloud/sdk/replay.js "$1" | tee -a "$work/compared"
	kill "$emulator_pid"
	wait "$emulator_pid" || true
}

for course in by-images by-uploads not-allowed failed-on-the-way forgotten disk-left-behind older-signatures diagnosed; do
	CALLS=$work/$course.json tests/cloud/course $course
	compare "$work/$course.json"
done

mkdir -m 700 "$work/home" "$work/home/.aliyun"
printf '{"current": "p", "profiles": [{"name": "p", "mode": "RamRoleArn", "access_key_id": "emulated-key",
"access_key_secret": "emulated-secret", "ram_role_arn": "acs:ram::1:role/r"}]}' >"$work/home/.aliyun/config.json"
chmod 600 "$work/home/.aliyun/config.json"
start_emulator --set '{"real_instances": false}'
(
	for product in ECS VPC ENS STS RAM OSS; do
		export COLDLIFT_ENDPOINT_$product="$endpoint"
	done
	unset ALIBABA_CLOUD_ACCESS_KEY_ID ALIBABA_CLOUD_ACCESS_KEY_SECRET
	HOME=$work/home "$PIPELINE" account region=cn-beijing bucket=coldlift-beijing
)
emulator GET calls >"$work/account.json"
kill "$emulator_pid"
wait "$emulator_pid" || true
compare "$work/account.json"

sort -u "$work/compared" >"$work/all"
signed=(oss\ {CompleteMultipartUpload,DeleteObject,GetBucketInfo,HeadObject,InitiateMultipartUpload,PutObject}', V'{1,4}
	oss\ {ListMultipartUploads,ListObjectsV2}', V'{1,4} oss\ {GetObject,UploadPart}', V'{1,4}' URL')
for needed in 'ecs AuthorizeSecurityGroup' 'ecs CancelTask' 'ecs CreateImage' 'ecs CreateSecurityGroup' 'ecs CreateSnapshot' \
	'ecs DeleteDisk' \
	'ecs DeleteImage' 'ecs DeleteInstance' 'ecs DeleteSecurityGroup' 'ecs DeleteSnapshot' 'ecs DescribeAvailableResource' \
	'ecs DescribeDisks' 'ecs DescribeImages' 'ecs DescribeInstances' 'ecs DescribePrice' 'ecs DescribeSecurityGroups' \
	'ecs DescribeSnapshots' 'ecs DescribeTaskAttribute' 'ecs DescribeTasks' 'ecs ExportImage' 'ecs RunInstances' \
	'ecs StartInstance' 'ecs StopInstance' 'ens DeleteImage' 'ens DescribeSelfImages' 'ens ImportImage' 'ram GetRole' \
	'sts AssumeRole' 'sts GetCallerIdentity' 'vpc CreateVSwitch' 'vpc CreateVpc' 'vpc DeleteVSwitch' 'vpc DeleteVpc' \
	'vpc DescribeVSwitches' 'vpc DescribeVpcs' 'oss AbortMultipartUpload, V4' 'oss ListObjectVersions, V1' \
	"${signed[@]}"; do
	grep -qx "$needed" "$work/all" || {
		echo "not compared: $needed"
		exit 1
	}
done
