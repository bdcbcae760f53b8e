#!/usr/bin/env bash
# `receiver verify` proves the target by verify.json on its own, also in a larger disk; a flipped bit is found by the
# proof alone and located with verify.leaves. What cannot be used is said, with exit status 1.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

random_image "$work/disk" 20
truncate -s 60M "$work/disk"
printf end >>"$work/disk"
start_receiver
mkdir "$work/proof"
send --whole --proof "$work/proof" "$work/disk"
stop_receiver

prove() {
	"$RECEIVER" verify --disk "$work/copy" --proof "$work/proof/verify.json" "$@" >"$work/verify.out" 2>"$work/verify.err"
}
refused() {
	local rc=0
	"$@" || rc=$?
	[ "$rc" -eq 1 ] || fail "exit status $rc instead of 1"
}

cp --sparse=always "$target/disk0.raw" "$work/copy"
prove || fail "$(cat "$work/verify.err")"
grep -q '^equal: ' "$work/verify.out" || fail "$(cat "$work/verify.out")"
! grep -q '^note: ' "$work/verify.out" || fail "$(cat "$work/verify.out")"
truncate -s 100M "$work/copy"
prove --leaves "$work/proof/verify.leaves" --rest || fail "$(cat "$work/verify.err")"
grep -q '^equal: .* the rest of it is zero' "$work/verify.out" || fail "$(cat "$work/verify.out")"
prove || fail "$(cat "$work/verify.err")"
grep -q '^note: [0-9]* bytes behind the disk .* were not looked at' "$work/verify.out" || fail "$(cat "$work/verify.out")"

printf x | dd of="$work/copy" bs=1 seek=$((90 * mib)) conv=notrunc status=none
refused prove --rest
grep -q 'VERIFY_MISMATCH.*behind it not all is zero' "$work/verify.err" || fail "$(cat "$work/verify.err")"
printf x | dd of="$work/copy" bs=1 seek=$((50 * mib + 7)) conv=notrunc status=none
refused prove
grep -q 'VERIFY_MISMATCH' "$work/verify.err" || fail "$(cat "$work/verify.err")"
refused prove --leaves "$work/proof/verify.leaves"
[ "$(grep -c '^differs: ' "$work/verify.out")" -eq 1 ] || fail "$(cat "$work/verify.out")"
grep -q "^differs: bytes $((50 * mib)) to $((51 * mib - 1))\$" "$work/verify.out" || fail "$(cat "$work/verify.out")"

printf x | dd of="$work/copy" bs=1 seek=$((60 * mib + 1)) conv=notrunc status=none
refused prove --leaves "$work/proof/verify.leaves"
grep -q "^differs: bytes $((60 * mib)) to $((60 * mib + 511))\$" "$work/verify.out" || fail "$(cat "$work/verify.out")"

if command -v qemu-img >/dev/null; then
	qemu-img convert -O qcow2 -c "$target/disk0.raw" "$work/copy"
	prove --leaves "$work/proof/verify.leaves" --rest || fail "qcow2: $(cat "$work/verify.err")"
	cp --sparse=always "$target/disk0.raw" "$work/raw"
	printf x | dd of="$work/raw" bs=1 seek=$((50 * mib + 7)) conv=notrunc status=none
	qemu-img convert -O qcow2 -c "$work/raw" "$work/copy"
	refused prove --leaves "$work/proof/verify.leaves"
	grep -q "^differs: bytes $((50 * mib)) to $((51 * mib - 1))\$" "$work/verify.out" || fail "$(cat "$work/verify.out")"
fi

rm "$work/copy"
refused prove
grep -q 'FILE_UNREADABLE.*copy' "$work/verify.err" || fail "$(cat "$work/verify.err")"
cp --sparse=always "$target/disk0.raw" "$work/copy"
truncate -s 60M "$work/copy"
refused prove
grep -q 'VERIFY_TOO_SMALL' "$work/verify.err" || fail "$(cat "$work/verify.err")"
printf x | dd of="$work/proof/verify.leaves" bs=1 seek=100 conv=notrunc status=none
refused prove --leaves "$work/proof/verify.leaves"
grep -q 'LEAVES_INVALID' "$work/verify.err" || fail "$(cat "$work/verify.err")"
echo '{"disks": 7}' >"$work/proof/verify.json"
refused prove
grep -q 'PROOF_INVALID' "$work/verify.err" || fail "$(cat "$work/verify.err")"
