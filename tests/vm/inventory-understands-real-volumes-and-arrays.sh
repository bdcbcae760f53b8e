#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Volumes and arrays made by lvm and mdadm: the inventory tells them from the bytes of their disks, with nothing
# assembled; a plan's segments, read from the disks, are the bytes that the volume had; and the plan refuses arrays
# that are degraded or were cut off while written.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
vm_needs "$iso" "$top/build/asan/migrator"

options=()
letters=(a b c d e f g h)
for n in "${!letters[@]}"; do
	truncate -s 200M "$vm_dir/vd${letters[n]}"
	options+=(-drive "if=virtio,format=raw,file=$vm_dir/vd${letters[n]}")
done
vm_iso "$vm_dir/cd.iso" --args coldlift.mode=shell
vm_start maker bios 512 -cdrom "$vm_dir/cd.iso" "${options[@]}"
vm_wait maker 600 'coldlift: ready'

ok() { # COMMANDS: all of them succeed
	local status=0
	(vm_sh maker "(set -e; export LVM_SUPPRESS_FD_WARNINGS=1; $1)") >"$vm_dir/out" 2>&1 || status=$?
	[ $status = 0 ] || fail "$1: status $status, $(cat "$vm_dir/out")"
}

# shellcheck disable=SC2016 # expanded in the machine
ok 'for d in a b c d e f g h; do blockdev --setrw /dev/vd$d; done'
# Two disks of LVM: a volume in two pieces around another, a striped one, a mirror, a snapshot, a thin pool.
ok 'pvcreate -q /dev/vda /dev/vdb; vgcreate -q -s 1M vg-1 /dev/vda /dev/vdb'
ok 'lvcreate -q -L 20M -n two vg-1 /dev/vda; lvcreate -q -L 8M -n between vg-1 /dev/vda'
ok 'lvextend -q -L 36M vg-1/two /dev/vda; lvcreate -q -i 2 -I 64k -L 48M -n striped vg-1'
ok 'lvcreate -q --type raid1 -m 1 -L 8M -n mirrored vg-1; lvcreate -q -L 12M --thinpool pool vg-1'
ok 'lvcreate -q -L 8M -n origin vg-1; lvcreate -q -s -L 4M -n snap vg-1/origin'
ok 'mke2fs -q -t ext4 -L two -d /etc /dev/vg-1/two; mke2fs -q -t ext4 -L striped -d /etc /dev/vg-1/striped'
ok 'sha256sum /dev/vg-1/two /dev/vg-1/striped'
cp "$vm_dir/out" "$vm_dir/sums"
ok 'vgchange -q -an vg-1'
# A clean array; one of the old kind that has lost a disk; one that is being written when the power goes.
ok 'mdadm --create /dev/md0 --run --assume-clean --metadata=1.2 -l1 -n2 /dev/vdc /dev/vdd; mdadm --stop /dev/md0'
ok 'mdadm --create /dev/md1 --run --assume-clean --metadata=0.90 -l1 -n2 /dev/vde /dev/vdf'
ok 'mdadm /dev/md1 --fail /dev/vdf; mdadm --stop /dev/md1'
ok 'mdadm --create /dev/md2 --run --assume-clean --metadata=1.0 -l1 -n2 --bitmap=none /dev/vdg /dev/vdh'
# Without its delay it would be clean again a fifth of a second after a write, and the next one may come later.
ok 'echo 0 >/sys/block/md2/md/safe_mode_delay; dd if=/dev/urandom of=/dev/md2 bs=4k count=1 conv=fsync
	grep -qx active /sys/block/md2/md/array_state'
vm_stop maker

disks=()
for l in "${letters[@]}"; do disks+=(--disk "vd$l=$vm_dir/vd$l"); done
"$top/build/asan/migrator" inventory "${disks[@]}" -o "$vm_dir/inventory.json" || fail "no inventory"
"$top/build/asan/migrator" plan --inventory "$vm_dir/inventory.json" -o "$vm_dir/refused.json" 2>/dev/null &&
	fail "the plan is not refused"
"$top/build/asan/migrator" plan --inventory "$vm_dir/inventory.json" -o "$vm_dir/plan.json" 2>/dev/null \
	--allow RAID_DEGRADED,RAID_DIRTY,LINUX_ROOT_NOT_FOUND,ENS_TOO_MANY_DATA_DISKS || fail "the plan is refused all the same"

python3 - "$vm_dir" <<'PYTHON' || fail "see above"
import hashlib, json, re, sys
top = sys.argv[1]
inventory, refused, plan = (json.load(open("%s/%s.json" % (top, n))) for n in ("inventory", "refused", "plan"))
assert inventory["problems"] == [], inventory["problems"]

group, = inventory["lvm"]["groups"]
assert group["name"] == "vg-1" and [p["device"] for p in group["pvs"]] == ["vda", "vdb"], group
lvs = {lv["name"]: lv for lv in group["lvs"]}
assert lvs["two"]["plain"] and len(lvs["two"]["segments"]) == 2, lvs["two"]
assert lvs["striped"]["plain"] and lvs["striped"]["segments"][0]["stripe_bytes"] == 65536, lvs["striped"]
for name in ("mirrored", "pool", "origin", "snap"):
    assert not lvs[name]["plain"], lvs[name]
for name in ("two", "striped"):
    assert lvs[name]["content"]["label"] == name, lvs[name]["content"]
    assert not lvs[name]["content"]["dirty"]

# What the plan says of the volumes, read from the disks, is what they were.
sums = dict((m[2], m[1]) for m in re.finditer(r"([0-9a-f]{64})  /dev/vg-1/(\w+)", open(top + "/sums").read()))
for volume in plan["volumes"]:
    if volume["lv"] not in sums:
        continue
    h = hashlib.sha256()
    for s in volume["segments"]:
        with open("%s/%s" % (top, plan["disks"][s["disk"]]["source"]), "rb") as disk:
            disk.seek(s["disk_offset_bytes"])
            h.update(disk.read(s["length_bytes"]))
    assert h.hexdigest() == sums.pop(volume["lv"]), "volume %s has other bytes" % volume["lv"]
assert not sums, "not in the plan: %s" % sums
assert {v["lv"] for v in plan["volumes"]} == {"two", "between", "striped"}, plan["volumes"]

arrays = {a["members"][0]["device"]: a for a in inventory["md"]}
facts = {d: (a["metadata"], a["level"], a["raid_disks"], a["active"], a["degraded"]) for d, a in arrays.items()}
assert facts["vdc"] == ("1.2", 1, 2, 2, False) and not arrays["vdc"]["dirty"], arrays["vdc"]
assert facts["vde"] == ("0.90", 1, 2, 1, True), arrays["vde"]
assert facts["vdg"] == ("1.0", 1, 2, 2, False) and arrays["vdg"]["dirty"], arrays["vdg"]
codes = {r["code"] for r in refused["refusals"]}
assert {"RAID_DEGRADED", "RAID_DIRTY"} <= codes, codes
PYTHON
