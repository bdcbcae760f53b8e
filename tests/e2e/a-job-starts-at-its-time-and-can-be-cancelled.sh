#!/usr/bin/env bash
# A scheduled job is Ready until its time. Cancelled while it syncs, it gives back all that it made and can be started
# anew; a stop keeps it; a job in the background is ended by its delete. Options that are wrong are all said at once.
. "$(dirname "$0")/lib-pipeline.sh"

"$PIPELINE" create valid_days=5 compression=11 colour=red tls=off 2>"$work/wrong" && fail "wrong options were taken"
[ "$(grep -c '^InvalidParameter\.' "$work/wrong")" -eq 4 ] || fail "not all is said at once: $(cat "$work/wrong")"
[ ! -d "$work/jobs" ] || [ -z "$(ls "$work/jobs")" ] || fail "a job was made all the same"

"$PIPELINE" create name=other "scheduled_start=$(date -u -d '+1 hour' +%Y-%m-%dT%H:%M:%SZ)" >/dev/null
status=0
"$PIPELINE" modify other valid_days=5 tls=off 2>"$work/wrong" || status=$?
[ $status -eq 2 ] && [ "$(grep -c '^InvalidParameter\.' "$work/wrong")" -eq 2 ] ||
	fail "wrong changes end with $status: $(cat "$work/wrong")"
status=0
"$PIPELINE" modify other run_once=false 'tags={"a": "b"}' 2>"$work/wrong" || status=$?
[ $status -eq 3 ] && [ "$(grep -c '^ReplicationJob\.InvalidStatus' "$work/wrong")" -eq 2 ] ||
	fail "changes that are too late end with $status: $(cat "$work/wrong")"
"$PIPELINE" delete other

run_job run name=later "${here[@]}" "scheduled_start=$(date -u -d '+1 hour' +%Y-%m-%dT%H:%M:%SZ)"
wait_in later Ready
[ ! -e "$(job_file receiver)" ] || fail "it began before its time"
status=0
timeout 1 "$PIPELINE" status later --watch >/dev/null || status=$?
[ $status -eq 124 ] || fail "nobody watches a job that waits for its time"
starts_soon later
wait_in later Syncing
take_activation
first=$activation
"$PIPELINE" cancel later
wait_job || fail "a cancelled job ends with $?"
is_in later Stopped || fail "it is not Stopped"
! ls -d "$work"/jobs/j-*/disks "$work"/jobs/j-*/receiver 2>/dev/null || fail "something stays behind"

run_job start later
wait_in later Syncing
take_activation
[ "$activation" != "$first" ] || fail "the cancelled code is handed out again"
kill -TERM "$pipeline_pid"
status=0
wait_job || status=$?
[ $status -eq 75 ] || fail "ended by a signal it says $status, not that it can go on"
is_in later Running || fail "a signal changed the job's state"
run_job start later
wait_run later
wait_in later Syncing
"$PIPELINE" stop later
wait_job || fail "a stopped job ends with $?"
is_in later Stopped || fail "it is not Stopped"
[ -d "$(job_file receiver)" ] || fail "a stop gave the receiver's state back"

"$PIPELINE" start later --detach --quiet
wait_in later Syncing
"$PIPELINE" cancel later
wait_in later Stopped
"$PIPELINE" delete later
[ "$("$PIPELINE" status)" = "no jobs" ] || fail "it was not deleted"
