#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The source's plug is pulled in the middle of the copy, and its disk is written to before it is booted from the image
# again: a new file, and other bytes in a file that had arrived. The second start says so, sends what had not arrived and
# what differs, and the copy is the changed source's.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/vm/lib-copy.sh
. "$(dirname "$0")/lib-copy.sh"
copy_needs
copy_source 300 nvme0n1p1
copy_receiver

nvme=(-drive "if=none,id=d0,format=raw,file=$disk" -device "nvme,drive=d0,serial=SMALL")
copy_boot first '{"rate_mbit": 48, "compression": 0}' "${nvme[@]}"
copy_middle first 210
vm_stop first
copy_settled
durable=$(copy_metric disk_durable_chunks)
earlier=$(copy_metric received_bytes_total)
copy_goes_on

# A file of 2 MiB, and 64 blocks of the payload's beginning, which had arrived.
fs="$disk?offset=1048576"
head -c 2M /dev/urandom >"$vm_dir/new"
debugfs -w -R "write $vm_dir/new /srv/data/new" "$fs" >"$vm_dir/debugfs.log" 2>&1
payload=$vm_dir/root/srv/data/payload
for block in $(seq 64 127); do
	at=$(debugfs -R "bmap /srv/data/payload $block" "$fs" 2>/dev/null)
	head -c 4096 /dev/urandom >"$vm_dir/block"
	dd if="$vm_dir/block" of="$payload" bs=4096 seek="$block" conv=notrunc status=none
	dd if="$vm_dir/block" of="$disk" bs=4096 seek=$((256 + at)) conv=notrunc status=none
done
before=$(sha256sum <"$disk")

copy_boot second '{"compression": 0}' "${nvme[@]}"
vm_wait second 600 'Finished|InError'
vm_says second 'the source was used since the last run: all is read, and what has changed is sent' ||
	fail "the console does not say that the source was used"
vm_stop second
[ "$(sha256sum <"$disk")" = "$before" ] || fail "the source changed"
copy_is_equal
debugfs -R "dump /srv/data/new $vm_dir/new.copy" "$vm_dir/copy.img" 2>/dev/null
cmp "$vm_dir/new" "$vm_dir/new.copy" || fail "the new file differs"

needed=$(sed -nE 's/.*"data_chunks": *([0-9]+).*/\1/p' "$vm_dir/state/artefacts/verify.json")
received=$(($(copy_metric received_bytes_total) - earlier))
more=$((received - (needed - durable) * 1048576))
echo "$durable of $needed chunks were durable; beside what was lacking came $more bytes"
# The 64 blocks, and at most 2 % of what was durable.
[ "$more" -le $((64 * 4096 + durable * 1048576 / 50)) ] || fail "$more bytes came beside what was lacking"
