#!/usr/bin/env bash
# The table of faults in docs/hacking.md names tests that are there, and codes that have advice and that the test looks for.
set -eu
cd "$(dirname "$0")/../.."
bad=0
say() {
	echo "$*"
	bad=1
}
table=$(sed -n '/^## Faults, their codes and their tests/,/^## /p' docs/hacking.md | grep '^| ' | sed 1,2d)
[ "$(echo "$table" | wc -l)" -gt 25 ] || { echo "the table was not found"; exit 1; }
while IFS='|' read -r _ fault codes tests _; do
	tests=$(echo "$tests" | grep -oE 'tests/[a-z0-9]+/[^`]+' || true)
	[ -n "$tests" ] || say "$fault: no test"
	for t in $tests; do
		[ -f "$t" ] || say "$fault: $t is not there"
	done
	for code in $(echo "$codes" | grep -oE '[A-Z]+_[A-Z_]+' || true); do
		grep -qE "\"$code\"" src/cmd/advice.c src/plan/rules.c || say "$fault: $code has no advice"
		found=no
		for t in $tests; do
			case $t in
			tests/golden/*) ! grep -rq "$code" tests/golden || found=yes ;;
			*) ! grep -q "$code" "$t" || found=yes ;;
			esac
		done
		[ "$found" = yes ] || say "$fault: no test of it looks for $code"
	done
done <<<"$table"
exit $bad
