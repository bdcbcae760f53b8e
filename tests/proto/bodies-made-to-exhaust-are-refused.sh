#!/usr/bin/env bash
# Lists in lists, lists of nothing without end: whoever has the token is told that such a body is none, the receiver's
# memory stays what it is, and it goes on serving. The program that ships: it has its stacks, and no sanitizer's hoard.
RECEIVER=${RECEIVER:-build/musl/receiver}
# shellcheck source=tests/proto/lib-receiver.sh
. "$(dirname "$0")/lib-receiver.sh"
requires curl python3
start_receiver
put_plan 3145728

python3 -c 'print("{\"a\":" + "[" * 2040 + "]" * 2040 + "}", end="")' >"$work/deep"
python3 -c 'print("{\"disks\":[" + "[]," * 5000000 + "[]]}", end="")' >"$work/many"
peak_kib() {
	sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$receiver_pid/status"
}
before=$(peak_kib)
for where in 'PUT /v1/artefact/plan.json' 'PUT /v1/artefact/verify.json' 'POST /v1/state' 'POST /v1/command' 'POST /v1/image'; do
	read -r method path <<<"$where"
	control "$method" "$path" "@$work/deep" >"$work/said"
	grep -q 'in one another' "$work/said" || { echo "$where: $(cat "$work/said")"; exit 1; }
done
control PUT /v1/artefact/plan.json "@$work/many" >"$work/said"
grep -q 'more than 1000000 values' "$work/said" || { cat "$work/said"; exit 1; }
# The body itself, twice, as it grows while it comes in.
after=$(peak_kib)
[ $((after - before)) -lt 65536 ] || { echo "its memory grew by $((after - before)) KiB"; exit 1; }

control GET /v1/state | grep -q '"source": null'
control GET / | grep -q 'No source has reported yet'
control GET /v1/target | grep -q '"durable_chunks": 0'
