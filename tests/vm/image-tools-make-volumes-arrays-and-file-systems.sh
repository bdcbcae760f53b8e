#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The static tools do their work inside the image, without udev and without daemons: LVM with plain,
# striped, mirrored and thin volumes, software RAID, ext4, XFS, FAT, partition tables, VLAN and bond.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
vm_needs "$iso"

options=()
for n in 0 1 2 3; do
	truncate -s 400M "$vm_dir/d$n.img"
	options+=(-drive "if=virtio,format=raw,file=$vm_dir/d$n.img")
done
vm_iso "$vm_dir/cd.iso" --args coldlift.mode=shell
vm_start tools bios 512 -cdrom "$vm_dir/cd.iso" "${options[@]}"
vm_wait tools 600 'coldlift: ready'

ok() { # COMMANDS: all of them succeed
	local status=0
	# Here and there a subshell: set -e must not end the console's own shell, nor this test unheard.
	(vm_sh tools "(set -e; export LVM_SUPPRESS_FD_WARNINGS=1; $1)") >"$vm_dir/out" 2>&1 || status=$?
	[ $status = 0 ] || fail "$1: status $status, $(cat "$vm_dir/out")"
}
says() { grep -q "$1" "$vm_dir/out" || fail "no '$1' in: $(cat "$vm_dir/out")"; }

ok 'blockdev --setrw /dev/vda; blockdev --setrw /dev/vdb; blockdev --setrw /dev/vdc; blockdev --setrw /dev/vdd'
ok 'pvcreate -q /dev/vda /dev/vdb; vgcreate -q vg /dev/vda /dev/vdb'
ok 'lvcreate -q -L 60M -n lin vg; lvcreate -q -i 2 -L 64M -n str vg'
ok 'lvcreate -q --type raid1 -m 1 -L 40M -n mir vg; lvcreate -q -L 80M --thinpool pool vg'
ok 'lvcreate -q -V 1G --thin -n thin vg/pool; lvs --noheadings -o lv_name,segtype'
for kind in linear striped raid1 thin-pool; do says "$kind"; done
ok '[ -b /dev/vg/lin ] && [ -b /dev/mapper/vg-thin ]'

ok 'mke2fs -q -t ext4 /dev/vg/lin; mkdir -p /mnt; mount /dev/vg/lin /mnt; echo text >/mnt/file; umount /mnt'
ok 'lvextend -q -L +20M vg/lin; e2fsck -fp /dev/vg/lin; resize2fs /dev/vg/lin; debugfs -R "cat file" /dev/vg/lin'
says '^text$'

ok 'mdadm --create /dev/md0 --run --assume-clean --metadata=1.2 -l1 -n2 /dev/vdc /dev/vdd'
ok 'mkfs.xfs -q /dev/md0; mount -t xfs /dev/md0 /mnt; echo text >/mnt/file; umount /mnt'
ok 'xfs_repair -n /dev/md0; xfs_db -r -c "freesp -s" /dev/md0'
says 'total free blocks'
ok 'mdadm --stop /dev/md0; mdadm -E -s; blkid /dev/vdc'
says 'linux_raid_member'

ok 'vgchange -q -an vg; vgremove -q -f vg; mdadm --zero-superblock /dev/vdd'
ok 'printf "label: gpt\nsize=100M,type=U\n\n" | sfdisk -q /dev/vdd; mkfs.fat /dev/vdd1; fsck.fat -n /dev/vdd1; lsblk -no FSTYPE /dev/vdd1'
says 'vfat'

ok 'ip link add bond7 type bond; ip link add link eth0 name v5 type vlan id 5; ip link show v5'
