#!/usr/bin/env bash
# Data, zeros, holes and an odd size; then the same again: nothing is read, next to nothing is sent.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

files_image "$work/disk" 48
random_image "$work/random" 20
cat "$work/random" >>"$work/disk"
head -c 10485760 /dev/zero >>"$work/disk"
head -c 1234567 "$work/random" >>"$work/disk"
truncate -s +70M "$work/disk"
head -c 512 "$work/random" >>"$work/disk"
truncate -s +$((512 - $(stat -c %s "$work/disk") % 512)) "$work/disk"

start_receiver
send --whole "$work/disk"
cmp "$work/disk" "$target/disk0.raw"
# A fresh file is known to be zero, so zeros are told as right.
at_least $(($(result zero_chunks) + $(result kept_chunks))) 78 "chunks that were not sent"
at_most "$(result wire_bytes)" $((60 * mib)) "bytes on the wire"
allocated=$(($(stat -c %b "$target/disk0.raw") * 512))
at_most "$allocated" $((72 * mib)) "allocated bytes of the sparse target"

send --whole "$work/disk"
at_most "$(result read_bytes)" 0 "bytes read in the second run"
at_most "$(result wire_bytes)" 20000 "bytes on the wire in the second run"
cmp "$work/disk" "$target/disk0.raw"
