#!/usr/bin/env bash
# Two migrators with one activation code: the second waits some seconds, as the first may just be leaving, then it is told
# that the receiver is busy and what to do, nothing of it arrives, the first ends equal; and after it the second one's turn comes.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

# At 8 Mbit/s the first one takes 40 seconds; the second one is told after ten.
random_image "$work/first" 40
random_image "$work/second" 40
start_receiver --commit-ms 50
"$MIGRATOR" send --activation "$activation" --quiet --whole --compression 0 --rate-mbit 8 "$work/first" 2>"$work/first.log" &
pid=$!
wait_for 600 holds_mib "$target/disk0.raw" 2 || fail "nothing arrived"
rc=0
send --whole "$work/second" || rc=$?
[ "$rc" -eq 75 ] || fail "status $rc instead of 75: $(cat "$work/migrator.log")"
for words in RECEIVER_BUSY 'another source is writing' 'Wait for it'; do
	grep -q -- "$words" "$work/migrator.log" || fail "no \"$words\" in $(cat "$work/migrator.log")"
done
wait $pid || fail "the first one was disturbed: $(cat "$work/first.log")"
send --whole "$work/second"
cmp "$work/second" "$target/disk0.raw"
send --whole "$work/first"
cmp "$work/first" "$target/disk0.raw"
