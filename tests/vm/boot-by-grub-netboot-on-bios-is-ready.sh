#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Network boot of a BIOS machine by plain PXE (the card's own boot code fetches GRUB, and GRUB the rest).
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
vm_needs "$pxe/grubpxe.0"

cp -r "$pxe" "$vm_dir/pxe"
sed -i "s/^set coldlift_args=''/set coldlift_args='coldlift.mode=shell ip=dhcp'/" "$vm_dir/pxe/grub.cfg"
vm_start source bios 256 -boot n \
	-netdev "user,id=n0,tftp=$vm_dir/pxe,bootfile=grubpxe.0" -device e1000,netdev=n0,bootindex=1
vm_wait source 600 'coldlift: ready'
vm_becomes source 'ip -4 -o addr show dev eth0' '10\.0\.2\.'
