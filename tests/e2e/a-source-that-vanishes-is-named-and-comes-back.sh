#!/usr/bin/env bash
# The source's disk goes away in the middle (its file system is shut down, so that every read fails): the copy ends
# with a code, the disk and what to do, after some patience; with the disk back, the same command sends only what is lacking.
export OWN_MOUNTS=${OWN_MOUNTS:-wanted}
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir "$work/source"
truncate -s 160M "$work/source.img"
mkfs.ext4 -q -m 0 "$work/source.img"
loop=$(losetup --find --show "$work/source.img" 2>/dev/null) || skip "no loop device for us here"
trap 'stop_receiver; umount "$work/source" 2>/dev/null || true; losetup --detach "$loop"; clean_up' EXIT
mount "$loop" "$work/source" || skip "mounting is not allowed here"
random_image "$work/source/disk" 96
cp "$work/source/disk" "$work/expected"
sync -f "$work/source"
# What is in the page cache would still be readable.
umount "$work/source"
mount "$loop" "$work/source"

start_receiver --commit-ms 100
"$MIGRATOR" send --activation "$activation" --quiet --whole --compression 0 --memory-mib 24 --rate-mbit 30 --rescue-s 15 "$work/source/disk" \
	2>"$work/said" &
pid=$!
wait_for 600 holds_mib "$target/disk0.raw" 10 || fail "nothing arrived"
python3 -c 'import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack("I", 2))' "$work/source"
rc=0
wait $pid || rc=$?
[ "$rc" -eq 1 ] || fail "status $rc instead of 1: $(cat "$work/said")"
for words in SOURCE_LOST 'disk disk does not answer' 'cable, power and controller'; do
	grep -q -- "$words" "$work/said" || fail "no \"$words\" in $(cat "$work/said")"
done

umount "$work/source"
mount "$loop" "$work/source"
send --whole --compression 0 "$work/source/disk"
cmp "$work/expected" "$target/disk0.raw"
at_most "$(result sent_chunks)" 88 "chunks that the last run sent, of 96"
