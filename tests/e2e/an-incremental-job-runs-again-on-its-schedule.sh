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
run=0
source_runs() { # the next one
	run=$((run + 1))
	wait_for 600 syncs_in_run $run || fail "run $run does not begin: $("$PIPELINE" status)"
	wait_in inc Syncing
	printf 'run %s' $run | dd of="$work/source.raw" bs=1 seek=$((run % 8 * mib)) conv=notrunc status=none
	send "$work/source.raw" || fail "run $run: the copy failed"
	source_says Finished >/dev/null || fail "run $run: its source is not heard"
	wait_for 600 has_image_of_run $run || fail "run $run has no image: $("$PIPELINE" status)"
}

# A frequency is taken while the job waits. Where that comes too late, the next run has begun: its source is there for it, too.
waits_long() {
	! next_run_in 1: || return 0
	! syncs_in_run $((run + 1)) || source_runs
	"$PIPELINE" modify inc frequency_hours=168 2>/dev/null || true
	return 1
}

random_image "$work/source.raw" 8
start_receiver
run_job run name=inc "activation=$activation" run_once=false frequency_hours=1 max_images=3 \
	"scheduled_start=$(date -u -d '+1 hour' +%Y-%m-%dT%H:%M:%SZ)"
wait_in inc Ready
wait_for 600 sh -c "'$PIPELINE' status inc --json | grep -q 'starts in 0:5'" || fail "it does not say when it starts"
starts_soon inc
source_runs
source_runs
wait_for 600 images_are 2 || fail "after two runs there are: $(ls "$work/jobs/images")"
wait_for 600 waits_long || fail "a new frequency does not count: $("$PIPELINE" status)"
"$PIPELINE" modify inc max_images=1 frequency_hours=1
source_runs
wait_for 600 images_are 1 || fail "of one image to be kept there are: $(ls "$work/jobs/images")"
ls "$work"/jobs/images/*-run$run-disk0.qcow2 >/dev/null || fail "the newest is not the one that is kept"
wait_for 600 waits_long || fail "it takes no other frequency: $("$PIPELINE" status)"
kill -KILL "$pipeline_pid"
wait_job 2>/dev/null || true
"$PIPELINE" status inc | grep -q 'no process: pipeline start' || fail "nobody is told that nobody waits: $("$PIPELINE" status)"
run_job start inc
wait_for 600 next_run_in 1: || fail "the schedule is forgotten: $("$PIPELINE" status)"
kill -KILL "$pipeline_pid"
wait_job 2>/dev/null || true
run_job start inc --now
source_runs
wait_for 600 next_run_in 1: || fail "the run behind it does not wait: $("$PIPELINE" status)"
"$PIPELINE" start inc --now
source_runs
wait_in inc Waiting
"$PIPELINE" cut-over inc sync=false
timeout 600 tail --pid="$pipeline_pid" -f /dev/null || fail "the cut-over does not end it"
wait_job || fail "it ends with $?"
is_in inc Finished || fail "the cut-over did not finish the job"
