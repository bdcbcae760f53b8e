#!/usr/bin/env bash
# A job with no account at all: the pipeline starts a receiver, a source copies into it, and the end is a
# file equal to the source, and a report. Nothing that cost room stays. Orders reach the running job, and
# those that come too late are refused.
. "$(dirname "$0")/lib.sh"
PIPELINE=${PIPELINE:-$build/pipeline}
[ -x "$PIPELINE" ] || skip "no pipeline: make host-programs"
export COLDLIFT_STATE=$work/jobs

random_image "$work/source.raw" 20
truncate -s 64M "$work/source.raw"

pipeline_pid=''
trap 'kill "$pipeline_pid" 2>/dev/null || true; clean_up' EXIT
start_job() {
	"$PIPELINE" "$@" >"$work/pipeline.out" 2>>"$work/pipeline.log" &
	pipeline_pid=$!
}
# The source's own words, as the migrator posts them.
source_says() {
	python3 - "$(cat "$work"/jobs/j-*/activation)" "$1" <<'PYTHON'
import base64, json, ssl, sys, time, urllib.request
code = sys.argv[1].split(".", 1)[1]
raw = base64.urlsafe_b64decode(code + "=" * (-len(code) % 4))
n = raw[1]
host, port, token = raw[2:2 + n].decode(), int.from_bytes(raw[2 + n:4 + n], "big"), raw[38 + n:54 + n].hex()
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
body = {"state": sys.argv[2], "time": str(time.time_ns()), "disks": [{"name": "sda", "done_bytes": 9, "total_bytes": 9}]}
request = urllib.request.Request(f"https://{host}:{port}/v1/state", json.dumps(body).encode(),
                                 {"Authorization": f"Bearer {token}"})
print(json.load(urllib.request.urlopen(request, context=context))["commands"])
PYTHON
}

start_job run name=web1 way=local control_port=0 data_port=0 listen=127.0.0.1 advertise=127.0.0.1 'formats=["raw"]'
wait_for 20 test -s "$(echo "$work/jobs/j-"*)/handout.txt" || wait_for 20 test -s "$work"/jobs/j-*/handout.txt ||
	fail "nothing was handed out"
activation=$(cat "$work"/jobs/j-*/activation)
grep -q "coldlift.activation=$activation" "$work"/jobs/j-*/handout.txt || fail "no kernel arguments are handed out"
wait_for 20 sh -c "'$PIPELINE' status web1 --json | grep -q Syncing" || fail "it is not Syncing"

"$PIPELINE" modify web1 rate_mbit=321 || fail "the rate cannot be changed"
source_says Running | grep -q 321 || fail "the new rate did not reach the source"
"$PIPELINE" pause web1 && source_says Running | grep -q "'pause': True" || fail "the pause did not reach the source"
"$PIPELINE" resume web1 && source_says Running | grep -q "'pause': False" || fail "the source stays paused"
for order in "modify web1 bucket=other" "delete web1" "cut-over web1"; do
	# shellcheck disable=SC2086 # words on purpose
	"$PIPELINE" $order 2>"$work/refusal" && fail "$order was taken"
	grep -qE 'ReplicationJob.InvalidStatus|JOB_RUNNING' "$work/refusal" || fail "$order: $(cat "$work/refusal")"
done

# Killed, and gone on with: the same code is good, the same disks are there.
send "$work/source.raw"
kill -KILL "$pipeline_pid"
wait "$pipeline_pid" 2>/dev/null || true
start_job start web1
wait_for 20 source_says Finished >"$work/said" || fail "the receiver did not come back with its code"
wait "$pipeline_pid" || fail "the job failed"
pipeline_pid=''

cmp "$work/source.raw" "$work"/jobs/images/*-run1-disk0.raw || fail "the image differs"
"$PIPELINE" status web1 | grep -q Finished || fail "it is not Finished"
grep -q '"way": "local"' "$work"/jobs/j-*/image.json || fail "no report"
! ls -d "$work"/jobs/j-*/disks "$work"/jobs/j-*/receiver 2>/dev/null || fail "the receiver's files were not removed"
"$PIPELINE" delete web1
[ "$("$PIPELINE" status)" = "no jobs" ] || fail "it was not deleted"
[ -f "$(echo "$work"/jobs/images/*.raw)" ] || fail "deleting the job took its image"
