#!/usr/bin/env bash
# fio's nbd engine: many requests in flight from several jobs, of all sizes, trims between them, each block verified; then
# again by another process, after the receiver was killed and started again.
# shellcheck source=tests/proto/lib-receiver.sh
. "$(dirname "$0")/lib-receiver.sh"
requires curl fio
fio --enghelp 2>/dev/null | grep -qw nbd || { echo "this fio has no nbd engine"; exit 77; }
start_receiver
put_plan $((96 * 1048576))
# fio does not let the URI name certificates; libnbd then looks into the home of a user who is not root.
mkdir -p "$work/home/.pki/libnbd"
cp "$work/state/cert.pem" "$work/home/.pki/libnbd/ca-cert.pem"
chmod 755 "$work" "$work/home" "$work/home/.pki" "$work/home/.pki/libnbd"
chmod 644 "$work/home/.pki/libnbd/ca-cert.pem"
as_user=(env HOME="$work/home")
if [ "$(id -u)" = 0 ]; then
	as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups env HOME="$work/home")
	chown 65534 "$work/home"
fi
load() { # OPTION...
	(cd "$work/home" && "${as_user[@]}" fio --output="$work/home/fio" --ioengine=nbd --uri="nbds://127.0.0.1:$data_port/$token/disk0" --thread --group_reporting --verify=crc32c --verify_fatal=1 \
		--randseed=5 "$@") || { cat "$work/home/fio"; exit 1; }
	! grep -q 'err= *[1-9]\|verify: bad' "$work/home/fio" || { cat "$work/home/fio"; exit 1; }
}
# Jobs side by side, each with its third: small and odd, middling, over several chunks.
jobs=(--name=small --rw=randwrite --bsrange=4k-64k --bs_unaligned=1 --iodepth=16 --offset=0 --size=32m
	--name=middle --rw=randwrite --bs=256k --iodepth=8 --offset=32m --size=32m
	--name=large --rw=write --bs=4m --iodepth=4 --offset=64m --size=32m)
load "${jobs[@]}" --do_verify=1
# Reading and writing at once, with barriers.
load --name=mixed --rw=randrw --bs=128k --iodepth=16 --offset=32m --size=32m --fsync=16 --do_verify=1
# What was flushed is there after kill -9.
load --name=kept --rw=write --bs=1m --iodepth=8 --size=96m --end_fsync=1 --do_verify=0
end_receiver KILL
start_receiver
load --name=kept --rw=write --bs=1m --iodepth=8 --size=96m --verify_only
# That this finds something when there is something.
printf 'spoilt' | dd of="$work/files/disk0.raw" bs=1 seek=50000000 conv=notrunc status=none
if (load --name=kept --rw=write --bs=1m --iodepth=8 --size=96m --verify_only) >/dev/null 2>&1; then
	echo "fio verifies nothing"
	exit 1
fi
