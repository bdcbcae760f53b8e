#!/usr/bin/env bash
# The receiver's disk goes away in the middle (its file system is shut down, so that every write fails): the migrator ends
# with a code, the place and what to do; with the disk back and the receiver started again, the same command ends equal and
# sends no more than what was not durable.
export OWN_MOUNTS=${OWN_MOUNTS:-wanted}
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir "$target"
truncate -s 200M "$work/target.img"
mkfs.ext4 -q -m 0 "$work/target.img"
loop=$(losetup --find --show "$work/target.img" 2>/dev/null) || skip "no loop device for us here"
trap 'stop_receiver; umount "$target" 2>/dev/null || true; losetup --detach "$loop"; clean_up' EXIT
mount "$loop" "$target" || skip "mounting is not allowed here"
random_image "$work/disk" 96

start_receiver --commit-ms 100
"$MIGRATOR" send --activation "$activation" --quiet --whole --compression 0 --rate-mbit 40 "$work/disk" 2>"$work/said" &
pid=$!
wait_for 600 holds_mib "$target/disk0.raw" 20 || fail "nothing arrived"
wait_for 600 are_durable 5 || fail "nothing is durable"
safe=$(durable_chunks)
python3 -c 'import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack("I", 2))' "$target"
rc=0
wait $pid || rc=$?
[ "$rc" -eq 1 ] || fail "status $rc instead of 1: $(cat "$work/said")"
for words in TARGET_WRITE_ERROR 'disk disk: ' "Look at its log and its disk"; do
	grep -q -- "$words" "$work/said" || fail "no \"$words\" in $(cat "$work/said")"
done
grep -q 'disk0' "$work/receiver.log" || fail "the receiver's log does not name its disk: $(cat "$work/receiver.log")"

# It is still gone: said again, at once, and nothing more is lost by trying.
rc=0
timeout 600 "$MIGRATOR" send --activation "$activation" --quiet --whole --compression 0 "$work/disk" 2>"$work/said" || rc=$?
[ "$rc" -eq 1 ] || fail "with the disk gone: status $rc instead of 1: $(cat "$work/said")"
grep -qE '^migrator send: [A-Z_]+: ' "$work/said" || fail "no code: $(cat "$work/said")"
stop_receiver

umount "$target"
mount "$loop" "$target"
start_receiver
send --whole --compression 0 "$work/disk"
cmp "$work/disk" "$target/disk0.raw"
at_most "$(result sent_chunks)" $((96 - safe)) "chunks that the last run sent, of 96"
