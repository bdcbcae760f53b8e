#!/usr/bin/env bash
# No script of the tree has anything for shellcheck to say about. SC2154 (a variable that a sourced file sets)
# is left to set -u, which every script has.
set -eu
cd "$(dirname "$0")/../.."
git ls-files | while IFS= read -r f; do
	if [ -f "$f" ] && head -c 40 "$f" | head -n 1 | grep -qE '^#!.*(bash|/sh)'; then echo "$f"; fi
done | xargs -r shellcheck -x -S warning -e SC2154
