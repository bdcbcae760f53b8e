#!/usr/bin/env bash
# docs/refusals.md has one line for each code of the planner, with its kind and its advice, and no other.
set -eu
cd "$(dirname "$0")/../.."
build/asan/migrator plan --codes | awk -F'\t' '{ printf "| `%s` | %s | %s |\n", $1, $2, $3 }' |
	diff - <(grep '^| `' docs/refusals.md)
