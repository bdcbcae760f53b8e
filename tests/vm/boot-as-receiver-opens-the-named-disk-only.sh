#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The receive role: the disk that was named becomes writable and is offered, with an activation code on the
# console; the other one stays read-only. The word "shell" on the serial line gives a shell meanwhile.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
vm_needs "$iso"

vm_disk "$vm_dir/a.img" 64
vm_disk "$vm_dir/b.img" 64
vm_iso "$vm_dir/cd.iso" --args 'coldlift.mode=receive coldlift.device=vda ip=dhcp'
vm_start target bios 192 -cdrom "$vm_dir/cd.iso" -netdev user,id=n -device virtio-net-pci,netdev=n \
	-drive "if=virtio,format=raw,file=$vm_dir/a.img" -drive "if=virtio,format=raw,file=$vm_dir/b.img"
vm_wait target 600 'activation: *[^ ]+'
vm_shell target
vm_sees target 'cat /sys/block/vda/ro /sys/block/vdb/ro | tr "\n" " "' '^0 1 ' || fail "not exactly the named disk is writable"
vm_sees target 'netstat -ltn' ':8080 ' || fail "nothing listens on 8080"
vm_sees target 'netstat -ltn' ':8703 ' || fail "nothing listens on 8703"
