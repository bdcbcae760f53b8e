#!/usr/bin/env bash
# SIGKILL in the middle, several times: each start sends only what was not durable, and the end is equal. The
# rate limit makes the copy last long enough to be killed: 10 seconds are left when 45 MiB are there.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

random_image "$work/disk" 96
start_receiver --commit-ms 100
for durable in 15 30 45; do
	"$MIGRATOR" send --activation "$activation" --quiet --whole --compression 0 --rate-mbit 40 "$work/disk" \
		2>>"$work/migrator.log" &
	pid=$!
	wait_for 600 are_durable $durable || fail "$durable MiB did not become durable"
	kill -9 $pid
	wait $pid 2>/dev/null || true
done
safe=$(durable_chunks)
send --whole --compression 0 "$work/disk"
cmp "$work/disk" "$target/disk0.raw"
sent=$(result sent_chunks)
at_most "$sent" $((96 - safe)) "chunks that the last run sent, of 96, $safe of which were durable"
[ $((sent + $(result skipped_chunks))) -eq 96 ] || fail "$sent sent and $(result skipped_chunks) skipped of 96"
