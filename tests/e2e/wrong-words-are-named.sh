#!/usr/bin/env bash
# What is wrong with a command line is said in its first line, not left to be found in a page of help; the exit status is 2.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
PIPELINE=${PIPELINE:-$build/pipeline}
[ -x "$PIPELINE" ] || skip "no pipeline: make host-programs"
export COLDLIFT_STATE=$work/jobs

names() { # WORDS PROGRAM ARGUMENT...
	local words=$1 status=0
	shift
	"$@" >"$work/out" 2>"$work/said" || status=$?
	[ $status -eq 2 ] || fail "$* exits with $status: $(cat "$work/said")"
	head -n 1 "$work/said" | grep -qF -- "$words" || fail "$* says: $(cat "$work/said")"
	[ "$(wc -l <"$work/said")" -eq 2 ] && [ ! -s "$work/out" ] || fail "$* says more than one line and where help is"
	grep -q -- '--help says more$' "$work/said" || fail "$* does not say where help is"
}

names '--guest and --guest-device' "$MIGRATOR" inventory --guest /
names 'unrecognized option' "$MIGRATOR" inventory --gast /
names 'unexpected argument "disk.raw"' "$MIGRATOR" inventory disk.raw
names '--inventory FILE' "$MIGRATOR" plan
names '--memory is' "$MIGRATOR" prepare --memory many
names '--cmdline or --activation' "$MIGRATOR" run
names '--state DIR' "$RECEIVER" serve
names 'either --files DIR or --device PATH' "$RECEIVER" serve --state "$work/s"
names '--token-days takes 1 to 90, not "91"' "$RECEIVER" serve --state "$work/s" --files "$work" --token-days 91
names '--state DIR and --host HOST' "$RECEIVER" activation --state "$work/s"
names '--disk and --proof' "$RECEIVER" verify --disk "$work/disk"
names '--index is 0 to' "$RECEIVER" verify --disk "$work/disk" --proof "$work/p" --index one
names 'each --disk needs its --out: there are 1 and 0' "$RECEIVER" image --disk "$work/disk"
names '--format cannot be "vmdk"' "$RECEIVER" image --format vmdk
names '--leaves needs --proof' "$RECEIVER" image --disk a --out b --leaves c
names 'say which job' "$PIPELINE" stop
names 'KEY=VALUE what is to change' "$PIPELINE" modify web1
names 'one job' "$PIPELINE" start web1 web2
names 'region=REGION' "$PIPELINE" clean
