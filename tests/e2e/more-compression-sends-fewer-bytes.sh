#!/usr/bin/env bash
# Every step of the scale 0-10 sends less than the one before, and all of them arrive equal. One worker: which chunks follow
# one another in the streams of several is a matter of time, and makes as much of a difference as a step does.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

files_image "$work/disk" 24
before=999999999
for step in 0 1 2 3 4 5 6 7 8 9 10; do
	control_port='' data_port=''
	rm -rf "$work/state" "$target"
	start_receiver
	send --whole --readers 1 --workers 1 --compression "$step" "$work/disk"
	bytes=$(result wire_bytes)
	cmp "$work/disk" "$target/disk0.raw"
	echo "step $step: $bytes bytes"
	[ "$bytes" -lt "$before" ] || fail "step $step sends $bytes bytes, the one before $before"
	before=$bytes
	stop_receiver
done
