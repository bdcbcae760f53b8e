#!/usr/bin/env bash
# Whole blocks of an XFS disk that cannot be read, neither by us nor by xfs_db: each is said by the file that it is of, also
# beside metadata that cannot be read either, which is said to be metadata.
# (The migrator of the tests, as bad sectors can be laid over it and what it starts.)
build=$(cd "$(dirname "$0")/../.." && pwd)/build
[ -x "$build/asan/migrator" ] && [ -x "$build/asan/receiver" ] || build=$build/none
MIGRATOR=${MIGRATOR:-$build/asan/migrator} RECEIVER=${RECEIVER:-$build/asan/receiver}
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
for tool in gcc mkfs.xfs xfs_db; do
	command -v "$tool" >/dev/null || skip "needs $tool"
done

gcc -O1 -shared -fPIC -D_GNU_SOURCE -o "$work/bad.so" "$root/tests/e2e/faults/bad_sectors.c"
asan=$(gcc -print-file-name=libasan.so)
mkdir "$work/proof"
# A prototype puts files into it without mounting.
for name in alpha beta gamma; do
	python3 -c "import sys; sys.stdout.write(('content of %s ' % sys.argv[1]).ljust(4096, '.') * 20)" $name >"$work/$name"
done
cat >"$work/proto" <<END
/
0 0
d--755 0 0
dir d--755 0 0
alpha ---644 0 0 $work/alpha
beta ---644 0 0 $work/beta
\$
gamma ---644 0 0 $work/gamma
\$
END
truncate -s 400M "$work/disk"
mkfs.xfs -q -p "$work/proto" "$work/disk"
at() { # WORDS
	python3 - "$work/disk" "$1" <<'PY'
import mmap, sys
with open(sys.argv[1], "rb") as f:
	print(mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ).find(sys.argv[2].encode()))
PY
}
alpha=$(at "content of alpha") beta=$(at "content of beta") gamma=$(at "content of gamma")
[ "$alpha" -gt 0 ] && [ "$beta" -gt 0 ] && [ "$gamma" -gt 0 ] || fail "the files are not there"
alpha=$((alpha + 3 * 4096))

copy() {
	rm -f "$work/proof"/*
	start_receiver
	BAD_SECTORS=$bad LD_PRELOAD="$asan $work/bad.so" ASAN_OPTIONS=detect_leaks=0 \
		"$MIGRATOR" send --activation "$activation" --quiet --rescue-s 2 --holes-max 20 --proof "$work/proof" "$work/disk" \
		2>"$work/migrator.log" || fail "status $?"
	stop_receiver
	rm -r "$work/state" "$target"
	python3 - "$work/proof/verify.json" "$@" <<'PY'
import json, sys
holes = json.load(open(sys.argv[1]))["disks"][0]["holes"]
found = {(h["byte"], p["kind"], n) for h in holes for p in h["places"] for n in p["names"] or [p["what"]]}
for want in sys.argv[2:]:
	byte, kind, name = want.split(" ", 2)
	assert (int(byte), kind, name) in found, (want, found)
PY
}
bad="$work/disk $alpha 8192;$work/disk $beta 512;$work/disk $gamma 4096"
copy "$alpha file disk:/dir/alpha" "$beta file disk:/dir/beta" "$gamma file disk:/gamma"
# With the head of the second group its inodes are lost, too: the files that lie there have no names any more, the others do.
bad="$bad;$work/disk $((100 * mib)) 512"
[ "$alpha" -gt $((100 * mib)) ] && [ "$gamma" -lt $((100 * mib)) ] || fail "mkfs.xfs puts files elsewhere"
copy "$gamma file disk:/gamma" "$((100 * mib)) metadata superblock and headers of an allocation group" \
	"$alpha unknown a place of which no inode is known that has it"
