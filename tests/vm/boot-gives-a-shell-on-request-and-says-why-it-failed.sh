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

keys() { for key; do vm_monitor source "sendkey $key"; done; }
# A cursor after a prompt is all that differs on the screen, so the shell says on the serial line where it is. A machine that
# is busy loses keys, and then of a line everything is typed again: Shift and ^U end what is left of the last try.
says_where() { # COUNT: of times that it has said so
	local tries=0
	while [ "$(grep -ac '/dev/tty2' "$vm_dir/source/serial.log")" -lt "$1" ]; do
		[ $((tries % 50)) != 0 ] || keys alt-f2 shift ctrl-u ret l s spc minus l spc slash p r o c slash s e l f slash f d slash 0 \
			spc shift-dot slash d e v slash t t y shift-s 0 ret
		[ $tries -lt 1000 ] || fail "no shell on the second screen"
		tries=$((tries + 1))
		sleep 0.1
	done
}
says_where 1
vm_screenshot source "$shots/second-screen.png"
# Nobody is thrown out of a shell: the exit action waits for its end.
vm_wait source 600 'coldlift: poweroff when the shell is left'
says_where $(($(grep -ac '/dev/tty2' "$vm_dir/source/serial.log") + 1))
tries=0
while vm_running source; do
	# It may be gone before QEMU has said that it took the last key.
	[ $((tries % 200)) != 0 ] || (keys shift ctrl-u e x i t ret) || true
	[ $tries -lt 4000 ] || fail "it does not go when the shell is left"
	tries=$((tries + 1))
	sleep 0.1
done
vm_says source 'coldlift: poweroff$' || fail "it went without saying so"
