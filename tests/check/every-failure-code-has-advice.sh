#!/usr/bin/env bash
# Whatever can stop a migration with a code also says what the operator can do about it.
set -eu
cd "$(dirname "$0")/../.."
codes=$(grep -rzoE '(fail_code|report_problem)\([^"]*"[A-Z][A-Z0-9_]+"' src | tr '\0' '\n' |
	grep -oE '"[A-Z][A-Z0-9_]+"' | sort -u)
[ "$(echo "$codes" | wc -l)" -gt 20 ] || { echo "the codes were not found"; exit 1; }
bad=0
for code in $codes; do
	# The plan's own refusals carry their advice with them.
	if [ "$code" = '"PLAN_REFUSED"' ]; then continue; fi
	grep -q "$code" src/cmd/advice.c src/plan/rules.c || { echo "$code has no advice"; bad=1; }
done
exit $bad
