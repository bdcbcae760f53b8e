#!/usr/bin/env bash
# Something between source and receiver changes bytes where TLS does not guard them: each changed chunk is refused by its
# digest and sent again, at every step of compression; what cannot get through ends with a code and what to do. No byte on
# the target is ever another than one of the source's; and over a sound way the next run sends only what is lacking.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
flipper=
end_flipper() {
	[ -z "$flipper" ] || kill "$flipper" 2>/dev/null || true
	flipper=
}
trap 'end_flipper; clean_up' EXIT

files_image "$work/text" 24
random_image "$work/noise" 8
cat "$work/text" "$work/noise" >"$work/disk"
truncate -s 40M "$work/disk"
start_receiver --commit-ms 50
good=$activation

# way EVERY TIMES SEED: the code leads through a machine that turns over so many bits.
way() {
	end_flipper
	rm -f "$work/flipper.out" "$work/flips"
	mkfifo "$work/stdin.$3"
	python3 "$root/tests/e2e/faults/flipper.py" "$work/state" "$data_port" "$1" "$2" "$3" "$work/flips" \
		<>"$work/stdin.$3" >"$work/flipper.out" 2>"$work/flipper.log" &
	flipper=$!
	wait_for 600 test -s "$work/flipper.out" || fail "no machine in the middle: $(cat "$work/flipper.log")"
	activation=$(python3 -c 'import sys; sys.path.insert(0, sys.argv[1]); import proxy
print(proxy.code_through(sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))' \
		"$root/tests/e2e/faults" "$good" "$control_port" "$(cat "$work/flipper.out")")
}
# Each chunk of the target is the source's, or was never written.
nothing_is_wrong() {
	python3 - "$work/disk" "$target/disk0.raw" <<'END' || fail "$1"
import sys
a, b = (open(p, "rb").read() for p in sys.argv[1:])
bad = [i for i in range(len(a) >> 20) if b[i << 20 : i + 1 << 20] not in (a[i << 20 : i + 1 << 20], bytes(1 << 20))]
assert not bad, f"chunks {bad} are neither"
END
}

# Two bits: the run gets through. Plain chunks, single frames, streams; a bit in a head breaks the connection.
seed=1
for step in 0 3 9; do
	way 1000000 2 $seed
	seed=$((seed + 1))
	: >"$work/migrator.log"
	send --whole --compression "$step" --patience-s 300 "$work/disk" || fail "step $step: $(cat "$work/migrator.log")"
	[ "$(cat "$work/flips" 2>/dev/null || echo 0)" -ge 1 ] || fail "step $step: no bit was turned over"
	cmp "$work/disk" "$target/disk0.raw"
	stop_receiver
	rm -rf "$work/state/disk0.journal" "$target/disk0.raw"
	activation=$good
	start_receiver --commit-ms 50
done

# Bits without end: it ends, says why, and what is on the target is right as far as it goes.
way 300000 100000000 $seed
: >"$work/migrator.log"
rc=0
timeout 1200 "$MIGRATOR" send --activation "$activation" --quiet --whole --compression 0 --patience-s 5 "$work/disk" \
	2>"$work/migrator.log" || rc=$?
[ "$rc" -eq 1 ] || [ "$rc" -eq 75 ] || fail "bits without end: status $rc: $(cat "$work/migrator.log")"
grep -qE 'CHUNK_CORRUPTED|RECEIVER_UNREACHABLE|PEER_NOT_NBD' "$work/migrator.log" || fail "no code: $(cat "$work/migrator.log")"
grep -qE 'Test the source|Check that the receiver|Something else answers' "$work/migrator.log" || fail "no advice: $(cat "$work/migrator.log")"
nothing_is_wrong "bits without end"

end_flipper
activation=$good
send --whole --compression 0 "$work/disk"
cmp "$work/disk" "$target/disk0.raw"
