#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# In the middle of the copy the source's disk is pulled out, and stays away for as long as the job says that it is waited
# for. The console then names it, says why and what to do, and offers a shell. Once the disk is back, the same command
# goes on in the same boot, though the disk has another name: at most 2 % of what was durable is sent once more.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/vm/lib-copy.sh
. "$(dirname "$0")/lib-copy.sh"
copy_needs
copy_source 300 sda1
copy_receiver

copy_boot source '{"rate_mbit": 48, "compression": 0, "rescue_s": 20}' -device virtio-scsi-pci,id=bus \
	-drive "if=none,id=d0,format=raw,file=$disk" -device scsi-hd,id=first,bus=bus.0,drive=d0
copy_middle source 210
pulled=$(date +%s)
vm_monitor source 'device_del first'
vm_wait source 600 'disk sda does not answer; waiting up to 20 s: see to its cable and power'
vm_wait source 600 'Finished|InError'
vm_says source 'InError SOURCE_LOST: disk sda does not answer any more.* it was waited for 20 s; what to do: Check the disk.s cable, power and controller' ||
	fail "the console does not say which disk is lost, and what to do"
# From before it was pulled out, so that it is never less than what the machine waited.
[ $(($(date +%s) - pulled)) -ge 15 ] || fail "the disk was given up too early"
vm_wait source 600 'coldlift: migrate failed'
copy_settled
durable=$(copy_metric disk_durable_chunks)
[ "$durable" -ge 60 ] || fail "only $durable chunks were durable when the disk was lost; nothing is tested"
earlier=$(copy_metric received_bytes_total)
copy_goes_on

vm_monitor source "drive_add 0 if=none,id=d1,format=raw,file=$disk"
vm_monitor source 'device_add scsi-hd,id=again,bus=bus.0,lun=2,drive=d1'
vm_sees source 'until [ -e /sys/block/sdb/sdb1 ]; do sleep 1; done; cat /sys/block/sdb/ro' '^1$' || fail "the disk is not back"
vm_line source 'COLDLIFT_CONSOLES=/dev/ttyS0 migrator run --cmdline'
vm_wait source 600 'Finished|InError PLAN|InError [A-RT-Z]'
vm_says source 'all is copied and durable on the receiver' || fail "the second start did not go on"
vm_stop source
[ "$(sha256sum <"$disk")" = "$before" ] || fail "the source changed"
copy_is_equal

copy_sent_little_again "$durable" "$earlier"
