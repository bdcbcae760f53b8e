#!/usr/bin/env bash
# migrator, receiver and pipeline have no interpreter and no dynamic section entries to load, and never call a shell.
set -eu
cd "$(dirname "$0")/../.."
for p in build/musl/migrator build/musl/receiver build/musl/pipeline; do
	[ -x "$p" ] || { echo "$p is not built"; exit 1; }
	if readelf -lW "$p" | grep -q 'INTERP'; then echo "$p wants a dynamic linker"; exit 1; fi
	if readelf -dW "$p" | grep -q 'NEEDED'; then echo "$p wants shared libraries"; exit 1; fi
	for symbol in system popen; do
		if nm "$p" | grep -qE " T $symbol\$"; then echo "$p links $symbol()"; exit 1; fi
	done
done
