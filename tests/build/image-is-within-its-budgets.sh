#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The ISO is at most 32 MiB; the kernel has every symbol that the fragments ask for.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${COLDLIFT_BUILD:-build}
[ -f "$build/coldlift.iso" ] || { echo "build/coldlift.iso is not built"; exit 77; }
size=$(stat -c %s "$build/coldlift.iso")
echo "build/coldlift.iso: $((size >> 10)) KiB of $((32 << 10))"
[ "$size" -le $((32 << 20)) ]
out=${COLDLIFT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/coldlift}/out/$(kernel-config/build --key)
grep -h '^CONFIG_' kernel-config/*.config | while read -r line; do
	case $line in
	*=n) ! grep "^${line%%=*}=" "$out/config" ;;
	*) grep -qxF -- "$line" "$out/config" || { echo "lost: $line"; exit 1; } ;;
	esac
done
