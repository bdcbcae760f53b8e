#!/usr/bin/env bash
# A job with no account at all: the pipeline starts a receiver, a source copies into it, and the end is image
# files equal to the source, and a report. Nothing that cost room stays. Orders reach the running job, and those
# that come too late are refused.
. "$(dirname "$0")/lib-pipeline.sh"

random_image "$work/source.raw" 20
truncate -s 64M "$work/source.raw"
export ALIBABA_CLOUD_ACCESS_KEY_ID=an-id ALIBABA_CLOUD_ACCESS_KEY_SECRET=a-secret-of-the-account
run_job run name=web1 "${here[@]}" 'formats=["raw","qcow2"]'
take_activation
tr '\0' '\n' <"/proc/$(cat "$(job_file receiver.pid)")/environ" >"$work/environment"
grep -q '^COLDLIFT_STATE=' "$work/environment" || fail "the receiver's environment cannot be seen"
! grep -q secret-of-the-account "$work/environment" || fail "the receiver was given the account's keys"
wait_in web1 Syncing
status_exits_with web1 75
grep -q "coldlift.activation=$activation" "$(job_file handout.txt)" || fail "no kernel arguments are handed out"

"$PIPELINE" modify web1 rate_mbit=321 || fail "the rate cannot be changed"
source_says Running | grep -q 321 || fail "the new rate did not reach the source"
"$PIPELINE" pause web1 && source_says Running | grep -q "'pause': True" || fail "the pause did not reach the source"
"$PIPELINE" resume web1 && source_says Running | grep -q "'pause': False" || fail "the source stays paused"
for order in "modify web1 bucket=other" "delete web1" "cut-over web1" "retry web1"; do
	status=0
	# shellcheck disable=SC2086 # words on purpose
	"$PIPELINE" $order >/dev/null 2>"$work/refusal" || status=$?
	grep -qE 'ReplicationJob.InvalidStatus|JOB_RUNNING' "$work/refusal" || fail "$order: $status $(cat "$work/refusal")"
done

# Killed, and gone on with: the same code is good, the same disks are there.
send "$work/source.raw"
kill -KILL "$pipeline_pid"
wait_job 2>/dev/null || true
run_job start web1
finish_job || fail "the job failed"

cmp "$work/source.raw" "$work"/jobs/images/*-run1-disk0.raw || fail "the image differs"
if command -v qemu-img >/dev/null; then
	qemu-img check -q "$work"/jobs/images/*-run1-disk0.qcow2
	qemu-img compare -q "$work/source.raw" "$work"/jobs/images/*-run1-disk0.qcow2 || fail "the qcow2 image differs"
fi
is_in web1 Finished || fail "it is not Finished"
status_exits_with web1 0
"$PIPELINE" status web1 | grep -q "^  $work/jobs/images/.*-run1-disk0.qcow2$" || fail "the image is not named: $("$PIPELINE" status)"
grep -q '"way": "local"' "$(job_file image.json)" || fail "no report"
! ls -d "$work"/jobs/j-*/disks "$work"/jobs/j-*/receiver 2>/dev/null || fail "the receiver's files were not removed"
"$PIPELINE" delete web1
[ "$("$PIPELINE" status)" = "no jobs" ] || fail "it was not deleted"
[ -f "$(echo "$work"/jobs/images/*.raw)" ] || fail "deleting the job took its image"
