#!/usr/bin/env bash
# ext4 and XFS that the kernel has written: files made, deleted and made again. The copy has the same files,
# passes its checker, and holds nothing that was deleted. One that was not unmounted is copied whole.
export OWN_MOUNTS=${OWN_MOUNTS:-wanted}
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir "$work/mnt" "$work/got"
trap 'umount "$work/mnt" "$work/got" 2>/dev/null || true; clean_up' EXIT

check_of() {
	case $1 in
	ext4) e2fsck -fn "$2" ;;
	xfs) xfs_repair -n "$2" ;;
	esac
}

try() {
	local type=$1 mkfs=$2 twin=ro
	[ "$type" != xfs ] || twin=ro,nouuid
	rm -rf "$work/disk" "$work/dirty" "$work/state" "$target"
	control_port='' data_port=''
	truncate -s 500M "$work/disk"
	"mkfs.$type" "$mkfs" "$work/disk"
	mount -o loop "$work/disk" "$work/mnt" 2>/dev/null || skip "$type cannot be mounted from a file here"
	yes 'this was deleted long ago' | head -c 60000000 >"$work/mnt/junk"
	cp -a /etc "$work/mnt/"
	sync -f "$work/mnt"
	rm "$work/mnt/junk"
	head -c 3000000 /dev/urandom >"$work/mnt/data"
	setfattr -n user.colour -v green "$work/mnt/data" 2>/dev/null || true
	truncate -s 100M "$work/mnt/sparse"
	sync -f "$work/mnt"
	cp --sparse=always "$work/disk" "$work/dirty"
	umount "$work/mnt"
	grep -qa 'deleted long ago' "$work/disk" || fail "the sample holds no deleted bytes"

	start_receiver
	send "$work/disk"
	at_most "$(result read_bytes)" $((150 * mib)) "$type: bytes read of 500 MiB"
	! grep -qa 'deleted long ago' "$target/disk0.raw" || fail "$type: deleted bytes were copied"
	check_of "$type" "$target/disk0.raw" >/dev/null 2>&1 || fail "$type: the copy is not clean"
	mount -o loop,ro "$work/disk" "$work/mnt"
	mount -o "loop,$twin" "$target/disk0.raw" "$work/got"
	diff -r --no-dereference "$work/mnt" "$work/got" >/dev/null || fail "$type: other files"
	umount "$work/mnt" "$work/got"

	send "$work/dirty"
	cmp "$work/dirty" "$target/disk0.raw"
	grep -q 'was not replayed' "$work/migrator.log" || fail "$type: nothing was said about the journal"
	stop_receiver
}

try ext4 -qF
if command -v mkfs.xfs >/dev/null && command -v xfs_repair >/dev/null; then
	try xfs -q
fi
