#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Debian's repositories of the machine are used, third parties' are not, and signatures are asked for.
set -eu
cd "$(dirname "$0")/../.."
. tests/build/lib-fake-apt.sh
fake_start
echo " thing | 1.0-1 | http://mirror.test/debian trixie/main Sources" >"$tmp/madison"
echo "thing=1.0-1" >"$tmp/served"
rootfs/fetch --lock thing 2>/dev/null
list=$tmp/cache/apt/sources.list
[ "$(wc -l <"$list")" = 6 ]
[ "$(grep -c '\[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg\]' "$list")" = 6 ]
[ "$(grep -c 'http://mirror.test/debian/ trixie' "$list")" = 2 ]
grep -q 'http://mirror.test/security/ bookworm-security main' "$list"
if grep -E 'third|other' "$list"; then exit 1; fi
