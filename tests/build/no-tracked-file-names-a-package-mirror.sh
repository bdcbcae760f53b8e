#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Neither the well-known hosts of Debian's archive nor those that this machine happens to use.
set -eu
cd "$(dirname "$0")/../.."
names='(deb|ftp|httpredir|security|snapshot|archive|cdn[a-z-]*)\.([a-z.]+\.)?debian\.org'
# shellcheck disable=SC2016 # apt expands it
hosts=$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null |
	sed -n 's,^[a-z+]*://\([^/:]*\).*,\1,p' | grep -v '^localhost$' | sort -u | sed 's/\./\\./g')
for host in $hosts; do names+="|$host"; done
if git grep -nIE "$names" -- . ':!tests/build/no-tracked-file-names-a-package-mirror.sh'; then exit 1; fi
