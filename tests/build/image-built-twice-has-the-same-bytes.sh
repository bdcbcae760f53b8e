#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# initramfs and ISO, put together a second time elsewhere and at another time, are the same to the byte.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${COLDLIFT_BUILD:-build}
[ -f "$build/coldlift.iso" ] || { echo "build/coldlift.iso is not built"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/musl"
cp "$build/musl/migrator" "$build/musl/receiver" "$dir/musl/"
sleep 2 # FAT keeps times in steps of two seconds
umask 077
COLDLIFT_BUILD=$dir initramfs/build
COLDLIFT_BUILD=$dir iso/build
cmp "$build/initramfs.img" "$dir/initramfs.img"
cmp "$build/coldlift.iso" "$dir/coldlift.iso"
