#!/usr/bin/env bash
# Neither port answers to a wrong, short, long or empty token, and no file changes.
# shellcheck source=tests/proto/lib-receiver.sh
. "$(dirname "$0")/lib-receiver.sh"
requires nbdinfo curl
start_receiver
put_plan 1048576
wrong=$(tr 0-9a-f 1-9a-f0 <<<"$token")
for name in "$wrong/disk0" "${token%?}/disk0" "${token}0/disk0" "/disk0" "disk0" "$token" "$token/disk1" "$token/disk00" "$token/../disk0"; do
	refused nbdinfo --size "$(uri "$name")"
done
good=$token
for token in "$wrong" "" "${good%?}"; do
	for path in /v1/target /v1/state /metrics /; do
		control GET "$path" | grep -q TOKEN_REFUSED
	done
	control PUT /v1/artefact/plan.json '{"disks":[{"index":1,"target_bytes":1048576}]}' | grep -q TOKEN_REFUSED
done
[ ! -e "$work/files/disk1.raw" ]
token=$good
[ "$(nbdinfo --size "$(uri "$token/disk0")")" = 1048576 ]
