#!/usr/bin/env bash
# --digest sha-256: another program computes the same digests and root from the source's bytes; verify.json, verify.leaves, the
# receiver and an image name the digest and carry the root; a flipped bit is found, located and mended. What an earlier run of
# the other digest left is sent again. A server that does not know the digest is refused.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null || skip "no python3"

random_image "$work/disk" 20
truncate -s 60M "$work/disk"
printf end >>"$work/disk"
truncate -s $((60 * mib + 512)) "$work/disk"
start_receiver
send --whole "$work/disk"
first=$(result sent_chunks)
mkdir "$work/proof"
send --whole --digest sha-256 --proof "$work/proof" "$work/disk"
[ "$(result sent_chunks)" -eq "$first" ] || fail "of $first chunks with data $(result sent_chunks) were sent again"
grep -q "the source wants sha-256 digests; $first chunks" "$work/receiver.log" || fail "the receiver does not say that it starts over"
send --whole --digest sha-256 "$work/disk"
[ "$(result sent_chunks)" -eq 0 ] || fail "$(result sent_chunks) chunks were sent again with the same digest"

cat >"$work/root.py" <<'END'
import hashlib, json, struct, sys

disk, proof, leaves = (open(name, "rb").read() for name in sys.argv[1:4])
sha = lambda data: hashlib.sha256(data).digest()
chunks = [disk[at : at + (1 << 20)] for at in range(0, len(disk), 1 << 20)]
digests = [sha(chunk) for chunk in chunks]
level = [sha(b"\0" + digest) for digest in digests]
while len(level) > 1:
    level = [sha(b"\1" + b"".join(level[at : at + 2])) if at + 1 < len(level) else level[at] for at in range(0, len(level), 2)]
root = level[0]
proof = json.loads(proof)
assert proof["digest"] == "sha-256" and proof["disks"][0]["merkle_root"] == root.hex(), proof
assert leaves[:12] == b"CLFTLEAF\0\1\x14\2" and leaves[-32:] == sha(leaves[:-32])
assert struct.unpack(">IIIQQ", leaves[12:40]) == (1, 0, 0, len(disk), len(chunks))
at, n = 40, 0
while n < len(chunks):
    count, state = struct.unpack(">IB3x", leaves[at : at + 8])
    at += 8
    for _ in range(count):
        if state == 2:
            assert leaves[at : at + 32] == digests[n], n
            at += 32
        else:
            assert not chunks[n].strip(b"\0"), n
        n += 1
assert n == len(chunks) and at == len(leaves) - 32
for image in sys.argv[4:]:
    head = open(image, "rb").read(65536)
    at = struct.unpack(">I", head[100:104])[0]
    while struct.unpack(">I", head[at : at + 4])[0] != 0x434C4D52:
        at += 8 + (struct.unpack(">I", head[at + 4 : at + 8])[0] + 7 & ~7)
    assert head[at + 8 : at + 11] == b"\1\2\x14" and head[at + 24 : at + 56] == root, head[at : at + 56]
END
python3 "$work/root.py" "$work/disk" "$work/proof/verify.json" "$work/proof/verify.leaves" || fail "another program disagrees"

# A bit that flips on the target, at a place that the copy does not look at again.
printf x | dd of="$target/disk0.raw" bs=1 seek=$((5 * mib + 17)) conv=notrunc status=none
send --whole --digest sha-256 --proof "$work/proof" "$work/disk"
grep -q '"mended_chunks": 1' "$work/proof/verify.json" || fail "$(cat "$work/proof/verify.json")"
cmp "$work/disk" "$target/disk0.raw" || fail "not mended"
python3 "$work/root.py" "$work/disk" "$work/proof/verify.json" "$work/proof/verify.leaves" || fail "another root after mending"

# After the receiver was killed its journal still has these digests.
stop_receiver KILL
start_receiver
send --whole --digest sha-256 "$work/disk"
[ "$(result sent_chunks)" -eq 0 ] || fail "$(result sent_chunks) chunks were sent again to a receiver that was killed"
stop_receiver

"$RECEIVER" verify --disk "$target/disk0.raw" --proof "$work/proof/verify.json" --leaves "$work/proof/verify.leaves" >/dev/null
"$RECEIVER" image --disk "$target/disk0.raw" --out "$work/image.qcow2" --proof "$work/proof/verify.json" \
	--leaves "$work/proof/verify.leaves" --report "$work/image.json"
grep -q '"digest": "sha-256"' "$work/image.json" || fail "$(cat "$work/image.json")"
python3 "$work/root.py" "$work/disk" "$work/proof/verify.json" "$work/proof/verify.leaves" "$work/image.qcow2" ||
	fail "the image carries another root"
"$RECEIVER" verify --disk "$work/image.qcow2" --proof "$work/proof/verify.json" >/dev/null
printf y | dd of="$target/disk0.raw" bs=1 seek=$((7 * mib)) conv=notrunc status=none
! "$RECEIVER" verify --disk "$target/disk0.raw" --proof "$work/proof/verify.json" --leaves "$work/proof/verify.leaves" \
	>"$work/verify.out" 2>&1 || fail "a changed byte is equal"
grep -q "^differs: bytes $((7 * mib)) to $((8 * mib - 1))\$" "$work/verify.out" || fail "$(cat "$work/verify.out")"

start_receiver
! send --whole --digest sha-256 --no-extension "$work/disk" || fail "nothing was said of a server without the digest"
grep -q DIGEST_UNSUPPORTED "$work/migrator.log" || fail "$(cat "$work/migrator.log")"
if command -v nbdkit >/dev/null; then
	rc=0
	nbdkit -f -U "$work/sock" memory 100M 2>/dev/null &
	nbdkit=$!
	wait_for 600 accepts "$work/sock" || fail "nbdkit did not start"
	"$MIGRATOR" send --whole --digest sha-256 --quiet --nbd "$work/sock" "$work/disk" 2>"$work/nbdkit.err" || rc=$?
	kill "$nbdkit"
	wait "$nbdkit" 2>/dev/null || true
	[ "$rc" -eq 1 ] || fail "nbdkit: exit status $rc"
	grep -q DIGEST_UNSUPPORTED "$work/nbdkit.err" || fail "$(cat "$work/nbdkit.err")"
fi
