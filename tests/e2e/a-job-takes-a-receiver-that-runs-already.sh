#!/usr/bin/env bash
# The intermediate instance exists and has its receiver: the job is given its code, fetches the disks over TLS when the
# source is through, and leaves the receiver alone. A source that fails is told with its own code; retry goes on. Orders
# reach the source also while no pipeline runs the job.
. "$(dirname "$0")/lib-pipeline.sh"

files_image "$work/source.raw" 24
truncate -s 50M "$work/source.raw"
start_receiver
run_job run name=db1 "activation=$activation"
wait_in db1 Syncing
source_says InError SOURCE_READ_ERROR >/dev/null
status=0
wait_job || status=$?
[ $status -eq 1 ] || fail "a failed source ends the job with $status"
is_in db1 InError || fail "the job is not InError"
status_exits_with db1 1
status_exits_with nobody 1 2>/dev/null
"$PIPELINE" status db1 | grep -q SOURCE_READ_ERROR || fail "the source's code is not shown: $("$PIPELINE" status)"
source_says Running >/dev/null
run_job retry db1
wait_in db1 Syncing
kill -KILL "$pipeline_pid"
wait_job || true
"$PIPELINE" status db1 | grep -q 'no process' || fail "nobody says that the job is run by nobody: $("$PIPELINE" status)"
"$PIPELINE" pause db1
source_says Running | grep -q "'pause': True" || fail "the source does not know that it is to pause"
"$PIPELINE" resume db1
"$PIPELINE" modify db1 rate_mbit=7
source_says Running | grep -q "'pause': False, .*'rate_mbit': 7" || fail "the source does not know its new rate"
"$PIPELINE" stop db1
source_says Running | grep -q "'cancel': True" || fail "the source does not know that it is to end"
is_in db1 Stopped || fail "it is not Stopped"
run_job start db1
wait_in db1 Syncing
source_says Running | grep -q "'cancel': False" || fail "the source is still told to end"
send "$work/source.raw"
source_says Finished >/dev/null
wait_job || fail "the retried job failed"
qemu-img compare -q "$work/source.raw" "$work"/jobs/images/*-run1-disk0.qcow2 || fail "the image differs"
! ls "$work"/jobs/images/*.fetched 2>/dev/null || fail "what was fetched stays"
kill -0 "$receiver_pid" || fail "the receiver was ended"
