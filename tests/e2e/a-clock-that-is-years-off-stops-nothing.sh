#!/usr/bin/env bash
# The source's clock, or the receiver's, is decades off, before 1990 or behind 2038: the certificate is taken for its key,
# the code lives as long as it should, and the copy ends equal. A receiver that was started in the past and again in the
# present has an expired code, says so, and what it says to do works.
# (The programs of the tests, as a clock can be laid over these.)
build=$(cd "$(dirname "$0")/../.." && pwd)/build
[ -x "$build/asan/migrator" ] && [ -x "$build/asan/receiver" ] || build=$build/none
MIGRATOR=$build/asan/migrator RECEIVER=$build/asan/receiver
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
command -v gcc >/dev/null || skip "needs gcc"

gcc -O1 -shared -fPIC -o "$work/clock.so" "$root/tests/e2e/faults/clock.c"
asan=$(gcc -print-file-name=libasan.so)
random_image "$work/disk" 8
year=31557600
past=$((-40 * year)) future=$((30 * year))
# at OFFSET COMMAND...
at() {
	local off=$1
	shift
	CLOCK_OFF_S=$off LD_PRELOAD="$asan $work/clock.so" ASAN_OPTIONS=detect_leaks=0 "$@"
}
cat >"$work/receiver" <<END
#!/bin/sh
exec env CLOCK_OFF_S=\${RECEIVER_OFF:-0} LD_PRELOAD="$asan $work/clock.so" ASAN_OPTIONS=detect_leaks=0 "$RECEIVER" "\$@"
END
chmod +x "$work/receiver"
RECEIVER=$work/receiver
says_year() { # OFFSET YEARS-PATTERN: or the clock was not laid over
	at "$1" "$MIGRATOR" send --activation "$activation" --whole "$work/disk" 2>"$work/migrator.log" || fail "$(cat "$work/migrator.log")"
	grep -qE "^$2-" "$work/migrator.log" || fail "the clock is not off: $(head -n 2 "$work/migrator.log")"
}

# The source's clock.
start_receiver
says_year $past '19[89].'
cmp "$work/disk" "$target/disk0.raw"
random_image "$work/disk" 8
says_year $future '205.'
cmp "$work/disk" "$target/disk0.raw"
stop_receiver

# The receiver's, from its first start on: key, certificate and token are made then.
for off in $past $future; do
	rm -rf "$work/state" "$target"
	control_port='' data_port=''
	export RECEIVER_OFF=$off
	: >"$work/receiver.log"
	start_receiver
	send --whole "$work/disk"
	cmp "$work/disk" "$target/disk0.raw"
	grep -qE '^(19[89]|205).-' "$work/receiver.log" || fail "the receiver's clock is not off: $(head -n 2 "$work/receiver.log")"
	stop_receiver
	start_receiver
	send --whole "$work/disk"
	stop_receiver
done

# From the future to the present: nothing has passed. The certificate begins years from now.
export RECEIVER_OFF=0
start_receiver
send --whole "$work/disk"
stop_receiver

# From the past to the present while it was down: nobody can know that the days have not passed.
rm -rf "$work/state" "$target"
export RECEIVER_OFF=$past
start_receiver
send --whole "$work/disk"
stop_receiver
export RECEIVER_OFF=0
start_receiver
rc=0
: >"$work/migrator.log"
send --whole "$work/disk" || rc=$?
[ "$rc" -eq 1 ] || fail "status $rc instead of 1: $(cat "$work/migrator.log")"
for words in TOKEN_REFUSED 'expired' 'remove token.json'; do
	grep -q -- "$words" "$work/migrator.log" || fail "no \"$words\" in $(cat "$work/migrator.log")"
done
stop_receiver
rm "$work/state/token.json"
start_receiver
send --whole "$work/disk"
cmp "$work/disk" "$target/disk0.raw"
