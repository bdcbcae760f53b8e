#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
set -eu
cd "$(dirname "$0")/../.."
. tests/build/lib-fake-apt.sh
fake_start

expect() { # VERSION TEXT: what fetch takes, and that it says so
	rootfs/fetch thing >"$tmp/out" 2>"$tmp/err" || { cat "$tmp/err"; exit 1; }
	head -n 1 "$tmp/out" | grep -q "/thing_$1.dsc\$" || { echo "wanted $1, got:"; cat "$tmp/out"; exit 1; }
	grep -q "$2" "$tmp/err" || { echo "nothing said of '$2':"; cat "$tmp/err"; exit 1; }
	rm -rf "$tmp/cache"
}

echo " thing | 2.5.1-1 | http://mirror.test/debian trixie/main Sources" >"$tmp/madison"
echo "thing=2.5.1-1" >"$tmp/served"
rootfs/fetch --lock thing 2>/dev/null
grep -q '^thing 2.5.1-1 ' "$tmp/lock"
rm -rf "$tmp/cache"

# Still served: nothing to say.
expect 2.5.1-1 "updating"

# A newer revision of the same upstream, in security, takes over.
cat >"$tmp/madison" <<-'END'
	 thing | 2.5.1-1+deb13u1 | http://mirror.test/security trixie-security/main Sources
	 thing | 2.4.0-7 | http://mirror.test/debian bookworm/main Sources
END
printf 'thing=2.5.1-1+deb13u1\nthing=2.4.0-7\n' >"$tmp/served"
expect 2.5.1-1+deb13u1 "thing 2.5.1-1 is no longer served; using 2.5.1-1+deb13u1 from trixie"

# Listed, but answered with 404: the other suite's revision of the same upstream.
cat >"$tmp/madison" <<-'END'
	 thing | 2.5.1-2 | http://mirror.test/debian trixie/main Sources
	 thing | 2.5.1-0+b1 | http://mirror.test/debian bookworm/main Sources
END
echo "thing=2.5.1-0+b1" >"$tmp/served"
expect 2.5.1-0+b1 "using 2.5.1-0+b1 from bookworm"

# The next point release of the same series, if the upstream version is gone altogether.
echo " thing | 2.5.3-1 | http://mirror.test/debian trixie/main Sources" >"$tmp/madison"
echo "thing=2.5.3-1" >"$tmp/served"
expect 2.5.3-1 "using 2.5.3-1 from trixie"

# Never another series.
echo " thing | 2.6.0-1 | http://mirror.test/debian trixie/main Sources" >"$tmp/madison"
echo "thing=2.6.0-1" >"$tmp/served"
if rootfs/fetch thing >/dev/null 2>"$tmp/err"; then echo "2.6 taken for 2.5"; exit 1; fi
grep -q "no archive of this machine serves thing 2.5.1-1" "$tmp/err"
