# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2034 # variables are used by the scripts that source this
# What ISO and network boot have in common: where things are, and how GRUB is put together.

set -euo pipefail
export LC_ALL=C TZ=UTC
# No tool may put the time of the build into its output.
export SOURCE_DATE_EPOCH=1700000000

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$here")
build=${COLDLIFT_BUILD:-$top/build}
grub=${COLDLIFT_GRUB:-/usr/lib/grub}
name=$(basename "$(dirname "$0")")/$(basename "$0")

say() { echo "$name: $*" >&2; }
die() {
	say "$*"
	exit 1
}

need() { # FILE PACKAGE
	[ -e "$1" ] || die "$1 is missing; install $2 (tools/setup-host build does)"
}

# What the menus use; the rest of GRUB stays out.
grub_modules="normal configfile test echo linux serial terminal minicmd halt reboot sleep search search_fs_file"

grub_image() { # FORMAT OUTPUT PREFIX EARLY-CONFIG MODULE...
	local format=$1 out=$2 prefix=$3 early=$4
	shift 4
	# shellcheck disable=SC2086 # a list of words
	grub-mkimage -O "$format" -d "$grub/${format%-pxe}" -o "$out" -p "$prefix" -c "$early" \
		$grub_modules "$@"
}

inputs() { # sets kernel and initramfs, from what was built
	kernel=$("$top/kernel-config/build" 2>/dev/null)/bzImage
	initramfs=$build/initramfs.img
	need "$kernel" "nothing: run make kernel"
	[ -f "$initramfs" ] || die "$initramfs is missing; run make initramfs"
}
