#!/usr/bin/env bash
# SIGKILL of the receiver in the middle. The migrator waits for it and goes on without being started again;
# what was not durable is sent again, what was is not.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

random_image "$work/disk" 96
start_receiver --commit-ms 100
"$MIGRATOR" send --activation "$activation" --json --whole --compression 0 --rate-mbit 50 --patience-s 600 \
	"$work/disk" >"$work/result.json" 2>>"$work/migrator.log" &
pid=$!
may_come_again=0
for durable in 15 30 45; do
	wait_for 600 are_durable $durable || fail "$durable MiB did not become durable"
	safe=$(durable_chunks)
	stop_receiver KILL
	# What has arrived and was not durable, and what was on its way: 4 chunks.
	may_come_again=$((may_come_again + $(stat -c %b "$target/disk0.raw") / 2048 - safe + 4))
	start_receiver --commit-ms 100
done
wait $pid || fail "the migrator did not end well"
cmp "$work/disk" "$target/disk0.raw"
at_least "$(result reconnects)" 1 "reconnects"
at_most "$(result sent_chunks)" $((96 + may_come_again)) "chunks sent, of 96, $may_come_again of which may come again"

# Without patience a lost receiver is "try again", and that goes on too.
stop_receiver KILL
rc=0
"$MIGRATOR" send --activation "$activation" --quiet --whole "$work/disk" 2>>"$work/migrator.log" || rc=$?
[ "$rc" -eq 75 ] || fail "exit status $rc instead of 75"
start_receiver
send --whole "$work/disk"
at_most "$(result sent_chunks)" 0 "chunks sent again after the last restart"
