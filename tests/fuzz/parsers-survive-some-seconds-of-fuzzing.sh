#!/usr/bin/env bash
# Every parser of foreign bytes, under ASan and UBSan, over its corpus and a few seconds of new inputs.
set -eu
cd "$(dirname "$0")/../.."
make --no-print-directory -j"$(nproc)" fuzzers >/dev/null
for f in tests/fuzz/fuzz_*.c; do
	name=$(basename "$f" .c)
	tests/fuzz/run "${name#fuzz_}" 4
done
