#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The source's disk cannot be read at three sectors. By default that is fatal, after all else has arrived: the console names
# disk, sector and file. When the job allows it, the copy is made with zeros in just these sectors, and verify.json lists them.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
vm_needs "$iso"
receiver=$top/build/musl/receiver
[ -x "$receiver" ] || skip "build/musl/receiver is not built"

# A root file system that can be taken for a Linux, with a file whose blocks can be found.
mkdir -p "$vm_dir/root/etc" "$vm_dir/root/sbin" "$vm_dir/root/boot" "$vm_dir/root/srv/data"
printf 'PRETTY_NAME="Small Linux 1"\nID=small\n' >"$vm_dir/root/etc/os-release"
cp /bin/true "$vm_dir/root/sbin/init"
echo '/dev/nvme0n1p1 / ext4 defaults 0 1' >"$vm_dir/root/etc/fstab"
head -c 40M /dev/urandom >"$vm_dir/root/srv/data/payload"
truncate -s 300M "$vm_dir/fs.img"
mke2fs -q -t ext4 -b 4096 -d "$vm_dir/root" "$vm_dir/fs.img"
truncate -s 400M "$vm_dir/disk.img"
printf 'label: gpt\nstart=1MiB, size=300MiB, type=L\n' | sfdisk -q "$vm_dir/disk.img"
dd if="$vm_dir/fs.img" of="$vm_dir/disk.img" bs=1M seek=1 conv=notrunc,sparse status=none
before=$(sha256sum <"$vm_dir/disk.img")
block_of() { debugfs -R "bmap /srv/data/payload $1" "$vm_dir/fs.img" 2>/dev/null; }
first=$((2048 + $(block_of 1000) * 8 + 3))
second=$((2048 + $(block_of 7000) * 8))

mkdir "$vm_dir/files"
"$receiver" serve --state "$vm_dir/state" --files "$vm_dir/files" --listen 127.0.0.1 --advertise 10.0.2.2 \
	--control-port 0 --data-port 0 >"$vm_dir/receiver.log" 2>&1 &
vm_helpers+=($!)
until grep -q '^activation: ' "$vm_dir/receiver.log"; do sleep 0.1; done
code=$(sed -n 's/^activation: //p' "$vm_dir/receiver.log")

# QEMU refuses to read the three sectors (two of them side by side), as a worn disk does.
migrate() { # NAME JOB
	local bad=file.inject-error i=0 sector drive
	drive="if=none,id=d0,driver=raw,file.driver=blkdebug,file.image.driver=file,file.image.filename=$vm_dir/disk.img"
	for sector in $first $second $((second + 1)); do
		drive="$drive,$bad.$i.event=read_aio,$bad.$i.errno=5,$bad.$i.sector=$sector"
		i=$((i + 1))
	done
	printf '%s\n' "$2" >"$vm_dir/job.json"
	vm_iso "$vm_dir/$1.iso" --activation "$code" --job "$vm_dir/job.json" --args 'ip=dhcp'
	vm_start "$1" bios 256 -boot d -cdrom "$vm_dir/$1.iso" -netdev user,id=n -device e1000,netdev=n \
		-drive "$drive" -device nvme,drive=d0,serial=WORN
}

migrate strict '{}'
vm_wait strict 600 "SOURCE_READ_ERROR.*disk nvme0n1 cannot be read at sector $first "
vm_says strict 'file /srv/data/payload \(inode' || vm_wait strict 600 '/srv/data/payload'
vm_stop strict
taken=$(sed -n 's/.*"chunks": *\([0-9]*\).*/\1/p' "$vm_dir/state/artefacts/verify.json" 2>/dev/null || true)
[ -z "$taken" ] || fail "a run that failed left a proof"

migrate lenient '{"holes_outside": ["/etc", "/srv/database"]}'
vm_wait lenient 600 'Finished|InError'
vm_says lenient 'its disks have not been used since' || fail "the console does not say that the source is as it was"
vm_says lenient 'all is copied but 1.5 KiB in 2 places that cannot be read' || fail "the console does not say what is lacking"
vm_stop lenient
python3 - "$vm_dir/state/artefacts/verify.json" "$first" "$second" <<'PY'
import json, sys
holes = json.load(open(sys.argv[1]))["disks"][0]["holes"]
first, second = int(sys.argv[2]), int(sys.argv[3])
found = sorted((hole["sector"], hole["bytes"]) for hole in holes)
assert found == sorted([(first, 512), (second, 1024)]), found
for hole in holes:
	assert hole["source"] == "nvme0n1", hole
	assert [place["names"] for place in hole["places"]] == [["/srv/data/payload"]], hole
PY

[ "$(sha256sum <"$vm_dir/disk.img")" = "$before" ] || fail "the source changed"
dd if="$vm_dir/files/disk0.raw" of="$vm_dir/copy.img" bs=1M skip=1 count=300 conv=sparse status=none
e2fsck -fn "$vm_dir/copy.img" >/dev/null
debugfs -R "dump /srv/data/payload $vm_dir/payload" "$vm_dir/copy.img" 2>/dev/null
dd if=/dev/zero of="$vm_dir/root/srv/data/payload" bs=512 seek=$((1000 * 8 + 3)) count=1 conv=notrunc status=none
dd if=/dev/zero of="$vm_dir/root/srv/data/payload" bs=512 seek=$((7000 * 8)) count=2 conv=notrunc status=none
cmp "$vm_dir/root/srv/data/payload" "$vm_dir/payload"
"$receiver" verify --disk "$vm_dir/files/disk0.raw" --proof "$vm_dir/state/artefacts/verify.json" \
	--leaves "$vm_dir/state/artefacts/verify.leaves" >/dev/null || fail "the proof does not hold"
