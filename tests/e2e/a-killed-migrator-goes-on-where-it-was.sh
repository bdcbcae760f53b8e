#!/usr/bin/env bash
# SIGKILL in the middle, several times: each start sends only what was not durable, and the end is equal. The
# rate limit makes the copy last long enough to be killed.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

random_image "$work/disk" 96
start_receiver --commit-ms 100
sent=0
for _ in 1 2 3; do
	"$MIGRATOR" send --activation "$activation" --quiet --whole --compression 0 --rate-mbit 200 "$work/disk" \
		2>>"$work/migrator.log" &
	pid=$!
	sleep 1
	kill -9 $pid
	wait $pid 2>/dev/null || true
done
send --whole --compression 0 "$work/disk"
cmp "$work/disk" "$target/disk0.raw"
sent=$(result sent_chunks)
at_most "$sent" 60 "chunks that the last run sent, of 96"
[ $((sent + $(result skipped_chunks))) -eq 96 ] || fail "$sent sent and $(result skipped_chunks) skipped of 96"
