#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Three disks are copied side by side, two of which look alike as long as nobody reads the numbers on them. One is pulled
# out and comes back; then all are, and come back in another order, until each has the name that another one had. Each
# time the console says which is missing, what is there goes on, and at the end each copy is that of its own disk.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/vm/lib-copy.sh
. "$(dirname "$0")/lib-copy.sh"
copy_needs
copy_source 200 sda1
copy_receiver
# Of no content that is known, so the whole is copied; and what they would be told apart by is the same.
head -c 1M /dev/urandom >"$vm_dir/head"
for name in data twin; do (cat "$vm_dir/head" && head -c 149M /dev/urandom) >"$vm_dir/$name.img"; done

plug() { # ID LUN FILE SERIAL
	vm_monitor source "drive_add 0 if=none,id=drive-$1,format=raw,file=$3"
	vm_monitor source "device_add scsi-hd,id=$1,bus=bus.0,lun=$2,drive=drive-$1,serial=$4"
}
# Names are given in the order in which disks answer, which is not always that of their places.
name_of() { # SERIAL
	python3 -c 'import json, sys
print(next(d["name"] for d in json.load(open(sys.argv[1]))["disks"] if d["serial"] == sys.argv[2]))' \
		"$vm_dir/state/artefacts/inventory.json" "$1"
}
is_back() { vm_wait source 600 "disk $1 was away and is back, as $2; the copy goes on"; }

# shellcheck disable=SC2034 # so much that all are copied at the same time
copy_memory_mib=768
copy_boot source '{"rate_mbit": 64, "compression": 0}' -device virtio-scsi-pci,id=bus \
	-drive "if=none,id=d0,format=raw,file=$disk" -device scsi-hd,id=root0,bus=bus.0,lun=0,drive=d0,serial=ROOT \
	-drive "if=none,id=d1,format=raw,file=$vm_dir/data.img" -device scsi-hd,id=data0,bus=bus.0,lun=1,drive=d1,serial=DATA \
	-drive "if=none,id=d2,format=raw,file=$vm_dir/twin.img" -device scsi-hd,id=twin0,bus=bus.0,lun=2,drive=d2,serial=TWIN
copy_middle source 100
root=$(name_of ROOT) data=$(name_of DATA) twin=$(name_of TWIN)

# The second alone. The others go on meanwhile.
vm_monitor source 'device_del data0'
vm_wait source 600 "disk $data does not answer; waiting up to"
plug data1 4 "$vm_dir/data.img" DATA
is_back "$data" sdd
# All. Of the first four names only the second disk's first one is free.
for id in root0 data1 twin0; do vm_monitor source "device_del $id"; done
# In the kernel's order, whichever is whose; the line has no room for all of the third.
vm_wait source 600 'disk sd[abc] does not answer; .*; disk sd[abc] does not answer; .*; disk sd[abc] do'
plug twin1 5 "$vm_dir/twin.img" TWIN
is_back "$twin" "$data"
plug root1 6 "$disk" ROOT
is_back "$root" "$twin"
plug data2 7 "$vm_dir/data.img" DATA
is_back "$data" "$root"
copy_goes_on
vm_wait source 600 'Finished|InError'
vm_says source 'all is copied and durable on the receiver' || fail "the copy did not go on"
vm_stop source

[ "$(sha256sum <"$disk")" = "$before" ] || fail "the first disk changed"
copy_is_equal
n=1
for name in $(printf '%s data\n%s twin\n' "$data" "$twin" | sort | cut -d ' ' -f 2); do
	cmp "$vm_dir/$name.img" <(head -c 150M "$vm_dir/files/disk$n.raw") || fail "the copy of $name differs"
	n=$((n + 1))
done
