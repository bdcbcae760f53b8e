#!/usr/bin/env bash
# When the receiver's file system is full, the writer is told so and nothing false is known; with room made, it goes on.
# shellcheck source=tests/proto/lib-receiver.sh
. "$(dirname "$0")/lib-receiver.sh"
requires nbdcopy
[ "$(id -u)" = 0 ] || { echo "needs root to mount a small file system"; exit 77; }
mkdir "$work/small"
mount -t tmpfs -o size=24m tmpfs "$work/small" || { echo "cannot mount here"; exit 77; }
trap 'clean_up_mount' EXIT
clean_up_mount() {
	status=$?
	end_receiver TERM
	umount "$work/small" || true
	clean_up "$status"
	exit "$status"
}
targets=(--files "$work/small")
start_receiver --commit-ms 50
put_plan 33554432
head -c 33554432 /dev/urandom >"$work/image"
refused nbdcopy "$work/image" "$(uri "$token/disk0")"
grep -qi 'no space left' "$work/refusal"
kill -0 "$receiver_pid"
mount -o remount,size=64m "$work/small"
nbdcopy --flush "$work/image" "$(uri "$token/disk0")"
cmp "$work/image" "$work/small/disk0.raw"
