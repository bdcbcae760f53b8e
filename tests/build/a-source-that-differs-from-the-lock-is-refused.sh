#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
set -eu
cd "$(dirname "$0")/../.."
. tests/build/lib-fake-apt.sh
fake_start
echo " thing | 1.0-1 | http://mirror.test/debian trixie/main Sources" >"$tmp/madison"
echo "thing=1.0-1" >"$tmp/served"
rootfs/fetch --lock thing 2>/dev/null
rm -rf "$tmp/cache"
sed -i '/orig/s/ [0-9a-f]\{64\} / 0000000000000000000000000000000000000000000000000000000000000000 /' "$tmp/lock"
if rootfs/fetch thing >/dev/null 2>"$tmp/err"; then echo "taken"; exit 1; fi
grep -q "thing_1.0.orig.tar.xz is not the locked file" "$tmp/err"
grep -q "nothing was used" "$tmp/err"
[ ! -e "$tmp/cache/sources/thing/1.0-1" ]
