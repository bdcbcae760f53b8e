#!/usr/bin/env bash
# libnbd's nbdinfo understands what the receiver says of a disk, over TLS with the receiver's certificate as its CA.
# shellcheck source=tests/proto/lib-receiver.sh
. "$(dirname "$0")/lib-receiver.sh"
requires nbdinfo nbdcopy
start_receiver
put_plan 67108864 1099511627776
[ "$(nbdinfo --size "$(uri "$token/disk1")")" = 1099511627776 ]
info=$(nbdinfo "$(uri "$token/disk0")")
for word in 'newstyle-fixed with TLS, using structured' 'export-size: 67108864' 'can_multi_conn: true' 'can_zero: true' \
	'can_trim: true' 'can_flush: true' 'can_fua: true' 'is_read_only: false' 'base:allocation'; do
	grep -q "$word" <<<"$info" || { echo "missing: $word"; exit 1; }
done
nbdinfo --map "$(uri "$token/disk1")" | grep -Eq '^ *0 +1099511627776 +3 '
head -c 1048576 /dev/urandom >"$work/mib"
dd if=/dev/zero of="$work/image" bs=1M count=64 status=none
dd if="$work/mib" of="$work/image" bs=1M seek=5 conv=notrunc status=none
nbdcopy "$work/image" "$(uri "$token/disk0")"
nbdinfo --map "$(uri "$token/disk0")" | grep -Eq '^ *5242880 +1048576 +0 '
