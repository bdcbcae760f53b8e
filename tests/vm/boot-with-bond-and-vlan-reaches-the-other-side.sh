#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Two machines: one with a bond of two cards and a VLAN on top, the other with the VLAN on its only card,
# static addresses, all by kernel command line. They reach each other, also when the bond loses a cable.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
vm_needs "$iso"

vm_iso "$vm_dir/a.iso" --args 'coldlift.mode=shell bond=bond0:eth0,eth1:mode=active-backup,miimon=100 vlan=bond0.5:bond0 ip=10.5.0.1::10.5.0.2:255.255.255.0:source:bond0.5:none nameserver=10.5.0.9'
vm_iso "$vm_dir/b.iso" --args 'coldlift.mode=shell vlan=vlan5:eth0 ip=10.5.0.2:::24:target:vlan5:none'
a=()
b=(-netdev "hubport,id=h,hubid=0" -device "e1000,netdev=h,romfile=")
for i in 0 1; do
	a+=(-netdev "stream,id=n$i,server=on,addr.type=unix,addr.path=$vm_dir/link$i"
		-device "virtio-net-pci,id=card$i,netdev=n$i,romfile=")
	b+=(-netdev "stream,id=n$i,server=off,addr.type=unix,addr.path=$vm_dir/link$i"
		-netdev "hubport,id=h$i,hubid=0,netdev=n$i")
done
vm_start a bios 192 -cdrom "$vm_dir/a.iso" "${a[@]}"
for i in 0 1; do
	until [ -S "$vm_dir/link$i" ]; do vm_running a || fail "QEMU ended"; sleep 0.1; done
done
vm_start b bios 192 -cdrom "$vm_dir/b.iso" "${b[@]}"
vm_wait a 600 'coldlift: ready'
vm_wait b 600 'coldlift: ready'
vm_sh a 'cat /sys/class/net/bond0/bonding/mode /sys/class/net/bond0/bonding/slaves /etc/resolv.conf; ip route; hostname'
# That a packet is lost when a machine is held up is no fault.
vm_becomes a 'ping -c 1 -W 20 10.5.0.2' ' 1 packets received'
vm_monitor a 'set_link card0 off'
vm_becomes a 'cat /sys/class/net/bond0/bonding/active_slave' '^eth1$'
vm_becomes a 'ping -c 1 -W 20 10.5.0.2' ' 1 packets received'
vm_sees a 'hostname' '^source$' || fail "the host name was not set"
