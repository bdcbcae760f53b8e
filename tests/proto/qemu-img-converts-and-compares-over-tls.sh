#!/usr/bin/env bash
# Another implementation of NBD, QEMU's, writes and compares.
# shellcheck source=tests/proto/lib-receiver.sh
. "$(dirname "$0")/lib-receiver.sh"
requires qemu-img
start_receiver
put_plan 67108864
head -c 67108864 /dev/urandom >"$work/image"
dd if=/dev/zero of="$work/image" bs=1M seek=7 count=20 conv=notrunc status=none
tls="tls-creds-x509,id=tls,dir=$work/pki,endpoint=client"
target="driver=nbd,host=127.0.0.1,port=$data_port,export=$token/disk0,tls-creds=tls,tls-hostname=localhost"
qemu-img convert -n -m 8 -W --object "$tls" --target-image-opts -f raw "$work/image" "driver=raw,file.$(sed 's/,/,file./g' <<<"$target")"
qemu-img compare --object "$tls" --image-opts "driver=raw,file.filename=$work/image" \
	"driver=raw,file.$(sed 's/,/,file./g' <<<"$target")"
