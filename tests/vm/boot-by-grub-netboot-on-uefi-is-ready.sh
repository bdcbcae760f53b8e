#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Network boot of a UEFI machine by plain PXE: the firmware fetches GRUB, and GRUB the rest, by TFTP.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
vm_needs "$pxe/grubnetx64.efi" /usr/share/OVMF/OVMF_CODE_4M.fd

cp -r "$pxe" "$vm_dir/pxe"
sed -i "s/^set coldlift_args=''/set coldlift_args='coldlift.mode=shell ip=dhcp'/" "$vm_dir/pxe/grub.cfg"
vm_start source uefi 384 \
	-netdev "user,id=n0,tftp=$vm_dir/pxe,bootfile=grubnetx64.efi" \
	-device virtio-net-pci,netdev=n0,bootindex=1,romfile=
vm_wait source 600 'coldlift: ready'
vm_becomes source 'ip -4 -o addr show dev eth0' '10\.0\.2\.'
