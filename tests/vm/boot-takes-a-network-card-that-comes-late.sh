#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A card that the kernel finds after the network was set up (on USB, slow firmware) gets its address, too.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
vm_needs "$iso"

vm_iso "$vm_dir/cd.iso" --args ip=dhcp
# The card that is there from the start leads nowhere.
vm_start source bios 192 -S -cdrom "$vm_dir/cd.iso" -netdev user,id=n -device e1000,id=net0,netdev=n -device qemu-xhci \
	-netdev user,id=late
vm_monitor source 'set_link net0 off'
vm_monitor source cont
vm_wait source 600 'No network card has a link: look at cable and switch'
! vm_says source 'coldlift: ready' || fail "it went on without a network"
vm_monitor source 'device_add usb-net,id=net1,netdev=late'
vm_wait source 600 'coldlift: ready'
vm_shell source
vm_sees source 'ip -4 -o addr show dev usb0' 'inet 10\.0\.2\.15/' || fail "it is not the late card that has the address"
