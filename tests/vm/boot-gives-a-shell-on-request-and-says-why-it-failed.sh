#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Without an activation code the migrator cannot start: the code and what to do are on the serial line and on
# the screen. A shell comes on the second screen (Alt-F2, Enter) and by a word on the serial line while the
# image waits; then the exit action is carried out by itself.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
vm_needs "$iso"

vm_iso "$vm_dir/cd.iso" --exit poweroff
vm_start source bios 192 -cdrom "$vm_dir/cd.iso" -netdev user,id=n -device virtio-net-pci,netdev=n
vm_wait source 600 'ACTIVATION_MISSING'
vm_wait source 600 'coldlift: migrate failed \(status 1\)'
vm_wait source 600 'Press Enter within 60 seconds for a shell; then: poweroff'
shots=$top/build/test-logs/screens
mkdir -p "$shots"
vm_screenshot source "$shots/failed.png"
vm_monitor source 'sendkey alt-f2'
vm_monitor source 'sendkey ret'
# A cursor after a prompt is all that differs; the shell itself says where it is, on the serial line.
tries=0
until vm_says source '^second'; do
	[ $tries -lt 40 ] || fail "no shell on the second screen"
	tries=$((tries + 1))
	sleep 3
	for key in e c h o spc s e c o n d spc shift-dot slash d e v slash t t y shift-s 0 ret; do vm_monitor source "sendkey $key"; done
done
vm_screenshot source "$shots/second-screen.png"
# Nobody is thrown out of a shell: the exit action waits for its end.
vm_wait source 600 'coldlift: poweroff when the shell is left'
sleep 3
vm_running source || fail "the machine went while a shell was open"
for key in e x i t ret; do vm_monitor source "sendkey $key"; done
vm_gone source 300
vm_says source 'coldlift: poweroff$' || fail "it went without saying so"
