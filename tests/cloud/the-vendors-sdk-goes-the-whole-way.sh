#!/usr/bin/env bash
# The vendor's own clients make an ENS image in the emulator, from an instance that really runs, and clean up. In Beijing the
# export is RAW whatever was asked for, and ENS does not take it.
source "$(dirname "$0")/lib.sh"
requires qemu-img
sdk_ready
start_emulator --set '{"time_scale": 0.002}'
node tests/cloud/sdk/whole-way.js ap-southeast-1 coldlift-singapore | tee "$work/singapore"
file=$(sed -n 's/^files: \(\S*\).*/\1/p' "$work/singapore")
qemu-img convert -O raw "$file" "$work/disk0.raw"
[ "$(stat -c %s "$work/disk0.raw")" = $((2 << 30)) ]
[ "$(dd if="$work/disk0.raw" bs=1 skip=1048576 count=27 status=none)" = "written inside the instance" ]
grep -q '^schemes: ecs V3, ens V1, oss V4, vpc V3$' "$work/singapore"

kill "$emulator_pid"; wait "$emulator_pid" || true
start_emulator --set '{"time_scale": 0.002}'
node tests/cloud/sdk/whole-way.js cn-beijing coldlift-beijing
