#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The ISO as a CD on a UEFI machine; the screen is a frame buffer there.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
vm_needs "$iso" /usr/share/OVMF/OVMF_CODE_4M.fd

vm_iso "$vm_dir/cd.iso" --args coldlift.mode=shell
vm_start source uefi 256 -cdrom "$vm_dir/cd.iso"
vm_wait source 600 'coldlift: ready'
vm_sh source '[ -d /sys/firmware/efi/efivars ]' || fail "the guest does not know that it was started by UEFI"
mkdir -p "$top/build/test-logs/screens"
vm_screenshot source "$top/build/test-logs/screens/cd-uefi.png"
