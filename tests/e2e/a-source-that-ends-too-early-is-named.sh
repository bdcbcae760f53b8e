#!/usr/bin/env bash
# The map says more than the disk has: the run stops and names disk and sector; nothing is made up.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

random_image "$work/disk" 8
start_receiver
send --whole "$work/disk"
# A map made by hand; its checksum is a chain of SHA-256 over the lines (src/map/text.c).
python3 - "$work/disk" "$work/map" <<'PY'
import hashlib, sys
lines = ["coldlift-map 1", "plan x", f"source 0 {16 << 20} sdq {sys.argv[1]}", f"disk 0 {8 << 20} sdq",
	 f"range 0 0 {4 << 20} 0 {6 << 20}"]
total = bytes(32)
for line in lines:
	total = hashlib.sha256(total + line.encode() + b"\n").digest()
open(sys.argv[2], "w").write("".join(l + "\n" for l in lines) + f"end {total.hex()}\n")
PY
rc=0
"$MIGRATOR" copy --map "$work/map" --activation "$activation" --quiet 2>"$work/error.log" || rc=$?
[ "$rc" -eq 1 ] || fail "exit status $rc instead of 1"
grep -q 'SOURCE_READ_ERROR.*disk sdq ends at sector 16384 ' "$work/error.log" || fail "$(cat "$work/error.log")"
