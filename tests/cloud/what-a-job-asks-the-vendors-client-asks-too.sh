#!/usr/bin/env bash
# Every call that a job made, made once more by the vendor's own client from the same values: the same parameters on the wire.
source "$(dirname "$0")/lib.sh"
sdk_ready

compare() { # COURSE
	CALLS=$work/$1.json tests/cloud/course "$1"
	[ -s "$work/$1.json" ]
	start_emulator --set '{"real_instances": false, "record_only": true}'
	node tests/cloud/sdk/replay.js "$work/$1.json" | tee "$work/$1.compared"
	grep -q 'RunInstances' "$work/$1.compared"
	kill "$emulator_pid"
	wait "$emulator_pid" || true
}

compare by-images
compare by-uploads
