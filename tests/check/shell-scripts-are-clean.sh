#!/usr/bin/env bash
# No script of the tree has anything for shellcheck to say about.
set -eu
cd "$(dirname "$0")/../.."
git ls-files | while IFS= read -r f; do
	if [ -f "$f" ] && head -c 40 "$f" | head -n 1 | grep -qE '^#!.*(bash|/sh)'; then echo "$f"; fi
done | xargs -r shellcheck -x -S warning
