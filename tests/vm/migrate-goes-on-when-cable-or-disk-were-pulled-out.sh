#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# In the middle of the copy the network's cable is pulled out for a while, then the source's disk. The console says so.
# Plugged in again the disk has another name; the copy goes on with it in the same run, and is whole. Another disk of
# that size, which comes first, is not taken for it, and is not written.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/vm/lib-copy.sh
. "$(dirname "$0")/lib-copy.sh"
copy_needs
copy_source 300 sda1
copy_receiver
vm_disk "$vm_dir/other.img" $((copy_fs_mib + 20))
other=$(sha256sum <"$vm_dir/other.img")

copy_boot source '{"rate_mbit": 64, "compression": 0}' -device virtio-scsi-pci,id=bus \
	-drive "if=none,id=d0,format=raw,file=$disk" -device scsi-hd,id=first,bus=bus.0,drive=d0
copy_middle source 20
vm_monitor source 'set_link net0 off'
vm_wait source 600 'no network card has a link'
vm_monitor source 'set_link net0 on'
# Until bytes come again.
vm_until source 600 "it goes on" copy_has_received $(($(copy_metric received_bytes_total) / 1048576 + 2))
vm_monitor source 'device_del first'
vm_wait source 600 'disk sda does not answer; waiting up to'
vm_monitor source "drive_add 0 if=none,id=d1,format=raw,file=$vm_dir/other.img"
vm_monitor source 'device_add scsi-hd,id=other,bus=bus.0,lun=1,drive=d1'
vm_monitor source "drive_add 0 if=none,id=d2,format=raw,file=$disk"
vm_monitor source 'device_add scsi-hd,id=again,bus=bus.0,lun=2,drive=d2'
copy_goes_on
vm_wait source 600 'Finished|InError'
vm_says source 'all is copied and durable on the receiver' || fail "the copy did not go on"
vm_stop source

[ "$(sha256sum <"$disk")" = "$before" ] || fail "the source changed"
[ "$(sha256sum <"$vm_dir/other.img")" = "$other" ] || fail "the other disk changed"
copy_is_equal
