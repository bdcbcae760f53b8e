#!/usr/bin/env bash
# Incremental: 1 % of the 4 KiB blocks have changed, scattered over nearly every chunk, or side by side. What goes over the
# wire, both ways, TLS and all, is at most 1.5 % of the bytes that all of it took.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

mibs=192
random_image "$work/disk" $mibs
start_receiver
send --whole "$work/disk"
full=$(result wire_bytes)

for where in scattered clustered; do
	python3 - "$work/disk" $where $((mibs * 256)) <<'PY'
import os, random, sys
blocks = int(sys.argv[3])
n = blocks // 100
random.seed(5)
chosen = random.sample(range(blocks), n) if sys.argv[2] == "scattered" else range(blocks // 3, blocks // 3 + n)
with open(sys.argv[1], "r+b") as f:
	for block in chosen:
		f.seek(block * 4096)
		f.write(os.urandom(4096))
PY
	send --whole "$work/disk"
	cmp "$work/disk" "$target/disk0.raw"
	sent=$(result wire_bytes) received=$(result received_bytes)
	at_least "$(result patched_chunks)" 1 "$where: chunks that were patched"
	at_most $((sent + received)) $((full * 15 / 1000)) "$where: bytes on the wire, $full for all of it"
	echo "$where: $sent sent, $received received, $(result patched_chunks) of $mibs chunks patched; $full for all of it"
done
