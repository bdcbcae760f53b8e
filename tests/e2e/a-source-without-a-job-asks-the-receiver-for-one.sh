#!/usr/bin/env bash
# A migrator that was given its code alone takes the job that the receiver holds; one that has a job does not look at it.
# Shown by a job that is refused before any disk is looked at.
. "$(dirname "$0")/lib-pipeline.sh"

put_job() { # JSON
	echo "$1" | source_puts job.json
}

says() { # WORDS MIGRATOR-OPTION...
	local words=$1
	shift
	"$MIGRATOR" run --dir "$work/run" --activation "$activation" "$@" >"$work/said" 2>&1 && fail "it is not refused"
	grep -rqs "$words" "$work/said" "$work/run" || fail "it does not say \"$words\": $(cat "$work/said" "$work"/run/*)"
}

mkdir "$work/run"
start_receiver
put_job '{"receivers_colour": 1}'
says 'receivers_colour'
printf '{"own_colour": 1}' >"$work/own.json"
says 'own_colour' --job "$work/own.json"
