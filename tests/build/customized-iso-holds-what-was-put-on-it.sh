#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# iso/customize writes arguments and a job to their places, again and again, and leaves every other byte.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${COLDLIFT_BUILD:-build}
[ -f "$build/coldlift.iso" ] || { echo "build/coldlift.iso is not built"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

printf '{"speed_limit_mbps": 100,\n "name": "rack 7"}\n' >"$dir/job.json"
iso/customize --output "$dir/a.iso" --activation A1-b_c --job "$dir/job.json" --exit poweroff \
	--args 'ip=10.0.0.2::10.0.0.1:255.255.255.0::eth0:none' "$build/coldlift.iso"
iso/customize --show "$dir/a.iso" >"$dir/shown"
cat "$dir/shown"
grep -qxF "set coldlift_args='coldlift.activation=A1-b_c coldlift.job=file:/coldlift/job.json coldlift.exit=poweroff ip=10.0.0.2::10.0.0.1:255.255.255.0::eth0:none'" "$dir/shown"
grep -qF '"rack 7"' "$dir/shown"
xorriso -osirrox on -indev "$dir/a.iso" -extract /coldlift/job.json "$dir/extracted" >/dev/null 2>&1
sed 's/ *$//' "$dir/extracted" | grep -v '^$' | cmp - "$dir/job.json"

# Clearing gives two ISOs that only know the menu's time.
iso/customize --clear --output "$dir/b.iso" "$build/coldlift.iso"
iso/customize --clear "$dir/a.iso"
cmp "$dir/a.iso" "$dir/b.iso"

refuse() { # WHY OPTIONS...
	local why=$1
	shift
	if iso/customize "$@" "$dir/b.iso" >"$dir/log" 2>&1; then
		echo "not refused: $*"
		exit 1
	fi
	grep -q -e "$why" "$dir/log" || { cat "$dir/log"; exit 1; }
}
refuse 'single quotes' --args "a='b'"
refuse 'single quotes' --args $'a\nb'
refuse '1900' --args "$(head -c 1950 /dev/zero | tr '\0' x)"
refuse 'no job file' --job "$dir/none.json"
refuse '--exit takes' --exit sleep
head -c 70000 /dev/zero | tr '\0' x >"$dir/big.json"
refuse 'too long' --job "$dir/big.json"
cmp "$dir/a.iso" "$dir/b.iso"
