#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The ISO copied to a USB stick on a BIOS machine, with a job file that iso/customize put there.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
vm_needs "$iso"

echo '{"name":"night shift"}' >"$vm_dir/job.json"
vm_iso "$vm_dir/stick.img" --job "$vm_dir/job.json" --args coldlift.mode=shell\ ip=dhcp
vm_start source bios 192 -device qemu-xhci -netdev user,id=n -device e1000,netdev=n \
	-drive "if=none,id=stick,format=raw,file=$vm_dir/stick.img" -device usb-storage,drive=stick,removable=on
vm_wait source 600 'coldlift: ready'
vm_sees source 'cat /run/coldlift/job.json' 'night shift' || fail "the job file was not found"
vm_becomes source 'ip route' 'default via 10.0.2.2 dev eth0'
vm_sh source 'grep nameserver /etc/resolv.conf'
