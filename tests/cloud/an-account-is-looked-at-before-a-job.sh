#!/usr/bin/env bash
# pipeline account says whose keys these are and what a job would fail for, all at once, and makes nothing.
# shellcheck source=tests/cloud/lib.sh
. "$(dirname "$0")/lib.sh"
program=build/asan/pipeline
[ -x "$program" ] || { echo "$program is not built"; exit 1; }
start_emulator --set '{"real_instances": false}'
for product in ECS VPC ENS STS RAM OSS; do export "COLDLIFT_ENDPOINT_$product=$endpoint"; done
export ALIBABA_CLOUD_ACCESS_KEY_ID=emulated-key ALIBABA_CLOUD_ACCESS_KEY_SECRET=emulated-secret HOME=$work
export COLDLIFT_CLOUD_BACKOFF_MS=5 COLDLIFT_CLOUD_RETRY_MS=2000

account() { # EXPECTED-STATUS ARGUMENT...
	local want=$1 status=0
	shift
	"$program" account "$@" >"$work/said" 2>&1 || status=$?
	[ "$status" = "$want" ] || { cat "$work/said"; echo "status $status, not $want: account $*"; exit 1; }
}

says() { # PATTERN...
	for pattern; do
		grep -q -- "$pattern" "$work/said" || { cat "$work/said"; echo "not said: $pattern"; exit 1; }
	done
}

account 0 region=ap-southeast-1 bucket=coldlift-singapore
says '^ok *keys.*user/emulated' '^ok *clock' '^ok *network' '^ok *export role' '^ok *bucket'
account 0 --json region=ap-southeast-1
[ "$(jq -r '.[] | select(.subject == "keys").result' "$work/said")" = ok ] || { cat "$work/said"; exit 1; }

# Everything that is wrong is said in one go.
emulator PATCH config '{"denied_actions": ["ecs:DescribeSnapshots", "ens:DescribeSelfImages"], "roles": [], "skew_s": 500}' >/dev/null
account 1 region=ap-southeast-1 bucket=coldlift-beijing
says '^FAIL *snapshots.*permission' '^FAIL *edge images' '^FAIL *export role.*AliyunECSImageExportDefaultRole' \
	'^FAIL *bucket.*coldlift-beijing.*region' '^look *clock.*-\?[45][0-9][0-9] s off' '^ok *images'

# Wrong keys: nothing else is asked.
ALIBABA_CLOUD_ACCESS_KEY_SECRET=wrong account 1 region=ap-southeast-1
says '^FAIL *keys.*signature is wrong'
[ "$(wc -l <"$work/said")" = 1 ] || { cat "$work/said"; exit 1; }
account 2
says '^pipeline account: region=REGION is missing'
! grep -r 'emulated-secret' "$work/said" "$work/emulator.log" || exit 1
[ "$(emulator GET state | jq '.left_over | length')" = 0 ] || { echo "something was made"; exit 1; }
