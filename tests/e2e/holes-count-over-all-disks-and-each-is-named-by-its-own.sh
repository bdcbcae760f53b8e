#!/usr/bin/env bash
# Two disks with sectors that cannot be read: the number that is allowed counts over both, and as long as it does not
# suffice the copy ends with a code, disk and sector; when it does, all else arrives, and the proof has under each disk its
# own holes and no other's.
# (The migrator of the tests, as bad sectors can be laid over it.)
build=$(cd "$(dirname "$0")/../.." && pwd)/build
[ -x "$build/asan/migrator" ] && [ -x "$build/asan/receiver" ] || build=$build/none
MIGRATOR=$build/asan/migrator RECEIVER=$build/asan/receiver
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
command -v gcc >/dev/null || skip "needs gcc"

gcc -O1 -shared -fPIC -D_GNU_SOURCE -o "$work/bad.so" "$root/tests/e2e/faults/bad_sectors.c"
asan=$(gcc -print-file-name=libasan.so)
random_image "$work/one" 8
random_image "$work/two" 6
one_at=$((3 * mib + 512 * 5)) two_at=$((1 * mib)) third_at=$((4 * mib + 4096))
bad="$work/one $one_at 512;$work/two $two_at 1024;$work/two $third_at 512"
start_receiver --commit-ms 50

copy() { # OPTION...
	rc=0
	: >"$work/migrator.log"
	BAD_SECTORS=$bad LD_PRELOAD="$asan $work/bad.so" ASAN_OPTIONS=detect_leaks=0 \
		"$MIGRATOR" send --activation "$activation" --quiet --whole "$@" "$work/one" "$work/two" 2>"$work/migrator.log" || rc=$?
}
says() {
	for words; do
		grep -q -- "$words" "$work/migrator.log" || fail "no \"$words\" in $(cat "$work/migrator.log")"
	done
}

copy
[ "$rc" -eq 1 ] || fail "no holes are allowed: status $rc: $(cat "$work/migrator.log")"
says SOURCE_READ_ERROR 'cannot be read at sector' 'allow what is lost with'
copy --holes-max 2
[ "$rc" -eq 1 ] || fail "two of three are allowed: status $rc: $(cat "$work/migrator.log")"
says SOURCE_READ_ERROR '3 places in all, and the job allows 2'

mkdir "$work/proof"
copy --holes-max 3 --proof "$work/proof"
[ "$rc" -eq 0 ] || fail "three of three: status $rc: $(cat "$work/migrator.log")"
says "disk one cannot be read at sector $((one_at / 512)) " "disk two cannot be read at sector $((two_at / 512)) "
python3 - "$work/proof/verify.json" $one_at $two_at $third_at <<'END'
import json, sys
disks = {disk["name"]: disk["holes"] for disk in json.load(open(sys.argv[1]))["disks"]}
one, two, third = map(int, sys.argv[2:])
found = {name: sorted((h["source"], h["sector"] * 512, h["bytes"]) for h in holes) for name, holes in disks.items()}
assert found == {"one": [("one", one, 512)], "two": [("two", two, 1024), ("two", third, 512)]}, found
END
dd if=/dev/zero of="$work/one" bs=512 seek=$((one_at / 512)) count=1 conv=notrunc status=none
dd if=/dev/zero of="$work/two" bs=512 seek=$((two_at / 512)) count=2 conv=notrunc status=none
dd if=/dev/zero of="$work/two" bs=512 seek=$((third_at / 512)) count=1 conv=notrunc status=none
cmp "$work/one" "$target/disk0.raw"
cmp "$work/two" "$target/disk1.raw"
