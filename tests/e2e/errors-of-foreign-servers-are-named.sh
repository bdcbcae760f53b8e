#!/usr/bin/env bash
# A foreign server's errors are told with a code, the place, the server's word and what to do; and with the cause gone
# the same command ends equal.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
command -v nbdkit >/dev/null || skip "no nbdkit"
server=
trap 'stop_server; clean_up' EXIT

random_image "$work/disk" 20
dd if=/dev/zero of="$work/disk" bs=1M seek=4 count=2 conv=notrunc status=none
truncate -s 20M "$work/old"

start_server() { # OPTION...
	rm -f "$work/socket"
	nbdkit -f -U "$work/socket" "$@" 2>>"$work/server.log" &
	server=$!
	wait_for 600 accepts "$work/socket" || fail "nbdkit $* did not start"
}
stop_server() {
	[ -n "$server" ] || return 0
	kill "$server" 2>/dev/null || true
	wait "$server" 2>/dev/null || true
	server=
}
send_there() {
	status=0
	"$MIGRATOR" send --nbd "$work/socket" --whole --quiet "$work/disk" 2>"$work/said" || status=$?
}
# refused STATUS WORDS... -- SERVER-OPTION...
refused() {
	local want=$1 words=()
	shift
	while [ "$1" != -- ]; do
		words+=("$1")
		shift
	done
	shift
	start_server "$@"
	send_there
	stop_server
	[ "$status" -eq "$want" ] || fail "$*: status $status instead of $want: $(cat "$work/said")"
	for word in "${words[@]}"; do
		grep -q -- "$word" "$work/said" || fail "$*: no \"$word\" in: $(cat "$work/said")"
	done
}

# The C library's words for EIO: glibc's, musl's.
eio='\(Input/output\|I/O\) error'

refused 1 TARGET_WRITE_ERROR 'disk disk: .* at byte [0-9]' "$eio" 'Look at its log and its disk' \
	-- --filter=error file "$work/old" error-pwrite-rate=100%
refused 1 TARGET_FULL 'at byte [0-9]' 'Make room' -- --filter=error file "$work/old" error-pwrite=ENOSPC error-pwrite-rate=50%
refused 1 TARGET_WRITE_ERROR 'at byte' -- --filter=error file "$work/old" error-pwrite=EPERM error-pwrite-rate=50%
refused 1 TARGET_WRITE_ERROR "at byte [45][0-9]* ($eio" -- --filter=error file "$work/old" error-zero=EIO error-zero-rate=100%
refused 1 TARGET_WRITE_ERROR 'read-only' -- -r file "$work/old"
refused 1 TARGET_TOO_SMALL 'needs 20971520 bytes' 'larger disk' -- memory 19M
refused 75 RECEIVER_UNREACHABLE 'shuts down' -- --filter=error file "$work/old" error-pwrite=ESHUTDOWN error-pwrite-rate=50%
refused 1 PEER_NOT_NBD 'old negotiation' 'Something else answers' -- --mask-handshake=0 file "$work/old"
refused 1 PEER_NOT_NBD 'Something else answers' -- -o file "$work/old"

# A server that forgets how to write and learns it again is waited for.
touch "$work/inject"
start_server --filter=error file "$work/old" error-pwrite=ESHUTDOWN error-pwrite-rate=100% error-pwrite-file="$work/inject"
"$MIGRATOR" send --nbd "$work/socket" --whole --patience-s 600 "$work/disk" 2>"$work/said" &
pid=$!
wait_for 600 grep -q 'trying again' "$work/said" || fail "it did not try again"
rm "$work/inject"
wait $pid || fail "it did not go on: $(cat "$work/said")"
stop_server
cmp "$work/disk" "$work/old"

# So is one that is killed in the middle and comes back; all is sent again, as it keeps no digests.
truncate -s 0 "$work/old"
truncate -s 20M "$work/old"
start_server file "$work/old"
"$MIGRATOR" send --nbd "$work/socket" --whole --patience-s 600 --rate-mbit 12 "$work/disk" 2>"$work/said" &
pid=$!
wait_for 600 holds_mib "$work/old" 3 || fail "nothing arrived"
kill -9 "$server"
wait "$server" 2>/dev/null || true
start_server file "$work/old"
wait $pid || fail "it did not go on: $(cat "$work/said")"
stop_server
cmp "$work/disk" "$work/old"
