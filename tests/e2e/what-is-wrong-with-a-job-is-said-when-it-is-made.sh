#!/usr/bin/env bash
# A job that cannot be is refused with status 2 before it is made: a file that is no JSON object, a plan that is missing or has disks
# that the cloud does not take. What is said as KEY=VALUE for a text stays that text, and a path is of the folder where it was said.
. "$(dirname "$0")/lib-pipeline.sh"
cloud=(way=direct bucket=b-1 source_address=192.0.2.7)

is_refused() { # WORD-IN-THE-MESSAGE WORD...
	local status=0 word=$1
	shift
	"$PIPELINE" create "$@" >"$work/told" 2>&1 || status=$?
	[ $status -eq 2 ] && grep -q "$word" "$work/told" || fail "create $* ends with $status: $(cat "$work/told")"
}

plan_of() { # FILE GIB...
	local file=$1
	shift
	printf '{"disks": [%s]}' "$(for gib; do printf '%s{"target_bytes": %d}' "${comma-}" $((gib << 30)); comma=,; done)" >"$work/$file"
}

printf '{"name": "a", "name": "b"}' >"$work/twice.json"
printf '[]' >"$work/list.json"
is_refused JSON_INVALID --job "$work/twice.json"
is_refused JOB_INVALID --job "$work/list.json"
is_refused FILE_UNREADABLE --job "$work/none.json"
is_refused FILE_UNREADABLE "${cloud[@]}" plan="$work/none.json"
plan_of many 40 1 1 1 1 1
plan_of wide 40 501
plan_of empty
plan_of good 40 500
is_refused ReplicationJobDataDiskIndex.Invalid "${cloud[@]}" plan="$work/many"
is_refused InvalidParameter.Disks "${cloud[@]}" plan="$work/wide"
is_refused JOB_INVALID "${cloud[@]}" plan="$work/empty"
is_refused InvalidParameter.TargetType "${cloud[@]}" plan="$work/good" way=ecs
[ ! -d "$COLDLIFT_STATE" ] || [ "$("$PIPELINE" status)" = "no jobs" ] || fail "a job was made: $("$PIPELINE" status)"

cd "$work" || exit
"$PIPELINE" create name=web "${cloud[@]}" plan=good os_version=6.8 description=2026 platform=true bucket=12345 >/dev/null
cd / || exit
for told in '"os_version":"6.8"' '"description":"2026"' '"platform":"true"' '"bucket":"12345"' "\"plan\":\"$work/good\""; do
	grep -qF -e "$told" "$(job_file journal)" || fail "not $told: $(job_file journal)"
done
"$PIPELINE" modify web description=null plan="$work/good"
! "$PIPELINE" status web --json | grep -q '2026"' || fail "the description stays"
"$PIPELINE" cancel web
printf '{"name": "web", "tags": {}, "run_once": true, "valid_days": 9, "bucket": "12345"}' >"$work/again.json"
"$PIPELINE" modify web --job "$work/again.json" || fail "a job file that changes what may be changed is refused"
"$PIPELINE" modify web run_once=false max_images=2 2>&1 | grep -q '"run_once" is chosen when the job is made' || fail "run_once was changed"
status=0
"$PIPELINE" modify web plan="$work/many" 2>/dev/null || status=$?
[ $status -ne 0 ] || fail "it takes a plan that cannot be"

for words in "region=r colour=red" "region=r web" ""; do
	status=0
	# shellcheck disable=SC2086
	"$PIPELINE" list $words 2>/dev/null || status=$?
	[ $status -eq 2 ] || fail "list $words ends with $status"
done
