#!/usr/bin/env bash
# Not only files: a bit that flips in the partition table, its last copy, a file system's superblock, the header of a
# swap space, in what is a hole at the source, and in the short last chunk is found, said in words, and mended.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
command -v sfdisk >/dev/null || skip "needs sfdisk"

disk_bytes=$((64 * mib + 5 * 512))
truncate -s $disk_bytes "$work/disk"
sfdisk -q "$work/disk" <<'END'
label: gpt
start=2048, size=81920
start=83968, size=20480, type=0657FD6D-A4AB-43C4-84E5-0933C84B4F4F
END
mke2fs -q -F -t ext4 -E offset=$mib "$work/disk" 40M 2>/dev/null
truncate -s 10M "$work/swap"
mkswap -q "$work/swap"
dd if="$work/swap" of="$work/disk" bs=1M seek=41 conv=notrunc,sparse status=none
mkdir "$work/proof"
start_receiver
run_id=$(printf '%064d' 7)
send --run-id "$run_id" "$work/disk"

# flips BYTE NAME...: this one bit, and what verify.json says of it.
flips() {
	local at=$1
	shift
	python3 - "$target/disk0.raw" "$at" <<'PY'
import sys
with open(sys.argv[1], "r+b") as f:
	f.seek(int(sys.argv[2]))
	byte = f.read(1)[0]
	f.seek(int(sys.argv[2]))
	f.write(bytes([byte ^ 16]))
PY
	sync "$target/disk0.raw"
	send --run-id "$run_id" --proof "$work/proof" "$work/disk"
	python3 - "$work/proof/verify.json" "$at" "$@" <<'PY' || fail "a bit at byte $at"
import json, sys
disk = json.load(open(sys.argv[1]))["disks"][0]
at, names = int(sys.argv[2]), sys.argv[3:]
assert disk["mended_chunks"] == 1 and len(disk["bad"]) == 1, disk
bad = disk["bad"][0]
assert bad["mended"] and bad["chunk"] == at >> 20, bad
assert bad["differs"] == [[at // 4096 * 4096, min(4096, disk["size_bytes"] - at // 4096 * 4096)]], bad
for name in names:
	assert name in bad["places"], (name, bad)
PY
	cmp "$work/disk" "$target/disk0.raw"
}
flips 530 'disk: partition table'
flips $((disk_bytes - 500)) 'disk: partition table'
flips $((mib + 1024 + 56)) 'disk, partition 1: superblock'
flips $((41 * mib + 1100)) 'disk, partition 2: swap space'
flips $((45 * mib)) 'zeros where the source uses nothing'
flips $((64 * mib - 40000)) 'zeros where the source uses nothing'
