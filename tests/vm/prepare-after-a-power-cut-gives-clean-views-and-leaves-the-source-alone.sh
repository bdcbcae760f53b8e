#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A machine loses power while it writes to ext4, XFS and volumes of LVM. In the views everything is clean,
# complete and repaired, also a second time; the disks are the same bytes as before.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
vm_needs "$pxe/vmlinuz" "$pxe/initramfs"
for tool in sfdisk mke2fs cpio; do command -v $tool >/dev/null || skip "$tool is not installed"; done

version=6.1.0-1-sample
initramfs=${COLDLIFT_TEST_INITRAMFS:-$pxe/initramfs}

# ---- a guest that is small but has all that repairs look at ----

make_guest() { # DIR
	local root=$1 modules=$1/lib/modules/$version image=$vm_dir/image
	mkdir -p "$root"/{boot,etc,sbin,srv,home,data,usr/lib} "$modules/kernel/v" "$image/lib/modules/$version/kernel"
	printf 'ID=debian\nPRETTY_NAME="Sample"\nVERSION_ID="12"\n' >"$root/etc/os-release"
	printf '#!/bin/sh\n' >"$root/sbin/init"
	chmod 755 "$root/sbin/init"
	printf '/dev/sda4 / ext4 errors=remount-ro 0 1\n/dev/sda2\t/boot ext4 defaults 0 2 # early\n' >"$root/etc/fstab"
	printf '/dev/sda3 none swap sw 0 0\n/dev/mapper/vg0-srv /srv ext4 defaults 0 2\n' >>"$root/etc/fstab"
	printf '/dev/nvme0n1p1 /data xfs defaults 0 0\n' >>"$root/etc/fstab"
	chmod 640 "$root/etc/fstab"
	printf 'kernel/v/virtio.ko:\nkernel/v/virtio_pci.ko: kernel/v/virtio.ko\n' >"$modules/modules.dep"
	printf 'kernel/v/virtio_blk.ko: kernel/v/virtio.ko\nkernel/v/virtio_net.ko: kernel/v/virtio.ko\n' >>"$modules/modules.dep"
	printf 'kernel/v/sd_mod.ko\nkernel/v/nvme.ko\nkernel/v/virtio_scsi.ko\n' >"$modules/modules.builtin"
	printf 'alias virtio:d00000002v* virtio_blk\n' >"$modules/modules.alias"
	for m in virtio virtio_pci virtio_blk virtio_net; do head -c 20000 /dev/urandom >"$modules/kernel/v/$m.ko"; done
	head -c 40000 /dev/zero >"$root/boot/vmlinuz-$version"
	printf 'HdrS' | dd of="$root/boot/vmlinuz-$version" bs=1 seek=$((0x202)) conv=notrunc status=none
	printf '\0\060' | dd of="$root/boot/vmlinuz-$version" bs=1 seek=$((0x20e)) conv=notrunc status=none
	printf '%s (x@y)' "$version" | dd of="$root/boot/vmlinuz-$version" bs=1 seek=$((0x3200)) conv=notrunc status=none
	printf 'kernel/ext4.ko:\n' >"$image/lib/modules/$version/modules.dep"
	printf x >"$image/lib/modules/$version/kernel/ext4.ko"
	(cd "$image" && find . | cpio -o -H newc --quiet | gzip -9n >"$root/boot/initrd.img-$version")
}

a=$vm_dir/a.img b=$vm_dir/b.img
make_guest "$vm_dir/root"
truncate -s 1G "$a"
truncate -s 512M "$b"
sfdisk -q "$a" <<-PARTS
	label: gpt
	start=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649
	start=4096, size=131072, type=linux
	start=135168, size=65536, type=swap
	start=200704, size=524288, type=linux
	start=724992, size=1300000, type=lvm
