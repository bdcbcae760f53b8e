#!/usr/bin/env bash
# A migrator that is started while another one is at work on the same machine leaves it alone, and says which process that
# is and what to do, also where it has no screen; one that was killed holds up nobody.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

run() {
	rc=0
	"$MIGRATOR" run --activation hello --dir "$work/dir" 2>"$work/said" || rc=$?
}
mkdir "$work/dir"
exec 9>"$work/dir/lock"
flock 9
printf 4711 >&9
run
[ $rc -eq 1 ] || fail "status $rc"
for words in MIGRATOR_RUNNING 'process 4711' 'See how far it is'; do
	grep -q -- "$words" "$work/said" || fail "no \"$words\" in $(cat "$work/said")"
done
exec 9>&-
run
! grep -q MIGRATOR_RUNNING "$work/said" || fail "one that is gone still holds it up"
grep -q ACTIVATION_BAD "$work/dir/migrator.log" || fail "it did not go on: $(cat "$work/dir/migrator.log")"
