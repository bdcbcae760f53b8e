#!/usr/bin/env bash
# receiver image: qemu-img finds no fault in what it writes and sees the bytes of the disk, whatever its shape:
# empty, full, odd sizes, around 64 KiB, incompressible, random holes, 1 TiB nearly empty, over an L2 table's end.
set -eu
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
command -v qemu-img >/dev/null || skip "no qemu-img"
cd "$work"

python3 - <<'PY'
import os, random
random.seed(1)
text = b"".join(b"line %d of a text that is like others\n" % i for i in range(60000))
noise = random.randbytes(1 << 21)

def disk(name, size, pieces=()):
    with open(name, "wb") as f:
        f.truncate(size)
        for at, data in pieces:
            f.seek(at)
            f.write(data[: size - at])

def holes(size):
    at = 0
    while at < size:
        n = random.choice([1, 511, 512, 4096, 65535, 65536, 65537, 200000, 1 << 20])
        yield at, random.choice([b"", noise[:n], text[:n], bytes(n)])
        at += n

def sparse(size, count):
    for _ in range(count):
        yield random.randrange(size), random.choice([noise, text])[: random.randrange(1, 70000)]
    yield size - 5, b"tail!"

disk("empty", 10 << 20)
disk("sector", 512, [(0, noise)])
disk("byte", 1, [(0, b"x")])
disk("odd", (2 << 20) + 12345, [(0, text * 2)])
for n in (65535, 65536, 65537, 65536 * 7 + 512, (1 << 20) + 1):
    disk(f"edge{n}", n, [(0, noise)])
disk("noise", 9 << 20, [(i << 20, noise[i * 1000 : (1 << 20) + i * 1000]) for i in range(9)])
disk("text", 12 << 20, [(i << 21, text) for i in range(6)])
disk("holes", 40 << 20, holes(40 << 20))
disk("table", (1 << 29) + (1 << 20) + 512, sparse((1 << 29) + (1 << 20) + 512, 40))
disk("tib", 1 << 40, sparse(1 << 40, 60))
PY

# equal DISK IMAGE [FORMAT]
equal() {
	[ "$(qemu-img compare -f raw -F "${3:-qcow2}" "$1" "$2" 2>&1 | tail -n 1)" = 'Images are identical.' ] ||
		fail "$1 and $2 differ"
}

root_of() {
	sed -n 's/.*"root": "\(.*\)".*/\1/p' "$1"
}

for disk in empty sector byte odd edge* noise text holes table tib; do
	roots=
	for how in deflate zstd none; do
		"$RECEIVER" image --disk "$disk" --out "$disk.qcow2" --compression "$how" --report "$disk.json" ||
			fail "no image of $disk"
		qemu-img check -q -f qcow2 "$disk.qcow2" || fail "$disk, $how: check"
		equal "$disk" "$disk.qcow2"
		[ ! -e "$disk.qcow2.new" ] || fail "a leftover"
		roots="$roots$(root_of "$disk.json")
"
		rm "$disk.qcow2"
	done
	[ "$disk" = tib ] || {
		"$RECEIVER" image --disk "$disk" --out "$disk.raw" --format raw --report "$disk.json"
		cmp "$disk" "$disk.raw" || fail "$disk: raw"
		roots="$roots$(root_of "$disk.json")
"
		rm "$disk.raw"
	}
	[ "$(printf %s "$roots" | sort -u | grep -c .)" -eq 1 ] || fail "$disk: the roots differ"
done

# A raw image is sparse; one can be larger than its disk, in both formats.
"$RECEIVER" image --disk table --out table.raw --format raw --size $((600 << 20)) --report table.json
"$RECEIVER" image --disk table --out table.qcow2 --size $((600 << 20)) --report table.json
[ "$(stat -c %s table.raw)" -eq $((600 << 20)) ] || fail "size of table.raw"
at_most "$(($(stat -c %b table.raw) / 2))" 12000 "KiB of table.raw"
equal table.raw table.qcow2
truncate -s $((600 << 20)) table
equal table table.qcow2
[ "$(qemu-img info --output=json table.qcow2 | python3 -c 'import json,sys; print(json.load(sys.stdin)["virtual-size"])')" -eq \
	$((600 << 20)) ] || fail "virtual size"
qemu-img check -q table.qcow2

# The same disk gives the same bytes, however many threads there are.
for threads in 1 2 5; do
	"$RECEIVER" image --disk holes --out "holes.$threads" --threads "$threads" --report holes.json
done
{ cmp holes.1 holes.2 && cmp holes.1 holes.5; } || fail "the bytes depend on the threads"
qemu-img convert -O raw holes.1 holes.raw
cmp holes holes.raw || fail "convert"
