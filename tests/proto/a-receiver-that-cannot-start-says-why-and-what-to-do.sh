#!/usr/bin/env bash
# Directories that are none, that may not be written to, are read-only or full, targets that are not there, addresses and
# ports that cannot be had, a second receiver on the same files: each ends with its code, the object's name and advice.
# shellcheck source=tests/proto/lib-receiver.sh
. "$(dirname "$0")/lib-receiver.sh"
requires setpriv unshare mount
[ "$(id -u)" = 0 ] || { echo "needs root, to become nobody and to mount"; exit 77; }
unshare -m mount -t tmpfs tmpfs "$work" 2>/dev/null || { echo "mounting a tmpfs is not allowed here"; exit 77; }
shipped=build/musl/receiver
[ -x "$shipped" ] || { echo "needs $shipped, which nobody can run"; exit 77; }
cp "$shipped" "$work/receiver"
chmod 755 "$work" "$work/receiver"
tried=0

# refuses CODE WORDS ADVICE COMMAND...
refuses() {
	local code=$1 words=$2 advice=$3 status=0
	shift 3
	timeout 300 "$@" >"$work/said.out" 2>"$work/said" || status=$?
	[ "$status" = 1 ] || { echo "$code, $words: status $status: $(cat "$work/said")"; exit 1; }
	for what in "^receiver serve: $code: " "$words" "$advice"; do
		grep -q -- "$what" "$work/said" || { echo "no \"$what\" in: $(cat "$work/said")"; exit 1; }
	done
	[ ! -s "$work/said.out" ] || { echo "$code: it says how to reach it: $(cat "$work/said.out")"; exit 1; }
	tried=$((tried + 1))
}
with() { # STATE FILES [OPTION...]: the command
	local state=$1 files=$2
	shift 2
	serve=("$program" serve --state "$state" --files "$files" --listen 127.0.0.1 --control-port 0 --data-port 0 "$@")
}
nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs)

# Directories.
: >"$work/file"
with "$work/file" "$work/f"
refuses STATE_UNUSABLE "$work/file cannot be used" 'name with --state' "${serve[@]}"
with "$work/no/such" "$work/f"
refuses STATE_UNUSABLE "$work/no/such cannot be used.*No such" 'name with --state' "${serve[@]}"
with "$work/s" "$work/file"
refuses TARGET_UNUSABLE "$work/file cannot be used" 'name with --files' "${serve[@]}"
with "$work/s" "$work/no/such"
refuses TARGET_UNUSABLE "$work/no/such cannot be used" 'name with --files' "${serve[@]}"
rm -rf "$work/s"

# As another user.
program=$work/receiver
mkdir "$work/mine" "$work/theirs"
chown 65534:65534 "$work/theirs"
with "$work/mine" "$work/theirs"
refuses STATE_UNUSABLE "$work/mine cannot be used.*write to.*Permission denied" 'name with --state' "${nobody[@]}" "${serve[@]}"
with "$work/theirs" "$work/mine"
refuses TARGET_UNUSABLE "$work/mine cannot be used.*write to.*Permission denied" 'name with --files' "${nobody[@]}" "${serve[@]}"
with "$work/theirs/state" "$work/theirs/files" --control-port 80
if [ "$(cat /proc/sys/net/ipv4/ip_unprivileged_port_start)" -gt 80 ]; then
	refuses LISTEN_FAILED 'port 80: Permission denied' '1024 and above' "${nobody[@]}" "${serve[@]}"
fi

# Read-only, and full.
on_tmpfs() { # OPTIONS [fill]: sets the beginning of a command that has such a tmpfs at $work/theirs
	# shellcheck disable=SC2016 # for the inner shell
	own=(unshare -m sh -c 'mount -t tmpfs -o "$1" tmpfs "$2" || exit 77
		[ -z "$3" ] || head -c 1M /dev/zero >"$2/ballast" 2>/dev/null || true
		shift 3
		exec "$@"' sh "$1" "$work/theirs" "${2-}")
}
on_tmpfs ro
with "$work/theirs" "$work/mine"
refuses STATE_UNUSABLE "$work/theirs cannot be used.*Read-only" 'not read-only' "${own[@]}" "${serve[@]}"
with "$work/mine" "$work/theirs"
refuses TARGET_UNUSABLE "$work/theirs cannot be used.*Read-only" 'name with --files' "${own[@]}" "${serve[@]}"
rm -rf "$work/mine"
on_tmpfs size=64k fill
with "$work/theirs" "$work/mine"
refuses TARGET_FULL "$work/theirs cannot be used.*No space left" 'Make room on the receiver' "${own[@]}" "${serve[@]}"

# Devices.
with "$work/s" -
serve=("$program" serve --state "$work/s" --listen 127.0.0.1 --control-port 0 --data-port 0)
refuses TARGET_UNUSABLE "$work/none is not there" 'with --device' "${serve[@]}" --device "$work/none"
refuses TARGET_UNUSABLE "$work/file" 'with --device' "${serve[@]}" --device "$work/file"

# Addresses and ports.
with "$work/s" "$work/f"
refuses LISTEN_FAILED 'nowhere is not an address' 'an address of this machine' "${serve[@]}" --listen nowhere
refuses LISTEN_FAILED '192.0.2.1' 'an address of this machine' "${serve[@]}" --listen 192.0.2.1
start_receiver
refuses PORT_IN_USE "port $control_port" 'give another' "${serve[@]}" --control-port "$control_port"
refuses PORT_IN_USE "port $data_port" 'give another' "${serve[@]}" --data-port "$data_port"

# Two on one directory of files, before there is a disk in it; and the next one, when the first is killed.
with "$work/s" "$work/files"
refuses TARGET_IN_USE "the files in $work/files" 'name other targets' "${serve[@]}"
end_receiver KILL
start_receiver
[ "$tried" -ge 15 ]
