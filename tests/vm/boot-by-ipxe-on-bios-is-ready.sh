#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Network boot of a BIOS machine: the card's iPXE fetches script, kernel and initramfs by TFTP. A second
# card must be left alone, as BOOTIF names the one that was booted from.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
vm_needs "$pxe/coldlift.ipxe"

cp -r "$pxe" "$vm_dir/pxe"
sed -i 's/^set args$/set args coldlift.mode=shell ip=dhcp/' "$vm_dir/pxe/coldlift.ipxe"
vm_start source bios 256 -boot n \
	-netdev "user,id=n0,tftp=$vm_dir/pxe,bootfile=coldlift.ipxe" -device virtio-net-pci,netdev=n0,bootindex=1 \
	-netdev user,id=n1,net=10.0.9.0/24 -device e1000,netdev=n1,romfile=
vm_wait source 600 'coldlift: ready'
vm_becomes source 'ip -4 -o addr show scope global' '10\.0\.2\.'
# Nor is one on its way.
vm_sees source 'ip -4 -o addr show scope global | wc -l; ls /run/coldlift/net/*.lease | wc -l; pidof udhcpc | wc -w' '^1$' >"$vm_dir/count"
[ "$(grep -cx 1 "$vm_dir/count")" = 3 ] || fail "another card than the booted one was configured"