PARTS
# Sector 63: what tools of the DOS days did, and not a multiple of 4 KiB.
printf 'label: dos\nstart=63, size=800000, type=83\n' | sfdisk -q "$b"
mkdir "$vm_dir/boot"
mv "$vm_dir"/root/boot/* "$vm_dir/boot/"
mke2fs -q -t ext4 -F -d "$vm_dir/boot" -E offset=$((4096 * 512)) "$a" 64M
mke2fs -q -t ext4 -F -d "$vm_dir/root" -E offset=$((200704 * 512)) "$a" 256M

# Of two SATA disks either can be the first to answer, and be sda; an NVMe one has a name of its own.
boot() { # NAME MIB
	vm_start "$1" bios "$2" -kernel "$pxe/vmlinuz" -initrd "$initramfs" \
		-append 'coldlift.mode=shell console=ttyS0 quiet no_timer_check tsc=unstable' \
		-drive "if=none,id=a,format=raw,file=$a" -device ide-hd,drive=a,bus=ide.0,serial=DISK-A \
		-drive "if=none,id=b,format=raw,file=$b" -device nvme,drive=b,serial=DISK-B
	vm_wait "$1" 600 'coldlift: ready'
}

# ---- the machine works, and then the power fails ----

boot maker 256
vm_sh maker 'for d in sda sda3 sda5 nvme0n1 nvme0n1p1; do blockdev --setrw /dev/$d; done; mkswap /dev/sda3 >/dev/null &&
	pvcreate -q /dev/sda5 && vgcreate -q vg0 /dev/sda5 && lvcreate -q -Wn -L 64M -n srv vg0 &&
	lvcreate -q -Wn -L 320M -n home-x vg0 && lvextend -q -L +64M vg0/srv' || fail "no volumes"
vm_sh maker 'mke2fs -q -t ext4 /dev/vg0/srv && mkfs.xfs -q /dev/vg0/home-x && mkfs.xfs -q /dev/nvme0n1p1 && mkdir /r &&
	mount -t ext4 /dev/sda4 /r && mount -t ext4 /dev/sda2 /r/boot && mount -t ext4 /dev/vg0/srv /r/srv &&
	mount -t xfs /dev/vg0/home-x /r/home && mount -t xfs /dev/nvme0n1p1 /r/data' || fail "no file systems"
vm_sh maker 'cd /r; for d in . boot srv home data; do for i in 1 2 3 4 5 6 7 8; do mkdir -p $d/dir$i
	head -c 150000 /dev/urandom >$d/dir$i/file; echo $d $i >$d/dir$i/small; done; done; sync
	sha256sum */dir*/* dir*/* | sort' >"$vm_dir/sums"
# Deleted but open: an orphan that only a replay works off. Some more changes that reach the journal only.
vm_sh maker 'for d in . srv home data; do sh -c "exec 5>$d/gone; head -c 2000000 /dev/urandom >&5; rm $d/gone; sync; echo >>/run/gone; sleep 100000" & done
	until [ "$(wc -l </run/gone 2>/dev/null)" = 4 ]; do sleep 1; done; for d in . srv home data; do mkdir $d/late; done; sync; sync'
vm_stop maker
[ "$(grep -c /small "$vm_dir/sums")" -ge 40 ] || fail "the maker did not write its files"
before=$(sha256sum "$a" "$b")

# ---- the migrator prepares it, twice ----

boot source 192
vm_sh source 'dmsetup create --readonly other --table "0 8 linear /dev/sda 0"; ! migrator prepare --quiesce 2>&1 && dmsetup remove other' \
	>"$vm_dir/quiesce" || fail "a device on top of a source disk was not noticed"
grep -q SOURCE_ASSEMBLED "$vm_dir/quiesce" || fail "not said as SOURCE_ASSEMBLED: $(cat "$vm_dir/quiesce")"
vm_sh source 'blockdev --setrw /dev/sda && migrator prepare --quiesce && cat /sys/block/sda/ro' >"$vm_dir/quiesce" || fail "quiesce"
grep -q '^1$' "$vm_dir/quiesce" || fail "a disk stayed writable"
for run in 1 2; do
	vm_sh source 'cd /run && migrator inventory -o inventory.json && migrator prepare --look inventory.json &&
		migrator plan --inventory inventory.json --allow ENS_SYSTEM_DISK_TOO_SMALL -o plan.json &&
		migrator prepare --plan plan.json --out prepare.json --map copy.map' >"$vm_dir/prepare.txt" ||
		fail "prepare: $(tail -n 5 "$vm_dir/prepare.txt")"
	vm_sh source 'cat /run/prepare.json' >"$vm_dir/prepare.json"
	for part in sda2 sda4 nvme0n1p1 vg0/srv vg0/home-x; do
		grep -q "\"object\": \"$part\"" "$vm_dir/prepare.json" || fail "run $run: no replay of $part: $(cat "$vm_dir/prepare.json")"
	done
