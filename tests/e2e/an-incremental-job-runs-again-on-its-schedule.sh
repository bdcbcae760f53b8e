#!/usr/bin/env bash
# With a frequency the next run begins by itself, counted from the beginning of the one before. Frequency and number of
# images change while it waits, and count at once; so does the time of a scheduled start. A process that finds the job Waiting keeps
# to the schedule of the one that ended, unless it is told to begin now. An hour lasts 30 seconds here.
. "$(dirname "$0")/lib-pipeline.sh"
export COLDLIFT_HOUR_S=30

images_are() { # COUNT
	[ "$(find "$work/jobs/images" -name '*.qcow2' | wc -l)" -eq "$1" ]
}

next_run_in() { # HOURS:
	"$PIPELINE" status inc --json | grep -q "next run in $1"
}

syncs_in_run() { # RUN
	"$PIPELINE" status inc --json | tr -d '\n' | grep -q '"phase": "Syncing".*"run": '"$1,"
}

has_image_of_run() { # RUN
	"$PIPELINE" status inc --json | grep -q "\"path\": .*run$1-disk0.qcow2"
}

# The source is there when its run begins, with one block changed.
source_runs() { # RUN
	wait_for 120 syncs_in_run "$1" || fail "run $1 does not begin: $("$PIPELINE" status)"
	printf 'run %s' "$1" | dd of="$work/source.raw" bs=1 seek=$(($1 * mib)) conv=notrunc status=none
	send "$work/source.raw"
	source_says Finished >/dev/null
	wait_for 120 has_image_of_run "$1" || fail "run $1 has no image: $("$PIPELINE" status)"
}

random_image "$work/source.raw" 8
start_receiver
run_job run name=inc "activation=$activation" run_once=false frequency_hours=1 max_images=3 \
	"scheduled_start=$(date -u -d '+1 hour' +%Y-%m-%dT%H:%M:%SZ)"
wait_in inc Ready
wait_for 120 sh -c "'$PIPELINE' status inc --json | grep -q 'starts in 0:5'" || fail "it does not say when it starts"
"$PIPELINE" modify inc "scheduled_start=$(date -u -d '+5 seconds' +%Y-%m-%dT%H:%M:%SZ)"
for run in 1 2; do
	source_runs $run
done
wait_for 120 images_are 2 || fail "after two runs there are: $(ls "$work/jobs/images")"
wait_for 120 "$PIPELINE" modify inc frequency_hours=168 || fail "it takes no other frequency"
wait_for 120 next_run_in 1:2 || fail "a new frequency does not count: $("$PIPELINE" status)"
"$PIPELINE" modify inc max_images=1 frequency_hours=1
source_runs 3
wait_for 120 images_are 1 || fail "of one image to be kept there are: $(ls "$work/jobs/images")"
ls "$work"/jobs/images/*-run3-disk0.qcow2 >/dev/null || fail "the newest is not the one that is kept"
wait_in inc Waiting
"$PIPELINE" modify inc frequency_hours=168
kill -KILL "$pipeline_pid"
wait_job 2>/dev/null || true
"$PIPELINE" status inc | grep -q 'no process: pipeline start' || fail "nobody is told that nobody waits: $("$PIPELINE" status)"
run_job start inc
wait_for 60 next_run_in 1: || fail "the schedule is forgotten: $("$PIPELINE" status)"
kill -KILL "$pipeline_pid"
wait_job 2>/dev/null || true
run_job start inc --now
source_runs 4
wait_for 60 next_run_in 1: || fail "the run behind it does not wait: $("$PIPELINE" status)"
"$PIPELINE" start inc --now
source_runs 5
wait_in inc Waiting
"$PIPELINE" cut-over inc sync=false
timeout 120 tail --pid="$pipeline_pid" -f /dev/null || fail "the cut-over does not end it"
wait_job || fail "it ends with $?"
is_in inc Finished || fail "the cut-over did not finish the job"
