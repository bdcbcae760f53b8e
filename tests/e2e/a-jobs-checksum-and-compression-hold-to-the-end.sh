#!/usr/bin/env bash
# The options checksum and compression of a job: sha-256 is in the job file that is handed out, and a run without such a proof is
# refused; with it the image carries that root. off and on, and another compression, reach a source that is at work; sha-256 does not
# begin in the middle. A job that is off hands that out, and its image is proved by nothing.
. "$(dirname "$0")/lib-pipeline.sh"

random_image "$work/source.raw" 20
truncate -s 40M "$work/source.raw"
mkdir "$work/proof" "$work/weaker"
run_job run name=proved "${here[@]}" checksum=sha-256 compression=5 'formats=["qcow2"]'
take_activation
wait_in proved Syncing
grep -q '"digest": "sha-256"' "$(job_file source-job.json)" || fail "the job file that is handed out: $(cat "$(job_file source-job.json)")"
source_says Running | grep -q "'compression': 5.*'verify': True" || fail "the job's options did not reach the source: $(source_says Running)"
"$PIPELINE" modify proved compression=2 checksum=off || fail "they cannot be changed"
source_says Running | grep -q "'compression': 2.*'verify': False" || fail "the changes did not reach the source: $(source_says Running)"
! "$PIPELINE" modify proved checksum=sha-256 2>"$work/refusal" || fail "sha-256 begins in the middle"
grep -q ReplicationJob.InvalidStatus "$work/refusal" || fail "$(cat "$work/refusal")"
"$PIPELINE" modify proved checksum=true || fail "SMC's word is not taken"
source_says Running | grep -q "'verify': True" || fail "the source is not told to read back"
"$PIPELINE" cancel proved
wait_job || true
"$PIPELINE" delete proved

run_job run name=proved "${here[@]}" checksum=sha-256 'formats=["qcow2"]'
take_activation
wait_in proved Syncing
send --whole --proof "$work/weaker" "$work/source.raw"
source_puts verify.json <"$work/weaker/verify.json"
! finish_job || fail "a run of other digests passed for a proof"
"$PIPELINE" status proved --json | grep -q PROOF_LACKING || fail "$("$PIPELINE" status proved --json)"
run_job retry proved
wait_run proved
take_activation
wait_for 600 source_says Running >/dev/null 2>&1 || fail "the receiver is not back"
send --whole --digest sha-256 --proof "$work/proof" "$work/source.raw"
source_puts verify.json <"$work/proof/verify.json"
source_puts verify.leaves <"$work/proof/verify.leaves"
finish_job || fail "the job failed: $("$PIPELINE" status proved --json)"
root=$(sed -n 's/.*"merkle_root": "\([0-9a-f]*\)".*/\1/p' "$work/proof/verify.json")
grep -q "\"digest\": \"sha-256\"" "$(job_file image.json)" || fail "$(cat "$(job_file image.json)")"
grep -q "\"root\": \"$root\"" "$(job_file image.json)" || fail "another root than $root: $(cat "$(job_file image.json)")"
grep -q '"proved": true' "$(job_file image.json)" || fail "$(cat "$(job_file image.json)")"
"$PIPELINE" delete proved
rm -f "$work"/jobs/images/*

run_job run name=quick "${here[@]}" checksum=off 'formats=["raw"]'
take_activation
wait_in quick Syncing
grep -q '"verify": false' "$(job_file source-job.json)" || fail "the job file that is handed out: $(cat "$(job_file source-job.json)")"
source_says Running | grep -q "'verify': False" || fail "the source is told to read back"
send --whole "$work/source.raw"
echo '{"verified": false, "digest": "xxh3-128", "disks": [{"disk": 0, "name": "sda", "holes": []}]}' >"$work/none.json"
source_puts verify.json <"$work/none.json"
finish_job || fail "the job failed: $("$PIPELINE" status quick --json)"
grep -q '"proved": false' "$(job_file image.json)" || fail "$(cat "$(job_file image.json)")"
cmp "$work/source.raw" "$work"/jobs/images/*-disk0.raw || fail "the image differs"
