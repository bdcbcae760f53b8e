#!/usr/bin/env bash
# Many connections for each of many disks: the receiver serves 32 in all, so each disk takes its share, and nothing fails.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

for i in 0 1 2 3 4; do
	random_image "$work/disk$i" 6
done
start_receiver
send --whole --connections 16 "$work"/disk? || fail "$(tail -n 2 "$work/migrator.log")"
for i in 0 1 2 3 4; do
	cmp "$work/disk$i" "$target/disk$i.raw"
done
grep -q '6 connections for each disk instead of 16' "$work/migrator.log" || fail "it was not said"
! grep -q 'takes no connection' "$work/migrator.log" "$work/receiver.log" || fail "more were opened than are served"
