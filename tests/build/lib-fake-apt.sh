# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# A stand-in for apt and its archive, so that tests of rootfs/fetch need no network.
# Set by the test: $tmp/madison (what the archive lists), $tmp/served (names "PACKAGE=VERSION" that
# it really has). Every file is the same few bytes for the same name.

fake_apt() { # DIR: puts apt-get and apt-cache there
	mkdir -p "$1"
	cat >"$1/apt-get" <<-'FAKE'
		#!/bin/bash
		tmp=${0%/bin/*}
		case "$*" in
		*indextargets*) cat "$tmp/targets" ;;
		*--print-uris*) echo "'x' missing.tar.xz 1 SHA256:0" ;;
		*source*)
			name=${*: -1}
			grep -qxF "$name" "$tmp/served" || { echo "404  Not Found"; exit 100; }
			package=${name%%=*} version=${name#*=} version=${version#*:}
			echo "dsc of $package $version" >"${package}_$version.dsc"
			echo "changes of $package $version" >"${package}_$version.debian.tar.xz"
			echo "upstream of $package ${version%-*}" >"${package}_${version%-*}.orig.tar.xz"
			;;
		esac
	FAKE
	cat >"$1/apt-cache" <<-'FAKE'
		#!/bin/bash
		tmp=${0%/bin/*}
		grep "^ *${*: -1} |" "$tmp/madison"
	FAKE
	chmod +x "$1/apt-get" "$1/apt-cache"
}

fake_start() {
	tmp=$(mktemp -d)
	trap 'rm -rf "$tmp"' EXIT
	fake_apt "$tmp/bin"
	export PATH="$tmp/bin:$PATH" COLDLIFT_CACHE="$tmp/cache" COLDLIFT_LOCK="$tmp/lock"
	cat >"$tmp/targets" <<-'END'
		http://mirror.test/debian/|bookworm|main|$(ORIGIN)
		http://mirror.test/security/|bookworm-security|main|Debian
		http://other.test/linux/debian|bookworm|stable|Somebody
		http://third.test/prod|bookworm|main|Somebody
	END
	: >"$tmp/lock"
}
