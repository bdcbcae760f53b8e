#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A migrator that is killed in the middle of the copy and started again in the same boot takes up the views that
# stand, sends only what is missing, and the copy is whole.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
vm_needs "$iso"
receiver=$top/build/musl/receiver
[ -x "$receiver" ] || skip "build/musl/receiver is not built"

# A root file system that can be taken for a Linux, with enough in it to be caught in the middle of.
mkdir -p "$vm_dir/root/etc" "$vm_dir/root/sbin" "$vm_dir/root/boot"
printf 'PRETTY_NAME="Small Linux 1"\nID=small\n' >"$vm_dir/root/etc/os-release"
cp /bin/true "$vm_dir/root/sbin/init"
echo '/dev/sda1 / ext4 defaults 0 1' >"$vm_dir/root/etc/fstab"
head -c 300M /dev/urandom >"$vm_dir/root/big"
truncate -s 900M "$vm_dir/fs.img"
mke2fs -q -t ext4 -d "$vm_dir/root" "$vm_dir/fs.img"
truncate -s 1G "$vm_dir/disk.img"
printf 'label: gpt\nstart=1MiB, size=900MiB, type=L\n' | sfdisk -q "$vm_dir/disk.img"
dd if="$vm_dir/fs.img" of="$vm_dir/disk.img" bs=1M seek=1 conv=notrunc,sparse status=none
before=$(sha256sum <"$vm_dir/disk.img")

mkdir "$vm_dir/files"
"$receiver" serve --state "$vm_dir/state" --files "$vm_dir/files" --listen 127.0.0.1 --advertise 10.0.2.2 \
	--control-port 0 --data-port 0 >"$vm_dir/receiver.log" 2>&1 &
vm_helpers+=($!)
until grep -q '^activation: ' "$vm_dir/receiver.log"; do sleep 0.1; done
code=$(sed -n 's/^activation: //p' "$vm_dir/receiver.log")

# 80 Mbit/s make the copy last for half a minute.
printf '{"rate_mbit": 80, "compression": 0}\n' >"$vm_dir/job.json"
vm_iso "$vm_dir/cd.iso" --activation "$code" --job "$vm_dir/job.json" --args 'ip=dhcp'
vm_start source bios 256 -boot d -cdrom "$vm_dir/cd.iso" -netdev user,id=n -device e1000,netdev=n \
	-device ahci,id=ahci -drive "if=none,id=d0,format=raw,file=$vm_dir/disk.img" -device ide-hd,bus=ahci.0,drive=d0
vm_wait source 600 'Running Syncing +[2-6][0-9]%'
vm_line source shell
vm_prompt source
# Detached, as the init script takes the port for another shell once the migrator has ended.
again='killall -9 migrator; sleep 4; COLDLIFT_CONSOLES= migrator run --cmdline >/run/second.log 2>&1'
vm_line source "setsid sh -c '$again; echo second status \$? \$(grep -c views.that.stand /run/coldlift/migrator.log) >/dev/ttyS0' </dev/null >/dev/null 2>&1 &"
vm_wait source 600 'second status 0 1'
vm_stop source

[ "$(sha256sum <"$vm_dir/disk.img")" = "$before" ] || fail "the source changed"
dd if="$vm_dir/files/disk0.raw" of="$vm_dir/copy.img" bs=1M skip=1 count=900 conv=sparse status=none
e2fsck -fn "$vm_dir/copy.img" >/dev/null
debugfs -R "dump /big $vm_dir/big" "$vm_dir/copy.img" 2>/dev/null
cmp "$vm_dir/root/big" "$vm_dir/big"

# Its log is at the receiver, and nothing in it opens one.
log=$vm_dir/state/artefacts/source.log
grep -q 'views that stand' "$log" || fail "the log did not arrive: $(tail -n 3 "$log")"
token=$(sed -n 's/.*"token": "\([0-9a-f]*\)".*/\1/p' "$vm_dir/state/token.json")
[ -n "$token" ] || fail "no token to look for"
! grep -qiF -e "$token" -e "${code#*.}" "$log" || fail "the log has the token or the activation code"
