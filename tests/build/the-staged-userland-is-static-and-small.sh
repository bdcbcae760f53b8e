#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# No program of the image asks for an interpreter or a library; links lead somewhere; the whole
# stays within its share of the ISO's budget.
set -eu
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
limit_kib=16384
rootfs/build --stage "$tmp/stage"
count=0
while read -r file; do
	[ "$(head -c 4 "$file" | tail -c 3)" = ELF ] || continue
	count=$((count + 1))
	if readelf -lW "$file" | grep -q INTERP; then echo "$file wants a dynamic linker"; exit 1; fi
	if readelf -dW "$file" | grep -q NEEDED; then echo "$file wants libraries"; exit 1; fi
	if readelf -SW "$file" | grep -q '\.symtab'; then echo "$file is not stripped"; exit 1; fi
	if strings "$file" | grep -F "${COLDLIFT_CACHE:-$HOME/.cache/coldlift}"; then
		echo "$file names a directory of the host"
		exit 1
	fi
done < <(find "$tmp/stage" -type f -perm /111)
[ $count -ge 15 ] || { echo "only $count programs"; exit 1; }
while read -r link; do
	target=$(readlink "$link")
	case $target in
	/*) target=$tmp/stage$target ;;
	*) target=${link%/*}/$target ;;
	esac
	[ -e "$target" ] || { echo "$link leads nowhere"; exit 1; }
done < <(find "$tmp/stage" -type l)
size=$(du -s --apparent-size -k "$tmp/stage" | cut -f1)
echo "userland: $count programs, $size KiB (limit $limit_kib KiB)"
[ "$size" -le $limit_kib ]
