#!/usr/bin/env bash
# Wire bytes over time, as the migrator counts them, against the limit: plain and compressed, one connection
# and four. No run may be faster; what slows a run down may also be a machine that has other things to do, so the fastest
# of some runs is the one that must not be slower.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

files_image "$work/files" 60
random_image "$work/random" 25
start_receiver

# run_with MBIT IMAGE OPTION...
run_with() {
	local mbit=$1 image=$2 bits ms
	shift 2
	touch "$image"
	stop_receiver
	rm -rf "$work/state" "$target"
	start_receiver
	send --whole --rate-mbit "$mbit" "$@" "$image"
	bits=$(($(result wire_bytes) * 8))
	ms=$(result running_ms)
	rate=$((bits / ms))
	echo "limit $mbit Mbit/s: $((bits / 8)) bytes in $ms ms, $rate kbit/s"
	at_most "$rate" $((mbit * 1050)) "kbit/s"
}

# try MBIT IMAGE OPTION...
try() {
	local best=0
	for _ in $(seq 20); do
		run_with "$@"
		[ "$rate" -le "$best" ] || best=$rate
		[ "$best" -lt $(($1 * 950)) ] || return 0
	done
	fail "the fastest of 20 runs has $best kbit/s of $1 Mbit/s"
}

try 40 "$work/random" --compression 0 --connections 1
try 40 "$work/random" --compression 0 --connections 4
try 40 "$work/files" --compression 3
