#!/usr/bin/env bash
# What the source logs reaches the job's diagnostics/, when it fails and when it does not; whoever has the token can read it
# at the receiver; what opens the receiver is in none of it. A job that wants no diagnostics has none.
# shellcheck source=tests/e2e/lib-pipeline.sh
. "$(dirname "$0")/lib-pipeline.sh"

call() { # METHOD PATH [BODY]
	curl -sS --insecure -X "$1" -H "Authorization: Bearer $token" ${3+--data-binary "$3"} "https://127.0.0.1:$control_port$2"
}
begin() { # OPTION...
	run_job run name=web1 "${here[@]}" "$@"
	take_activation
	control_port=$(sed -n 's/^control: port //p' "$(job_file receiver.said)")
	token=$(sed -n 's/.*"token": "\([0-9a-f]*\)".*/\1/p' "$(job_file receiver/token.json)")
	wait_in web1 Syncing
}

begin
call GET /v1/log | grep -q ARTEFACT_MISSING || fail "there is a log before there is one"
upper=$(printf %s "$token" | tr a-f A-F)
call PUT /v1/log "a line of the source
Bearer $token
$upper
coldlift.activation=$activation ip=dhcp
the last line" >/dev/null
call PUT /v1/artefact/job.json "{\"activation\": \"$activation\", \"name\": \"web1\"}" >/dev/null
call GET /v1/log | grep -qx 'the last line' || fail "the log cannot be read"
code=$(curl -s --insecure -o /dev/null -w '%{http_code}' "https://127.0.0.1:$control_port/v1/log")
[ "$code" = 401 ] || fail "the log is given to strangers: $code"
while kill -0 "$pipeline_pid" 2>/dev/null; do
	source_says InError SOURCE_READ_ERROR >/dev/null 2>&1 || true
	sleep 0.1
done
wait_job && fail "the job did not fail"
kept=$(job_file diagnostics)
for file in source.log state.json metrics.txt job.json; do
	[ -s "$kept/$file" ] || fail "$file is not in diagnostics/: $(ls "$kept")"
done
grep -qx 'a line of the source' "$kept/source.log" && grep -qx 'the last line' "$kept/source.log" || fail "$(cat "$kept/source.log")"
grep -q 'web1' "$kept/job.json" || fail "$(cat "$kept/job.json")"
for secret in "$token" "$activation" ${activation#*.}; do
	! grep -riqF -- "$secret" "$kept" || fail "a secret is in $(grep -rilF -- "$secret" "$kept")"
done
[ "$(stat -c %a "$kept/source.log")" = 600 ] || fail "others may read it"
"$PIPELINE" delete web1
[ ! -d "$kept" ] || fail "the diagnostics outlive their job"

# Where all goes well, the log is there too.
random_image "$work/disk" 3
begin
send --whole "$work/disk"
call PUT /v1/log "all went well" >/dev/null
finish_job || fail "the job failed"
grep -qx 'all went well' "$(job_file diagnostics/source.log)" || fail "no log of a job that went well"
"$PIPELINE" delete web1
rm -rf "$work/jobs/images"

begin diagnostics=false
grep -q '"diagnostics": false' "$(job_file source-job.json)" || fail "the source is not told: $(cat "$(job_file source-job.json)")"
call PUT /v1/log "not wanted" >/dev/null
send --whole "$work/disk"
finish_job || fail "the job failed"
[ ! -d "$(job_file diagnostics)" ] || fail "diagnostics were collected that nobody wanted"
