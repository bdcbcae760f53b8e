#!/usr/bin/env bash
# The receiver's file system has less room than the disk needs, at first not even enough for the journal. That is said
# with what to do, and when there is room, the next run goes on: the receiver is not started again.
export OWN_MOUNTS=${OWN_MOUNTS:-wanted}
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir "$work/small"
mount -t tmpfs -o size=24m tmpfs "$work/small" 2>/dev/null || skip "mounting a tmpfs is not allowed here"
trap 'stop_receiver; umount "$work/small"; clean_up' EXIT
random_image "$work/disk" 40
# Zeros need no room on the target, only a record of them does.
dd if=/dev/zero of="$work/disk" bs=1M count=8 conv=notrunc status=none
mkdir "$work/small/state"
ln -s small/state "$work/state"
# shellcheck disable=SC2034 # of lib.sh
target=$work/small
start_receiver --commit-ms 50

refused_as_full() { # WHEN
	local rc=0
	send --whole --compression 0 "$work/disk" || rc=$?
	[ "$rc" -eq 1 ] || fail "$1: exit status $rc instead of 1"
	grep -q 'TARGET_FULL' "$work/migrator.log" || fail "$1: not said to be full"
	grep -q 'Make room on the receiver' "$work/migrator.log" || fail "$1: not said what to do"
	rm "$work/migrator.log"
}
arrived_mib() {
	echo $(($(stat -c %b "$target/disk0.raw") / 2048))
}

head -c 24M /dev/zero >"$work/small/ballast" 2>/dev/null || true
truncate -s -64K "$work/small/ballast"
refused_as_full "without room for the journal"
at_most "$(arrived_mib)" 1 "MiB that arrived"
rm "$work/small/ballast"
refused_as_full "with room for a part"
at_least "$(arrived_mib)" 10 "MiB that arrived"
# Those that were on their way when it became full arrived in part.
there=$(python3 - "$work/disk" "$target/disk0.raw" <<'END'
import sys
a, b = (open(p, "rb").read() for p in sys.argv[1:])
print(sum(a[i << 20 : i + 1 << 20] == b[i << 20 : i + 1 << 20] for i in range(8, 40)))
END
)
mount -o remount,size=64m "$work/small"
send --whole --compression 0 "$work/disk"
cmp "$work/disk" "$target/disk0.raw"
at_most "$(result sent_chunks)" $((32 - there)) "chunks that the last run sent, of 32"
