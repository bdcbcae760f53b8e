#!/usr/bin/env bash
# nbdkit and qemu-nbd refuse our extension: plain WRITE and WRITE_ZEROES then, also over what was there before.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
command -v nbdkit >/dev/null || skip "no nbdkit"

files_image "$work/disk" 30
truncate -s 60M "$work/disk"
printf end | dd of="$work/disk" bs=1 seek=$((59 * mib)) conv=notrunc status=none

# try SERVER... : a server on $work/socket that serves $work/old
try() {
	head -c $((60 * mib)) /dev/urandom >"$work/old"
	rm -f "$work/socket"
	"$@" 2>>"$work/server.log" &
	server=$!
	wait_for 10 test -S "$work/socket" || fail "$1 did not start"
	"$MIGRATOR" send --nbd "$work/socket" --whole --quiet "$work/disk" 2>>"$work/migrator.log" ||
		fail "sending to $*"
	kill $server
	wait $server 2>/dev/null || true
	cmp "$work/disk" "$work/old"
}

try nbdkit -f -U "$work/socket" file "$work/old"
try nbdkit -f -U "$work/socket" --filter=nozero file "$work/old"
try nbdkit -f -U "$work/socket" --filter=noparallel file "$work/old"
if command -v qemu-nbd >/dev/null; then
	try qemu-nbd -t -k "$work/socket" -f raw -e 8 "$work/old"
fi

rm -f "$work/socket"
nbdkit -f -U "$work/socket" --filter=error file "$work/old" error-pwrite=ENOSPC error-pwrite-rate=20% 2>/dev/null &
server=$!
wait_for 10 test -S "$work/socket" || fail "nbdkit did not start"
rc=0
"$MIGRATOR" send --nbd "$work/socket" --whole --quiet "$work/disk" 2>"$work/error.log" || rc=$?
kill $server
[ "$rc" -eq 1 ] && grep -q TARGET_FULL "$work/error.log" || fail "ENOSPC: status $rc, $(cat "$work/error.log")"
