#!/usr/bin/env bash
# Block devices as targets: sizes are checked against the plan, two receivers cannot have one device, what was written is there.
# shellcheck source=tests/proto/lib-receiver.sh
. "$(dirname "$0")/lib-receiver.sh"
requires nbdcopy losetup
[ "$(id -u)" = 0 ] || { echo "needs root for a loop device"; exit 77; }
truncate -s 64M "$work/zero" "$work/one"
head -c 67108864 /dev/urandom >"$work/zero" # what stood there before
a=$(losetup -f --show "$work/zero") || { echo "no loop devices here"; exit 77; }
b=$(losetup -f --show "$work/one")
trap 'clean_up_devices' EXIT
clean_up_devices() {
	status=$?
	end_receiver TERM
	losetup -d "$a" "$b"

	clean_up "$status"
	exit "$status"
}
targets=(--device "$a" --device "$b")
start_receiver --commit-ms 50
control GET /v1/target | grep -q '"kind": "devices"'
control PUT /v1/artefact/plan.json '{"disks":[{"index":0,"target_bytes":67108864},{"index":1,"target_bytes":67109376}]}' |
	grep -q TARGET_TOO_SMALL
put_plan 67108864 33554432
refused "$program" serve --state "$work/state2" --device "$a" --listen 127.0.0.1 --control-port 0 --data-port 0
grep -q TARGET_IN_USE "$work/refusal"
head -c 67108864 /dev/urandom >"$work/image"
dd if=/dev/zero of="$work/image" bs=1M seek=10 count=20 conv=notrunc status=none
nbdcopy --connections=3 --flush "$work/image" "$(uri "$token/disk0")"
end_receiver KILL
cmp "$work/image" "$a"
start_receiver
nbdcopy "$(uri "$token/disk0")" "$work/back"
cmp "$work/image" "$work/back"
# The keeper opened them before it gave up the right to; now it is nobody who could.
keeper=$(pgrep -P "$receiver_pid" -x recv-keeper)
grep -qx "CapEff:.0000000000000000" "/proc/$keeper/status" || { echo "the keeper has capabilities"; exit 1; }
! grep -q "^Uid:.0" "/proc/$keeper/status" || { echo "the keeper is root"; exit 1; }
find "/proc/$keeper/fd" -lname "$a" | grep -q . || { echo "the keeper has no device"; exit 1; }
status=0
python3 tests/proto/call_in.py "$keeper" "open:$a" >"$work/tried" || status=$?
[ $status = 77 ] || grep -q -- '-Permission denied' "$work/tried" || { echo "the keeper can open it: $(cat "$work/tried")"; exit 1; }
# A device that is not there is said at the start.
end_receiver TERM
refused "$program" serve --state "$work/state3" --device "$work/nothing" --listen 127.0.0.1 --control-port 0 --data-port 0
grep -q "$work/nothing" "$work/refusal" || { cat "$work/refusal"; exit 1; }
