#!/usr/bin/env bash
# The other compiler's warnings are errors too.
set -eu
cd "$(dirname "$0")/../.."
git ls-files 'src/*.c' | xargs -P "$(nproc)" -I{} clang -std=gnu17 -D_GNU_SOURCE -Isrc -Wall -Wextra -Wvla -Wshadow \
	-Wstrict-prototypes -Wmissing-prototypes -Werror -fsyntax-only {}
