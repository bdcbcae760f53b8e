#!/usr/bin/env bash
# SIGKILL of the receiver in the middle. The migrator waits for it and goes on without being started again;
# what was not durable is sent again, what was is not.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

random_image "$work/disk" 96
start_receiver --commit-ms 100
"$MIGRATOR" send --activation "$activation" --json --whole --compression 0 --rate-mbit 200 --patience-s 60 \
	"$work/disk" >"$work/result.json" 2>>"$work/migrator.log" &
pid=$!
for arrived in 15 30 45; do
	wait_for 120 holds_mib "$target/disk0.raw" $arrived || fail "$arrived MiB did not arrive"
	stop_receiver KILL
	start_receiver --commit-ms 100
done
wait $pid || fail "the migrator did not end well"
cmp "$work/disk" "$target/disk0.raw"
at_least "$(result reconnects)" 1 "reconnects"
# At most a commit interval's worth and what was on its way is lost each time: 2.5 MB and 4 chunks a kill.
at_most "$(result sent_chunks)" 130 "chunks sent, of 96"

# Without patience a lost receiver is "try again", and that goes on too.
stop_receiver KILL
rc=0
"$MIGRATOR" send --activation "$activation" --quiet --whole "$work/disk" 2>>"$work/migrator.log" || rc=$?
[ "$rc" -eq 75 ] || fail "exit status $rc instead of 75"
start_receiver
send --whole "$work/disk"
at_most "$(result sent_chunks)" 0 "chunks sent again after the last restart"
