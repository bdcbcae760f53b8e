#!/usr/bin/env bash
# A common NBD client writes a disk and reads it back, several connections at once.
# shellcheck source=tests/proto/lib-receiver.sh
. "$(dirname "$0")/lib-receiver.sh"
requires nbdcopy
start_receiver
put_plan 100663296
head -c 100663296 /dev/urandom >"$work/image"
dd if=/dev/zero of="$work/image" bs=1M seek=20 count=30 conv=notrunc status=none
nbdcopy --connections=4 --requests=16 --flush "$work/image" "$(uri "$token/disk0")"
cmp "$work/image" "$work/files/disk0.raw"
nbdcopy --connections=4 --requests=16 "$(uri "$token/disk0")" "$work/back"
cmp "$work/image" "$work/back"
# A restart keeps it; what came without a digest is not known.
end_receiver KILL
start_receiver
nbdcopy "$(uri "$token/disk0")" "$work/back2"
cmp "$work/image" "$work/back2"
control GET /v1/target | grep -q '"durable_chunks": 0'
