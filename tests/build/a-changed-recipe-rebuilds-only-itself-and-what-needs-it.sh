#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# By the cache keys; nothing is built.
set -eu
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cp -R rootfs "$tmp/rootfs"
cd "$tmp"

changed() { rootfs/build --list | diff "$tmp/before" - | sed -n 's/^> \([a-z0-9-]*\).*/\1/p' | sort | xargs; }
expect() {
	got=$(changed)
	[ "$got" = "$1" ] || { echo "wanted '$1' to change, got '$got'"; exit 1; }
}

rootfs/build --list >before
expect ""
echo "cost=1" >>rootfs/mdadm/recipe
expect "mdadm"
rootfs/build --list >before
echo "# a comment" >>rootfs/util-linux/recipe
expect "e2fsprogs lvm2 util-linux xfsprogs"
rootfs/build --list >before
echo "--- a" >rootfs/zlib/new.patch
expect "zlib"
rm rootfs/zlib/new.patch
rootfs/build --list >before
echo "# a comment" >>rootfs/build-one
[ "$(changed | wc -w)" = "$(wc -l <before)" ] || { echo "the driver is not part of every key"; exit 1; }
