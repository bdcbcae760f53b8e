#!/usr/bin/env bash
# Migrator, receiver, network and the receiver's disk fail at random bytes of 200 copies (KILLS: another number); each
# goes on when the same commands are started again, ends equal with a true journal, and what was durable is not sent
# twice. SEED repeats a run.
# Without a namespace it goes on without disturbances of the disk.
! unshare --mount true 2>/dev/null || export OWN_MOUNTS=${OWN_MOUNTS:-wanted}
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
[ -e /usr/lib/x86_64-linux-gnu/libxxhash.so.0 ] || skip "needs libxxhash"

mkdir "$work/kills"
trap 'clean_up_mounts; clean_up' EXIT
clean_up_mounts() {
	grep -o "^[^ ]* $work/kills/[^ ]*" /proc/mounts | while read -r device mounted; do
		umount "$mounted"
		losetup --detach "$device"
	done || true
}
python3 "$root/tests/e2e/faults/kills.py" --migrator "$MIGRATOR" --receiver "$RECEIVER" --work "$work/kills" \
	--count "${KILLS:-200}" --lanes $(($(nproc) * 2)) ${SEED:+--seed "$SEED"}
