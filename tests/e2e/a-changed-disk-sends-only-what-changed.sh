#!/usr/bin/env bash
# Incremental: another run id, so all is read, and only chunks with another digest travel. Data that became
# zero, and zero that became data, too.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

random_image "$work/disk" 100
truncate -s 200M "$work/disk"
start_receiver
send --whole "$work/disk"
full=$(result wire_bytes)

printf changed | dd of="$work/disk" bs=1 seek=$((37 * mib + 1234)) conv=notrunc status=none
dd if=/dev/zero of="$work/disk" bs=1M seek=50 count=1 conv=notrunc status=none
printf data | dd of="$work/disk" bs=1 seek=$((150 * mib + 5)) conv=notrunc status=none
send --whole "$work/disk"
cmp "$work/disk" "$target/disk0.raw"
[ "$(result patched_chunks)" -eq 1 ] || fail "patched $(result patched_chunks) chunks instead of 1"
[ "$(result sent_chunks)" -eq 2 ] || fail "sent $(result sent_chunks) chunks instead of 2"
[ "$(result zero_chunks)" -eq 1 ] || fail "told $(result zero_chunks) chunks as zero instead of 1"
[ "$(result kept_chunks)" -eq 197 ] || fail "kept $(result kept_chunks) chunks instead of 197"
at_most "$(result wire_bytes)" $((full * 15 / 1000)) "bytes on the wire for 1 % of changed chunks"
