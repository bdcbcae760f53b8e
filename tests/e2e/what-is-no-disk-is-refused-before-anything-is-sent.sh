#!/usr/bin/env bash
# A name that is not there, a folder, a character device and an empty file are refused with a code and what to do, and the
# receiver has heard of none of them.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

random_image "$work/disk" 2
: >"$work/empty"
start_receiver
for what in "$work/nothing" "$work" /dev/null "$work/empty"; do
	: >"$work/migrator.log"
	rc=0
	send "$work/disk" "$what" || rc=$?
	[ "$rc" -eq 1 ] || fail "$what: status $rc"
	grep -q "FILE_UNREADABLE: .*$what" "$work/migrator.log" || fail "$what: $(cat "$work/migrator.log")"
	grep -q "Check the file's name" "$work/migrator.log" || fail "$what: no advice"
done
[ ! -e "$target/disk0.raw" ] || fail "a disk was made"
