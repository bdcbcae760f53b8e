# Sourced by the tests of this folder: a receiver on loopback with sparse files, and a migrator that sends
# to it. Ends everything it started, and removes its folder, on any exit. Programs come from build/musl when
# that is there (what ships), else from build/host; MIGRATOR and RECEIVER name others.
#
# A test that mounts says OWN_MOUNTS=${OWN_MOUNTS:-wanted} before it sources this, and is started again in a mount namespace
# of its own: one that another test makes meanwhile would hold a copy of the mount, so that umount unmounts nothing.
# shellcheck shell=bash
set -eu
export PATH=$PATH:/usr/sbin:/sbin
if [ "${OWN_MOUNTS:-}" = wanted ]; then
	unshare --mount true 2>/dev/null || { echo "a mount namespace is not allowed here" && exit 77; }
	OWN_MOUNTS=given exec unshare --mount "$0"
fi

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$root/build/musl
[ -x "$build/migrator" ] && [ -x "$build/receiver" ] || build=$root/build/host
MIGRATOR=${MIGRATOR:-$build/migrator}
RECEIVER=${RECEIVER:-$build/receiver}
work=$(mktemp -d "${TMPDIR:-/tmp}/e2e.XXXXXX")
target=$work/target
receiver_pid='' control_port='' data_port='' activation=''

clean_up() {
	local rc=$?
	stop_receiver
	[ $rc -eq 0 ] || [ $rc -eq 77 ] || tail -n 20 "$work"/*.log 2>/dev/null
	rm -rf "$work"
}
trap clean_up EXIT

fail() {
	echo "FAILED: $*"
	exit 1
}

skip() {
	echo "$*"
	exit 77
}

[ -x "$MIGRATOR" ] && [ -x "$RECEIVER" ] || skip "no programs: make host-programs"

# Below the ports that connections and port 0 take: one that a receiver comes back to must not be another's meanwhile.
free_port() {
	local port
	while port=$((20000 + RANDOM % 12000)) && (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
	echo "$port"
}

receiver_speaks() {
	grep -q '^activation: ' "$work/receiver.out" && return
	kill -0 "$receiver_pid" 2>/dev/null || fail "the receiver ended"
	return 1
}

# start_receiver [OPTION...]: the first start chooses ports, a later one takes them again.
start_receiver() {
	mkdir -p "$work/state" "$target"
	: >"$work/receiver.out"
	control_port=${control_port:-$(free_port)} data_port=${data_port:-$(free_port)}
	while [ "$data_port" = "$control_port" ]; do data_port=$(free_port); done
	"$RECEIVER" serve --state "$work/state" --files "$target" --listen 127.0.0.1 --advertise 127.0.0.1 \
		--control-port "$control_port" --data-port "$data_port" "$@" \
		>"$work/receiver.out" 2>>"$work/receiver.log" &
	receiver_pid=$!
	wait_for 600 receiver_speaks || true
	control_port=$(sed -n 's/^control: port //p' "$work/receiver.out")
	data_port=$(sed -n 's/^data: port //p' "$work/receiver.out")
	activation=$(sed -n 's/^activation: //p' "$work/receiver.out")
	[ -n "$activation" ] || fail "the receiver printed no activation code"
}

# stop_receiver [SIGNAL]
# shellcheck disable=SC2120
stop_receiver() {
	[ -n "$receiver_pid" ] || return 0
	kill "-${1:-TERM}" "$receiver_pid" 2>/dev/null || true
	wait "$receiver_pid" 2>/dev/null || true
	receiver_pid=''
}

# send [OPTION...] IMAGE...: the result as JSON goes to $work/result.json.
send() {
	"$MIGRATOR" send --activation "$activation" --quiet --json "$@" >"$work/result.json" 2>>"$work/migrator.log"
}

# result KEY: of the first disk of the last result.
result() {
	sed -n "s/^ *\"$1\": \([0-9]*\),*\$/\1/p" "$work/result.json" | head -n 1
}

# at_most A B WHAT, at_least A B WHAT
at_most() {
	[ "$1" -le "$2" ] || fail "$3: $1 is more than $2"
}

at_least() {
	[ "$1" -ge "$2" ] || fail "$3: $1 is less than $2"
}

mib=1048576

# random_image FILE MIB
random_image() {
	head -c $(($2 * mib)) /dev/urandom >"$1"
}

# Text-like bytes, which compress about as well as files do: programs and libraries of this machine.
# files_image FILE MIB
files_image() {
	{ find /usr/bin /usr/lib /usr/sbin -xdev -type f -size -4M -print0 | sort -z |
		xargs -0 cat 2>/dev/null || true; } | head -c $(($2 * mib)) >"$1"
	truncate -s $(($2 * mib)) "$1"
}

# holds_mib FILE MIB: so much of a sparse file is allocated.
holds_mib() {
	[ -f "$1" ] && [ $(($(stat -c %b "$1") * 512)) -ge $(($2 * mib)) ]
}

# durable_chunks: of the first disk, as the receiver promises them.
durable_chunks() {
	curl -sS --cacert "$work/state/cert.pem" -H "Authorization: Bearer $(sed -n 's/.*"token": "\([0-9a-f]*\)".*/\1/p' "$work/state/token.json")" \
		"https://127.0.0.1:$control_port/v1/target" | sed -n 's/.*"durable_chunks": \([0-9]*\).*/\1/p' | head -n 1
}

are_durable() { # AT-LEAST
	local now
	now=$(durable_chunks)
	[ "${now:-0}" -ge "$1" ]
}

# wait_for SECONDS COMMAND...: until the command succeeds. The seconds end what hangs; nothing is judged by them.
wait_for() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.05
	done
}

# accepts SOCKET: somebody listens there. The file is there before that.
accepts() {
	awk -v path="$1" '$4 == "00010000" && $8 == path { found = 1 } END { exit !found }' /proc/net/unix
}
