#!/usr/bin/env bash
# The target's file system has less room than the disk needs.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir "$work/small"
mount -t tmpfs -o size=24m tmpfs "$work/small" 2>/dev/null || skip "mounting a tmpfs is not allowed here"
trap 'stop_receiver; umount "$work/small"; clean_up' EXIT
random_image "$work/disk" 40
# shellcheck disable=SC2034 # of lib.sh
target=$work/small
start_receiver
rc=0
send --whole --compression 0 "$work/disk" || rc=$?
[ "$rc" -eq 1 ] || fail "exit status $rc instead of 1"
grep -q 'TARGET_FULL' "$work/migrator.log" || fail "not said to be full"
