#!/usr/bin/env bash
# Every parser of foreign bytes, under ASan and UBSan, over its corpus and a few seconds of new inputs.
set -eu
cd "$(dirname "$0")/../.."
make --no-print-directory -j"$(nproc)" fuzzers >/dev/null
logs=build/fuzz/logs
rm -rf "$logs"
mkdir -p "$logs"
runs_of() { # NAME LOGS
	sed -n 's/^stat::number_of_executed_units: *//p' "$2/$1.log"
}
run_one() { # NAME LOGS
	# Three seconds may be too few where other things run.
	for seconds in 3 20 120; do
		tests/fuzz/run "$1" $seconds >"$2/$1.log" 2>&1 || { echo "$1:"; tail -n 40 "$2/$1.log"; exit 1; }
		[ "$(runs_of "$1" "$2")" -le 100 ] || break
	done
}
export -f run_one runs_of
for f in tests/fuzz/fuzz_*.c; do
	name=$(basename "$f" .c)
	echo "${name#fuzz_}"
done | xargs -P "$(nproc)" -I{} bash -c "run_one {} $logs"
# A target that ran nothing has shown nothing.
for f in tests/fuzz/fuzz_*.c; do
	name=$(basename "$f" .c)
	runs=$(runs_of "${name#fuzz_}" "$logs")
	[ "${runs:-0}" -gt 100 ] || { echo "$name ran ${runs:-no} inputs"; exit 1; }
done
