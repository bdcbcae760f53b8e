#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The ISO copied to a disk (NVMe here) on a UEFI machine: the firmware takes its GPT and system partition.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
vm_needs "$iso" /usr/share/OVMF/OVMF_CODE_4M.fd

vm_iso "$vm_dir/disk.img" --args coldlift.mode=shell
vm_start source uefi 256 -drive "if=none,id=d,format=raw,file=$vm_dir/disk.img" -device nvme,drive=d,serial=1
vm_wait source 600 'coldlift: ready'
vm_sees source 'cat /sys/block/nvme0n1/ro' '^1$' || fail "the disk is not read-only"
