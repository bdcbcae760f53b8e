#!/usr/bin/env bash
# clang-format has nothing to change, no file is longer than 800 lines, every file says its licence.
set -eu
cd "$(dirname "$0")/../.."
mapfile -t files < <(git ls-files 'src/*.[ch]' 'tests/*.[ch]')
clang-format --dry-run -Werror "${files[@]}"
bad=0
for f in "${files[@]}"; do
	lines=$(wc -l <"$f")
	[ "$lines" -le 800 ] || { echo "$f: $lines lines"; bad=1; }
	head -n 1 "$f" | grep -q 'SPDX-License-Identifier: GPL-2.0-or-later' || { echo "$f: no licence line"; bad=1; }
done
exit $bad
