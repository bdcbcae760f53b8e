#!/usr/bin/env bash
# Disks made by sfdisk, mkfs and mkswap: the inventory has the partitions that sfdisk lists and the contents that blkid
# names, for GPT and MBR, with logical partitions and without any table.
set -eu
cd "$(dirname "$0")/../.."
export PATH=$PATH:/usr/sbin:/sbin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# fill DISK START-SECTOR SECTORS PROGRAM...: what PROGRAM makes of a file goes to that place.
fill() {
	local disk=$1 start=$2 sectors=$3
	shift 3
	rm -f "$work/content"
	truncate -s $((sectors * 512)) "$work/content"
	"$@" "$work/content" >/dev/null 2>&1
	dd if="$work/content" of="$disk" bs=512 seek="$start" conv=notrunc,sparse status=none
}

truncate -s 900M "$work/gpt" "$work/mbr"
truncate -s 400M "$work/whole"
sfdisk -q "$work/gpt" <<-TABLE
	label: gpt
	start=2048, size=4096, type=21686148-6449-6E6F-744E-656564454649, name="BIOS"
	start=6144, size=131072, type=uefi
	start=137216, size=204800, type=linux, name="root ä"
	start=342016, size=921600, type=linux
TABLE
fill "$work/gpt" 6144 131072 mkfs.vfat -n EFI -F 32
fill "$work/gpt" 137216 204800 mke2fs -q -t ext4 -L "root fs"
fill "$work/gpt" 342016 921600 mkfs.xfs -q -L data
sfdisk -q "$work/mbr" <<-TABLE
	label: dos
	label-id: 0xcafe1234
	start=2048, size=204800, type=83, bootable
	start=206848, size=819200, type=5
	start=208896, size=102400, type=82
	start=313344, size=204800, type=83
TABLE
fill "$work/mbr" 2048 204800 mke2fs -q -t ext2 -b 1024
fill "$work/mbr" 208896 102400 mkswap -L swap
fill "$work/mbr" 313344 204800 mke2fs -q -t ext3
mkfs.xfs -q "$work/whole"

build/asan/migrator inventory --disk "sda=$work/gpt" --disk "nvme0n1=$work/mbr" --disk "vdb=$work/whole" \
	-o "$work/inventory.json"
python3 - "$work" <<'PYTHON'
import json, subprocess, sys
work = sys.argv[1]
inventory = json.load(open(work + "/inventory.json"))
assert inventory["problems"] == [], inventory["problems"]

def blkid(path, offset, size):
    out = subprocess.run(["blkid", "-p", "-o", "export", "-O", str(offset), "-S", str(size), path],
                         capture_output=True, text=True).stdout
    return dict(line.split("=", 1) for line in out.splitlines() if "=" in line)

def same(what, ours, theirs):
    assert ours == theirs, "%s: the inventory says %r, the tool %r" % (what, ours, theirs)

for disk, path in zip(inventory["disks"], ("gpt", "mbr", "whole")):
    path = work + "/" + path
    if disk["table"] is None:
        same(disk["name"], disk["content"]["uuid"], blkid(path, 0, disk["size_bytes"])["UUID"])
        continue
    table = json.loads(subprocess.run(["sfdisk", "-J", path], capture_output=True, text=True).stdout)["partitiontable"]
    kinds = {"gpt": "gpt", "mbr": "dos"}
    same("kind", kinds[disk["table"]["kind"]], table["label"])
    same("id", disk["table"]["id"], table["id"].lower().removeprefix("0x"))
    theirs = sorted(table["partitions"], key=lambda p: p["start"])
    same("number of partitions", len(disk["partitions"]), len(theirs))
    for ours, their in zip(disk["partitions"], theirs):
        name = ours["name"]
        same(name + " start", ours["offset_bytes"], their["start"] * 512)
        same(name + " size", ours["length_bytes"], their["size"] * 512)
        same(name + " number", str(ours["number"]), their["node"].removeprefix(path).removeprefix("p"))
        same(name + " type", ours["type"], their["type"].lower() if len(their["type"]) > 2 else "0x%02x" % int(their["type"], 16))
        same(name + " bootable", ours["bootable"], their.get("bootable", False))
        if "uuid" in their:
            same(name + " uuid", ours["uuid"], their["uuid"].lower())
        same(name + " label", ours["label"], their.get("name"))
        if ours["extended"]:
            continue
        content = blkid(path, ours["offset_bytes"], ours["length_bytes"])
        for key, tag in (("type", "TYPE"), ("uuid", "UUID"), ("label", "LABEL")):
            want = content.get(tag)
            same(name + " " + key, ours["content"][key], want.replace("\\ ", " ") if want else None)
PYTHON
