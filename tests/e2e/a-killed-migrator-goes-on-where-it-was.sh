#!/usr/bin/env bash
# SIGKILL in the middle, several times: each start sends only what was not durable, and the end is equal. The
# rate limit makes the copy last long enough to be killed.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

random_image "$work/disk" 96
start_receiver --commit-ms 100
for arrived in 15 30 45; do
	"$MIGRATOR" send --activation "$activation" --quiet --whole --compression 0 --rate-mbit 200 "$work/disk" \
		2>>"$work/migrator.log" &
	pid=$!
	wait_for 120 holds_mib "$target/disk0.raw" $arrived || fail "$arrived MiB did not arrive"
	kill -9 $pid
	wait $pid 2>/dev/null || true
done
send --whole --compression 0 "$work/disk"
cmp "$work/disk" "$target/disk0.raw"
sent=$(result sent_chunks)
# 45 had arrived; each kill may lose what was not committed: a tenth of a second and 4 chunks on their way.
at_most "$sent" 75 "chunks that the last run sent, of 96"
[ $((sent + $(result skipped_chunks))) -eq 96 ] || fail "$sent sent and $(result skipped_chunks) skipped of 96"
