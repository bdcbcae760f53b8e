#!/usr/bin/env bash
# nbdkit and qemu-nbd refuse our extension: plain WRITE and WRITE_ZEROES then, also over what was there before, and
# whatever else they lack: zeros, extents, structured replies, several connections, small blocks, haste.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
command -v nbdkit >/dev/null || skip "no nbdkit"
server=
trap 'stop_server; clean_up' EXIT

files_image "$work/disk" 30
truncate -s 60M "$work/disk"
printf end | dd of="$work/disk" bs=1 seek=$((59 * mib)) conv=notrunc status=none

start_server() { # SERVER...
	rm -f "$work/socket"
	"$@" 2>>"$work/server.log" &
	server=$!
	wait_for 600 accepts "$work/socket" || fail "$* did not start"
}
stop_server() {
	[ -n "$server" ] || return 0
	kill "$server" 2>/dev/null || true
	wait "$server" 2>/dev/null || true
	server=
}
push() {
	"$MIGRATOR" send --nbd "$work/socket" --whole --quiet "$work/disk" 2>>"$work/migrator.log"
}
# try SERVER... : a server on $work/socket that serves $work/old
try() {
	head -c $((60 * mib)) /dev/urandom >"$work/old"
	start_server "$@"
	push || fail "sending to $*"
	stop_server
	cmp "$work/disk" "$work/old" || fail "$*"
}

kit() { # FILTER-OR-OPTION... -- PARAMETER...
	local options=()
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	try nbdkit -f -U "$work/socket" "${options[@]}" file "$work/old" "$@"
}
kit --
kit --filter=nozero --
kit --filter=nozero -- zeromode=notrim
kit --filter=noextents --
kit --filter=noparallel --
kit --filter=multi-conn -- multi-conn-mode=disable
kit --filter=fua -- fuamode=discard
kit --filter=delay -- wdelay=10ms
kit --no-sr --
kit --filter=blocksize-policy -- blocksize-preferred=4096 blocksize-maximum=64K blocksize-error-policy=error
# What the server mends itself need not trouble us.
kit --filter=retry-request --filter=error -- retry-request-retries=9 retry-request-delay=1 error-pwrite=EIO error-pwrite-rate=10%
if command -v qemu-nbd >/dev/null; then
	try qemu-nbd -t -k "$work/socket" -f raw -e 8 "$work/old"
	try qemu-nbd -t -k "$work/socket" -f raw -e 1 --discard=unmap --detect-zeroes=unmap "$work/old"
fi

# Into memory, and back.
start_server nbdkit -f -U "$work/socket" memory 60M
push || fail "sending into memory"
nbdcopy "nbd+unix:///?socket=$work/socket" "$work/back"
stop_server
cmp "$work/disk" "$work/back"