done
for line in 'line 1 (/): /dev/sda4 is now UUID=' 'line 2 (/boot): /dev/sda2 is now UUID=' \
	'line 3 (none): /dev/sda3 is now UUID=' 'line 5 (/data): /dev/nvme0n1p1 is now UUID=' 'drivers added'; do
	grep -qF "$line" "$vm_dir/prepare.json" || fail "not in prepare.json: $line"
done
vm_sh source 'for v in sda2 sda4 vg0-srv; do e2fsck -fn /dev/mapper/view-$v || echo "DIRTY $v"; done' >"$vm_dir/fsck"
vm_sh source 'for v in nvme0n1p1 vg0-home--x; do xfs_repair -n /dev/mapper/view-$v || echo "DIRTY $v"; done' >>"$vm_dir/fsck"
if grep DIRTY "$vm_dir/fsck"; then fail "a view is not clean: $(cat "$vm_dir/fsck")"; fi

# The views are read-only now; everything is read from them without another replay.
vm_sh source 'mkdir /r; cd /dev/mapper; mount -t ext4 -o ro,noload view-sda4 /r; mount -t ext4 -o ro,noload view-sda2 /r/boot
	mount -t ext4 -o ro,noload view-vg0-srv /r/srv; mount -t xfs -o ro,norecovery view-vg0-home--x /r/home
	mount -t xfs -o ro,norecovery view-nvme0n1p1 /r/data; cd /r; sha256sum */dir*/* dir*/* | sort' >"$vm_dir/sums.after"
diff "$vm_dir/sums" "$vm_dir/sums.after" || fail "files differ in the views"
vm_sh source "cat /r/etc/fstab; stat -c %a /r/etc/fstab" >"$vm_dir/fstab"
grep -q '^640$' "$vm_dir/fstab" || fail "fstab lost its mode"
if grep -qE '/dev/(sd|nvme)' "$vm_dir/fstab"; then fail "a device name is left in fstab"; fi
grep -qE '^UUID=[0-9a-f-]+	/boot ext4 defaults 0 2 # early$' "$vm_dir/fstab" || fail "fstab lost its shape"
if vm_sh source 'dd if=/dev/zero of=/dev/mapper/view-sda bs=4096 count=1' >/dev/null; then fail "a settled view can be written"; fi

# Too little memory for what has to be replayed: said as such, and nothing is left standing.
vm_sh source 'cd /; umount /r/data /r/home /r/srv /r/boot /r; cd /run; ! migrator prepare --plan plan.json --memory 1 2>&1' >"$vm_dir/full" ||
	fail "1 MiB was enough"
grep -q COW_FULL "$vm_dir/full" || fail "not said as COW_FULL: $(cat "$vm_dir/full")"
vm_sh source 'dmsetup ls; ls -1 /sys/block' >"$vm_dir/after"
if grep -qE 'view-|cow-|zram[1-9]' "$vm_dir/after"; then fail "left over after a failure: $(cat "$vm_dir/after")"; fi

vm_sh source 'cd /run && migrator prepare --plan plan.json >/dev/null 2>&1' || fail "it does not work after a failure"
vm_sh source 'migrator prepare --teardown && dmsetup ls && ls -1 /sys/block' >"$vm_dir/after" || fail "teardown"
if grep -qE 'view-|cow-|zram[1-9]' "$vm_dir/after"; then fail "left over: $(cat "$vm_dir/after")"; fi
vm_stop source
[ "$before" = "$(sha256sum "$a" "$b")" ] || fail "the bytes of the source changed"
