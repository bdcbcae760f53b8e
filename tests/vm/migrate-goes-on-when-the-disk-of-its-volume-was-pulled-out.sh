#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The source's root is a volume of LVM. In the middle of the copy its disk is pulled out, and comes back under another
# name: the copy goes on in the same run, beneath the volume's view too, says so, and is whole.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/vm/lib-copy.sh
. "$(dirname "$0")/lib-copy.sh"
copy_needs
copy_source 200 vg0/root
copy_receiver

copy_boot source '{"rate_mbit": 64, "compression": 0}' -device virtio-scsi-pci,id=bus \
	-drive "if=none,id=d0,format=raw,file=$disk" -device scsi-hd,id=first,bus=bus.0,drive=d0
copy_middle source 60
vm_monitor source 'device_del first'
vm_wait source 600 'disk sda does not answer; waiting up to'
vm_monitor source "drive_add 0 if=none,id=d1,format=raw,file=$disk"
vm_monitor source 'device_add scsi-hd,id=again,bus=bus.0,lun=2,drive=d1'
vm_wait source 600 'disk sda was away and is back, as sdb; the copy goes on'
copy_goes_on
vm_wait source 600 'Finished|InError'
vm_says source 'all is copied and durable on the receiver' || fail "the copy did not go on"
vm_stop source

grep -q '"name": "root"' "$vm_dir/state/artefacts/inventory.json" || fail "the source had no volume; nothing is tested"
[ "$(sha256sum <"$disk")" = "$before" ] || fail "the source changed"
copy_is_equal
