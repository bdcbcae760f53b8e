#!/usr/bin/env bash
# Each folder here is an assertion: an inventory, and perhaps a job, a target and codes that are allowed, give this
# plan or these refusals, byte for byte. The folder's name says what it shows.
#   inventory.json  [job.json]  [target.json]  [allow]  ->  expect.json
# Usage: tests/golden/plans-are-as-expected.sh [--update]   --update rewrites expect.json; review the difference
set -eu
cd "$(dirname "$0")/../.."
migrator=${MIGRATOR:-build/asan/migrator}
update=false
[ "${1:-}" != --update ] || update=true
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
failed=0
count=0

for dir in tests/golden/*/; do
	name=$(basename "$dir")
	args=(--inventory "$dir/inventory.json" -o "$out/plan.json")
	[ ! -f "$dir/job.json" ] || args+=(--job "$dir/job.json")
	[ ! -f "$dir/target.json" ] || args+=(--target "$dir/target.json")
	[ ! -f "$dir/allow" ] || args+=(--allow "$(cat "$dir/allow")")
	rm -f "$out/plan.json"
	rc=0
	"$migrator" plan "${args[@]}" 2>"$out/errors" || rc=$?
	# 3 is a refusal: a result like a plan. Anything else is a failure of the program.
	if [ "$rc" -ne 0 ] && [ "$rc" -ne 3 ]; then
		echo "$name: status $rc: $(cat "$out/errors")"
		failed=1
		continue
	fi
	count=$((count + 1))
	if $update; then
		cp "$out/plan.json" "$dir/expect.json"
	elif ! diff -u "$dir/expect.json" "$out/plan.json"; then
		echo "$name: the plan is another one"
		failed=1
	fi
done
[ "$count" -gt 0 ]
# No code of the planner is without an example.
for code in $("$migrator" plan --codes | cut -f 1); do
	grep -qs "\"$code\"" tests/golden/*/expect.json || {
		echo "no folder shows $code"
		failed=1
	}
done
exit $failed
