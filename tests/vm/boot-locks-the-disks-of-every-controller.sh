#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# One disk on each controller that QEMU has: all are seen, all are read-only, and neither a program nor a
# driver of the kernel can write to one. A disk plugged in later is read-only too.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
vm_needs "$iso"

options=()
add() { # NAME OPTIONS...: a disk, on what the options say
	local name=$1
	shift
	vm_disk "$vm_dir/$name.img" 8
	options+=(-drive "if=none,id=$name,format=raw,file=$vm_dir/$name.img" "$@")
}
add sata -device ide-hd,drive=sata,bus=ide.1
add piix -device piix3-ide,id=p -device ide-hd,drive=piix,bus=p.0
add virtio -device virtio-blk-pci,drive=virtio
add vscsi -device virtio-scsi-pci,id=vs -device scsi-hd,drive=vscsi,bus=vs.0
add nvme -device nvme,drive=nvme,serial=1
add lsi -device lsi53c895a,id=l -device scsi-hd,drive=lsi,bus=l.0
add megasas -device megasas,id=mg -device scsi-hd,drive=megasas,bus=mg.0
add vmware -device pvscsi,id=pv -device scsi-hd,drive=vmware,bus=pv.0
add usb -device qemu-xhci -device usb-storage,drive=usb
add uas -device usb-uas,id=u -device scsi-hd,drive=uas,bus=u.0,lun=0
count=10
before=$(cd "$vm_dir" && sha256sum -- *.img)

vm_iso "$vm_dir/cd.iso" --args coldlift.mode=shell
vm_start source bios 256 -cdrom "$vm_dir/cd.iso" "${options[@]}"
vm_wait source 600 'coldlift: ready'
vm_sh source 'i=0; while [ $(ls -d /sys/block/[sv]d* /sys/block/nvme* | wc -l) -lt '$count' ] && [ $i -lt 300 ]; do sleep 1; i=$((i+1)); done'
vm_sh source 'cd /sys/block; for d in [sv]d* nvme*; do echo "$d $(cat $d/ro) $(readlink -f $d/device)"; done' | tee "$vm_dir/seen"
[ "$(grep -cE '^[a-z0-9]+ [01] ' "$vm_dir/seen")" = $count ] || fail "not all $count disks were seen"
if grep -qE '^[a-z0-9]+ 0 ' "$vm_dir/seen"; then fail "a disk is not read-only"; fi

vm_sh source 'for d in /dev/[sv]d? /dev/nvme0n1; do
	dd if=/dev/zero of=$d bs=4k count=1 conv=notrunc 2>/dev/null && echo "dd wrote to $d"
	if dmsetup create t --table "0 8 linear $d 0" 2>/dev/null; then
		dd if=/dev/zero of=/dev/mapper/t bs=4k count=1 conv=fsync 2>/dev/null && echo "dm wrote to $d"
		dmsetup remove t
	fi
	blkdiscard $d 2>/dev/null && echo "discarded $d"
	mke2fs -q -F $d 2>/dev/null && echo "made a file system on $d"
done; :' | tr '\n' ' ' >"$vm_dir/written"
if grep -q '[a-z]' "$vm_dir/written"; then fail "$(cat "$vm_dir/written")"; fi

# A driver that already has the disk open when it is set read-only: the kernel itself must refuse.
vm_sh source 'd=$(ls -d /dev/vd? | head -n 1); blockdev --setrw $d && dmsetup create w --table "0 16384 linear $d 0" &&
	blockdev --setro $d && ! dd if=/dev/zero of=/dev/mapper/w bs=4k count=16 conv=fsync && dmsetup remove w' ||
	fail "a write went through a device-mapper device to a read-only disk"

vm_disk "$vm_dir/late.img" 8
late=$(sha256sum <"$vm_dir/late.img")
vm_monitor source "drive_add 0 if=none,id=late,format=raw,file=$vm_dir/late.img"
vm_monitor source 'device_add scsi-hd,drive=late,bus=vs.0,lun=3'
vm_sh source 'i=0; while [ $(ls -d /sys/block/[sv]d* /sys/block/nvme* | wc -l) -le '$count' ] && [ $i -lt 300 ]; do sleep 1; i=$((i+1)); done; cat /sys/block/[sv]d*/ro | sort | uniq -c' |
	tee "$vm_dir/late.txt"
grep -qE "^ *$count 1$" "$vm_dir/late.txt" || fail "the late disk is missing or not read-only"
vm_stop source
[ "$before" = "$(cd "$vm_dir" && sha256sum -- lsi.img megasas.img nvme.img piix.img sata.img uas.img usb.img virtio.img vmware.img vscsi.img)" ] ||
	fail "the bytes of a disk changed"
[ "$late" = "$(sha256sum <"$vm_dir/late.img")" ] || fail "the late disk changed"
