#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Booted with its cable unplugged, the image says so, has a shell to offer, and goes on by itself when the cable is there.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
vm_needs "$iso"

vm_iso "$vm_dir/cd.iso" --args ip=dhcp
# It starts when the cable is out.
vm_start source bios 192 -S -cdrom "$vm_dir/cd.iso" -netdev user,id=n -device e1000,id=net0,netdev=n
vm_monitor source 'set_link net0 off'
vm_monitor source cont
vm_wait source 600 'No network card has a link: look at cable and switch'
vm_shell source
vm_sees source 'cat /sys/class/net/eth0/carrier' '^0$' || fail "there is a link, and nothing is tested"
! vm_says source 'coldlift: ready' || fail "it went on without a network"
vm_monitor source 'set_link net0 on'
vm_wait source 600 'coldlift: ready'
vm_wait source 600 'ACTIVATION_MISSING'
