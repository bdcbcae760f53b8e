#!/usr/bin/env bash
# After the copy the receiver reads its disk back. A bit that flipped there is found, the file that it is in is named,
# its chunk alone is sent again, and verify.json says so. No bulk traffic: reading back 200 MiB takes some kilobytes.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir -p "$work/tree/srv/data" "$work/proof"
head -c 3000000 /dev/urandom >"$work/tree/srv/data/payload"
head -c 20000 /dev/urandom >"$work/tree/other"
truncate -s 200M "$work/disk"
mke2fs -q -F -t ext4 -d "$work/tree" "$work/disk"
start_receiver
# The run id stays, so the second send finds all durable and goes to verification at once.
run_id=$(printf '%064d' 7)
send --run-id "$run_id" "$work/disk"
first=$(result sent_chunks)

python3 - "$work/tree/srv/data/payload" "$target/disk0.raw" <<'PY'
import mmap, sys
mark = open(sys.argv[1], "rb").read()[2000000:2000064]
with open(sys.argv[2], "r+b") as f:
	disk = mmap.mmap(f.fileno(), 0)
	at = disk.find(mark)
	assert at > 0
	disk[at] ^= 1
PY
! cmp -s "$work/disk" "$target/disk0.raw" || fail "nothing was flipped"
send --run-id "$run_id" --proof "$work/proof" "$work/disk"
[ "$(result sent_chunks)" -eq 0 ] || fail "sent $(result sent_chunks) of $first chunks before the verification"
python3 - "$work/proof/verify.json" <<'PY'
import json, sys
disk = json.load(open(sys.argv[1]))["disks"][0]
assert disk["mended_chunks"] == 1, disk
assert len(disk["bad"]) == 1 and disk["bad"][0]["mended"] and disk["bad"][0]["fault"] == "differs", disk
places = disk["bad"][0]["places"]
assert len(places) == 1 and places[0].startswith("disk: file /srv/data/payload (inode "), disk["bad"]
assert [length for _, length in disk["bad"][0]["differs"]] == [4096], disk["bad"]
PY
grep -q 'it holds disk: file /srv/data/payload' "$work/migrator.log" || fail "the log does not name the file"
e2fsck -fn "$target/disk0.raw" >/dev/null 2>&1 || fail "the copy is not clean"
"$RECEIVER" verify --disk "$target/disk0.raw" --proof "$work/proof/verify.json" --leaves "$work/proof/verify.leaves" ||
	fail "the proof does not hold"
