#!/usr/bin/env bash
# A second machine is started with the code of a migration that runs: it is told so and may try again, the first one ends
# equal, and then the second one goes the whole way.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

random_image "$work/first" 24
random_image "$work/second" 24
random_image "$work/larger" 32
start_receiver --commit-ms 50
"$MIGRATOR" send --activation "$activation" --quiet --json --whole --compression 0 --rate-mbit 40 "$work/first" >"$work/first.json" 2>>"$work/migrator.log" &
first=$!
for _ in $(seq 200); do
	[ -f "$target/disk0.raw" ] && [ "$(du -k "$target/disk0.raw" | cut -f1)" -gt 1000 ] && break
	sleep 0.05
done
for other in second larger; do
	rc=0
	"$MIGRATOR" send --activation "$activation" --quiet --whole "$work/$other" >/dev/null 2>"$work/said" || rc=$?
	kill -0 $first 2>/dev/null || fail "the first one ended too early to say anything"
	case $other in
	second) [ $rc = 75 ] && grep -q 'RECEIVER_BUSY' "$work/said" && grep -q 'second receiver' "$work/said" ;;
	larger) [ $rc != 0 ] && grep -q 'RECEIVER_BUSY\|TARGET_SIZE_DIFFERS' "$work/said" ;;
	esac || fail "$other: status $rc: $(cat "$work/said")"
done
wait $first || fail "the first one was disturbed"
cmp "$work/first" "$target/disk0.raw"
send --whole "$work/second"
cmp "$work/second" "$target/disk0.raw"
