#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# One network card of each kind that QEMU has gets a driver, and an address by DHCP.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
vm_needs "$iso"

options=()
n=0
for model in e1000 e1000e rtl8139 pcnet i82559er tulip vmxnet3 virtio-net-pci; do
	options+=(-netdev "user,id=n$n,net=10.0.$((20 + n)).0/24" -device "$model,netdev=n$n,romfile=")
	n=$((n + 1))
done
options+=(-device qemu-xhci -netdev "user,id=n$n,net=10.0.$((20 + n)).0/24" -device "usb-net,netdev=n$n")
n=$((n + 1))
vm_iso "$vm_dir/cd.iso" --args 'coldlift.mode=shell ip=dhcp'
vm_start source bios 256 -cdrom "$vm_dir/cd.iso" "${options[@]}"
vm_wait source 600 'coldlift: ready'
vm_sh source 'for i in /sys/class/net/*/device/driver; do d=${i%/device*}; echo "${d##*/} $(basename $(readlink $i))"; done'
vm_sh source 'i=0; while [ $(ip -4 -o addr show scope global | wc -l) -lt '$n' ] && [ $i -lt 300 ]; do sleep 1; i=$((i+1)); done; ip -4 -o addr show scope global' 900 |
	tee "$vm_dir/addresses"
[ "$(grep -c 'inet 10\.0\.2' "$vm_dir/addresses")" = $n ] || fail "not all $n cards have an address"
