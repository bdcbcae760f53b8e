#!/usr/bin/env bash
# While a job packs its image, its rate and time left are shown; pause holds it, stop and kill leave it where it is and start
# goes on there; cancel ends it at once and leaves nothing.
# shellcheck source=tests/e2e/lib-pipeline.sh
. "$(dirname "$0")/lib-pipeline.sh"

status_of() { # KEY: of the job's progress, or nothing
	"$PIPELINE" status web1 --json | python3 -c '
import json, sys
job = json.load(sys.stdin)
job = job[0] if isinstance(job, list) else job
print((job.get("progress") or {}).get(sys.argv[1], ""))' "$1"
}
percent_is() { # AT-LEAST
	local now
	now=$(status_of percent)
	[ -n "$now" ] && [ "$now" -ge "$1" ]
}
# Where the packing is through before an order comes, on a fast machine or as nobody gave us time, all begins again with more to
# pack; what is not obeyed even then is not obeyed.
pack_mib=${PACK_MIB:-384}
too_late() { # WHAT-WENT-WRONG
	[ "$pack_mib" -le 1536 ] || fail "$1: $("$PIPELINE" status)"
	echo "$pack_mib MiB are too few: $1"
	! kill -KILL "$pipeline_pid" 2>/dev/null || wait_job 2>/dev/null || true
	end_job
	PACK_MIB=$((2 * pack_mib)) exec "$0"
}
# Or it was through before that was seen.
reached() { # PERCENT
	percent_is "$1" || ! kill -0 "$pipeline_pid" 2>/dev/null
}
reaches() { # PERCENT
	wait_for 900 reached "$1" || fail "it does not come to $1 %: $("$PIPELINE" status)"
	is_in web1 Processing || too_late "it was not seen at $1 %"
}
put() { # NAME FILE
	curl -sS --fail-with-body --insecure -X PUT -H "Authorization: Bearer $token" --data-binary "@$2" \
		"https://127.0.0.1:$control_port/v1/artefact/$1" >/dev/null || fail "$1 is not taken"
}
to_the_packing() { # : a job, its disk copied and verified, until it is being packed
	run_job run name=web1 "${here[@]}"
	take_activation
	control_port=$(sed -n 's/^control: port //p' "$(job_file receiver.said)")
	token=$(sed -n 's/.*"token": "\([0-9a-f]*\)".*/\1/p' "$(job_file receiver/token.json)")
	wait_in web1 Syncing
	mkdir -p "$work/proof"
	send --whole --proof "$work/proof" "$work/disk" || fail "the copy failed"
	put verify.json "$work/proof/verify.json"
	put verify.leaves "$work/proof/verify.leaves"
	while ! is_in web1 Processing && kill -0 "$pipeline_pid" 2>/dev/null; do
		source_says Finished >/dev/null 2>&1 || true
		sleep 0.05
	done
}

# Text in another order in each chunk: it compresses slowly, about 60 MB/s a core, and there is one: time enough for orders.
taskset -cp "$(taskset -cp $$ | sed 's/.*: \([0-9]*\).*/\1/')" $$ >/dev/null
files_image "$work/disk" "$pack_mib"
to_the_packing
reaches 5
shows_rate() {
	"$PIPELINE" status web1 | grep -q '/s, [0-9:]* left, ' || ! kill -0 "$pipeline_pid" 2>/dev/null
}
wait_for 600 shows_rate || fail "no rate: $("$PIPELINE" status)"
"$PIPELINE" status --html "$work/page.html"
is_in web1 Processing || too_late "no rate was seen"
grep -q 'iB/s, [0-9:]* left' "$work/page.html" || fail "the page shows no rate"

"$PIPELINE" pause web1 2>/dev/null || ! is_in web1 Processing || fail "no pause"
is_in web1 Processing || too_late "it was not paused"
"$PIPELINE" status web1 | grep -q Paused || fail "it does not say that it is paused"
# What is in hand is written; then nothing is.
size_of_image() {
	stat -c %s "$work"/jobs/images/*.qcow2.new
}
rests() {
	local size
	size=$(size_of_image)
	sleep 2
	[ "$(size_of_image)" -eq "$size" ]
}
wait_for 600 rests || fail "paused, and it goes on: $("$PIPELINE" status)"
is_in web1 Processing || fail "paused, and it went on: $("$PIPELINE" status)"
was=$(status_of percent)
"$PIPELINE" resume web1 || fail "no resume"
reaches $((was + 5))
"$PIPELINE" stop web1 2>/dev/null || ! is_in web1 Processing || fail "no stop"
wait_job || true
is_in web1 Stopped || too_late "it was not stopped"
image=$(echo "$work"/jobs/images/*.qcow2.new)
size=$(stat -c %s "$image")
[ "$size" -gt 1048576 ] || fail "nothing was kept: $size"

# Killed: it goes on from what was kept.
run_job start web1
reaches $((was + 10))
kill -KILL "$pipeline_pid"
wait_job 2>/dev/null || true
is_in web1 Processing || too_late "it was not killed"
run_job start web1
reaches 1
percent_is "$was" || fail "it began anew: $(status_of percent) instead of $was %"
wait_job || fail "the job failed"
is_in web1 Finished || fail "it is not Finished"
"$RECEIVER" verify --disk "$(echo "$work"/jobs/images/*.qcow2)" --proof "$work/proof/verify.json" >/dev/null ||
	fail "the image is not the disk"
[ "$size" -le $(($(stat -c %s "$work"/jobs/images/*.qcow2) * 8 / 10)) ] || too_late "at its stop it had $size bytes already"
! ls "$work"/jobs/images/*.new "$work"/jobs/images/*.state 2>/dev/null || fail "something is left"
"$PIPELINE" delete web1
rm -rf "$work/jobs/images"

# Cancelled: at once, and nothing stays.
to_the_packing
reaches 3
most=3
"$PIPELINE" cancel web1 &
cancel=$!
while kill -0 "$pipeline_pid" 2>/dev/null; do
	now=$(status_of percent 2>/dev/null || true)
	[ "${now:-0}" -le "$most" ] || most=$now
done
wait $cancel || {
	! is_in web1 Finished || too_late "it was not cancelled"
	fail "no cancel"
}
wait_job || true
[ "$most" -le 60 ] || too_late "$most % were packed before the cancel was obeyed"
[ -z "$(ls "$work/jobs/images" 2>/dev/null)" ] || fail "left: $(ls "$work/jobs/images")"
