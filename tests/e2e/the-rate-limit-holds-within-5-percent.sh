#!/usr/bin/env bash
# Wire bytes over time, as the migrator counts them, against the limit: plain and compressed, one connection
# and four.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

files_image "$work/files" 60
random_image "$work/random" 25
start_receiver

# try MBIT IMAGE OPTION...
try() {
	local mbit=$1 image=$2 bits ms rate
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
	at_least "$rate" $((mbit * 950)) "kbit/s"
}

try 40 "$work/random" --compression 0 --connections 1
try 40 "$work/random" --compression 0 --connections 4
try 40 "$work/files" --compression 3
