#!/usr/bin/env bash
# Incremental: 1 % of the 4 KiB blocks have changed, scattered over nearly every chunk, or in few places; of a disk that does
# not compress, and of a file system of real files. What goes over the wire, both ways, TLS and all, is at most 1.5 % of the
# bytes that all of it took. And it goes about as fast as the disk can be read: each end reads it, or all of its changed chunks,
# twice at most, and digests them twice. So the processors of both ends work some times as long as xxhsum does, which reads and
# digests it once; time on the clock is too little worth where other things run too.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

for tool in mke2fs xxhsum; do
	command -v "$tool" >/dev/null || skip "no $tool: tools/setup-host test"
done

mibs=224
rounds=3

# One state of the disk becomes another one, $work/other: so many blocks are of other content of its kind. The way back, from
# there to the disk as it is, is what is judged: what comes is what stands in real files at that place.
change() { # DISK DONOR PLACES
	rm -f "$work/other"
	cp --sparse=never "$1" "$work/other"
	python3 - "$work/other" "$2" "$3" <<'PY'
import os, random, sys
blocks = os.path.getsize(sys.argv[1]) // 4096
donor = open(sys.argv[2], "rb").read()
n, places = blocks // 100, int(sys.argv[3])
random.seed(5)
chosen = set()
for place in random.sample(range(places), places):
    length = n * (place + 1) // places - n * place // places
    first = random.randrange(blocks - length)
    while chosen & set(range(first, first + length)):
        first = random.randrange(blocks - length)
    chosen |= set(range(first, first + length))
with open(sys.argv[1], "r+b") as f:
    for block in sorted(chosen):
        at = random.randrange(len(donor) // 4096) * 4096
        f.seek(block * 4096)
        f.write(donor[at : at + 4096])
PY
}

# An ext4 of whole folders of this machine, chosen by chance, and in the donor what is in some other ones.
files_disk() { # DISK DONOR
	python3 - "$work/root" "$2" $((mibs * 88 / 100 * mib)) <<'PY'
import os, random, shutil, sys
root, donor, want = sys.argv[1], sys.argv[2], int(sys.argv[3])
folders = {}
for top in ("/usr/bin", "/usr/include", "/usr/lib", "/usr/sbin", "/usr/share"):
    for folder, _, names in os.walk(top):
        paths = [os.path.join(folder, name) for name in sorted(names)]
        folders[folder] = [p for p in paths if os.path.isfile(p) and not os.path.islink(p) and 0 < os.path.getsize(p) < 8 << 20]
order = sorted(folders)
random.Random(7).shuffle(order)
with open(donor, "wb") as out:
    taken = 0
    for folder in order:
        for path in folders[folder]:
            bytes = (os.path.getsize(path) + 4095) // 4096 * 4096
            if taken + bytes <= want:
                os.makedirs(root + folder, exist_ok=True)
                shutil.copyfile(path, root + path)
                taken += bytes
            elif out.tell() < 64 << 20:
                with open(path, "rb") as f:
                    data = f.read()
                out.write(data[: len(data) // 4096 * 4096])
    if taken < want * 9 // 10 or out.tell() < 4 << 20:
        sys.exit("too few files below /usr")
PY
	rm -f "$1"
	truncate -s $((mibs * mib)) "$1"
	mke2fs -q -F -t ext4 -m 0 -N 40000 -d "$work/root" "$1"
	rm -r "$work/root"
}

# Milliseconds of processor that a command took, and the receiver meanwhile, in $took.
timed() {
	local before after TIMEFORMAT='%U %S'
	before=$(awk '{ print $14 + $15 }' "/proc/$receiver_pid/stat")
	{ time "$@" >/dev/null; } 2>"$work/time"
	after=$(awk '{ print $14 + $15 }' "/proc/$receiver_pid/stat")
	took=$(awk -v ticks=$((after - before)) -v hz="$(getconf CLK_TCK)" 'END { print int(($1 + $2 + ticks / hz) * 1000) }' "$work/time")
}

# Always the same disk by its name, and in no hurry: the source before may not have left yet.
send_state() {
	ln -f "$1" "$work/disk"
	send --whole --patience-s 600 "$work/disk"
}

wire() {
	echo $(($(result wire_bytes) + $(result received_bytes)))
}

median() {
	tr ' ' '\n' <<<"$*" | sort -n | sed -n $((($# + 1) / 2))p
}

judge() { # NAME DISK DONOR TIMES
	local name=$1 disk=$2 full places where there back changed unchanged plain
	start_receiver
	send_state "$disk"
	full=$(wire)
	for places in 16 $((mibs * 256 / 100)); do
		where="$name, $places places"
		change "$disk" "$3" "$places"
		send_state "$work/other"
		cmp "$work/other" "$target/disk0.raw"
		there=$(wire)
		send_state "$disk"
		cmp "$disk" "$target/disk0.raw"
		back=$(wire)
		at_least "$(result patched_chunks)" $((places / 4)) "$where: chunks that were patched"
		echo "$where: there $there, back $back of $full bytes, $(result patched_chunks) of $mibs chunks patched"
		at_most "$back" $((full * 15 / 1000)) "$where: bytes on the wire, $full for all of it"
		# Single blocks of other files, in the middle of these, are like nothing around them.
		at_most "$there" $((full * 25 / 1000)) "$where: bytes on the wire for foreign blocks, $full for all of it"
	done
	# Others who use the same processors and memory make some work longer than other: too much is what is so each time.
	for _ in 1 2 3 4; do
		changed='' unchanged='' plain=''
		for _ in $(seq $rounds); do
			for to in "$work/other" "$disk"; do
				timed send_state "$to"
				changed="$changed $took"
				timed send_state "$to"
				unchanged="$unchanged $took"
				timed xxhsum -q -H2 "$to"
				plain="$plain $took"
			done
		done
		# shellcheck disable=SC2086
		changed=$(median $changed) unchanged=$(median $unchanged) plain=$(median $plain)
		echo "$name: both ends' processors worked $changed ms, and $unchanged ms when nothing had changed; xxhsum $plain ms"
		[ "$changed" -gt $((plain * $4)) ] || break
	done
	at_most "$changed" $((plain * $4)) "$name: milliseconds of work for 1 % of changed blocks"
	stop_receiver
	rm -r "$work/state" "$target"
}

random_image "$work/random" $mibs
random_image "$work/donor" 16
judge incompressible "$work/random" "$work/donor" 18
rm "$work/random"
files_disk "$work/files" "$work/donor"
judge files "$work/files" "$work/donor" 28
