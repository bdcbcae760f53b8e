# Sourced by the tests of jobs without a cloud: the pipeline beside lib.sh's migrator, and the words of a source.
# shellcheck shell=bash
here_dir=$(dirname "${BASH_SOURCE[0]}")
. "$here_dir/lib.sh"
PIPELINE=${PIPELINE:-$build/pipeline}
[ -x "$PIPELINE" ] || skip "no pipeline: make host-programs"
export COLDLIFT_STATE=$work/jobs COLDLIFT_CLOUD_POLL_MS=100
pipeline_pid=''
here=(control_port=0 data_port=0 listen=127.0.0.1 advertise=127.0.0.1)

end_job() {
	local rc=$?
	[ -z "$pipeline_pid" ] || kill "$pipeline_pid" 2>/dev/null || true
	# What a killed pipeline left behind.
	for file in "$work"/jobs/j-*/receiver.pid; do
		pid=$(cat "$file" 2>/dev/null) || continue
		grep -qs "$work" "/proc/$pid/cmdline" && kill "$pid" || true
	done
	if [ $rc -eq 0 ]; then clean_up; else (exit $rc) || clean_up; fi
}
trap end_job EXIT

# run_job WORD...: in the background. A receiver of the job takes ports that nobody else comes upon while it is away.
run_job() {
	local words=() word
	for word; do
		case $word in
		control_port=0 | data_port=0) words+=("${word%0}$(free_port)") ;;
		*) words+=("$word") ;;
		esac
	done
	# What a process that was killed said last is not what this one does.
	rm -f "$work"/jobs/j-*/status
	"$PIPELINE" "${words[@]}" >"$work/pipeline.out" 2>>"$work/pipeline.log" &
	pipeline_pid=$!
}

# starts_soon JOB: a time that has gone by when the order is given is refused.
starts_soon() {
	for _ in $(seq 20); do
		! "$PIPELINE" modify "$1" "scheduled_start=$(date -u -d '+5 seconds' +%Y-%m-%dT%H:%M:%SZ)" || return 0
	done
	fail "$1 takes no start in 5 seconds"
}

# wait_job: until it ends; its exit status.
wait_job() {
	local status=0
	wait "$pipeline_pid" || status=$?
	pipeline_pid=''
	return $status
}

# job_file NAME: of the only job.
job_file() {
	echo "$work"/jobs/j-*/"$1"
}

# finish_job: the source says that it has finished, until the job ends; its exit status.
finish_job() {
	while kill -0 "$pipeline_pid" 2>/dev/null; do
		source_says Finished >/dev/null 2>&1 || true
		sleep 0.1
	done
	wait_job
}

is_in() { # JOB STATE-OR-PHASE
	"$PIPELINE" status "$1" --json | grep -qE '"(state|phase)": "'"$2"'"'
}

# A job that is Syncing first asks what the source said in an earlier run, and passes its orders on: only then it waits.
awaits_source() { # JOB
	"$PIPELINE" status "$1" --json | tr -d '\n' |
		grep -q '"phase": "Syncing".*"step": "waiting for the source'
}

wait_in() { # JOB STATE-OR-PHASE
	wait_for 600 is_in "$1" "$2" || fail "$1 does not come to $2: $("$PIPELINE" status)"
	[ "$2" != Syncing ] || wait_for 600 awaits_source "$1" || fail "$1 does not wait for its source: $("$PIPELINE" status)"
}

# wait_run JOB: until a process works on it. A job that one left while it was Syncing is in that phase before the next begins.
wait_run() {
	wait_for 600 sh -c "'$PIPELINE' status '$1' --json | grep -q '\"running\": true'" || fail "nobody works on $1"
}

status_exits_with() { # JOB STATUS
	local status=0
	"$PIPELINE" status "$1" >/dev/null || status=$?
	[ $status -eq "$2" ] || fail "status of $1 exits with $status, not $2"
}

take_activation() {
	wait_for 600 sh -c "cat '$work'/jobs/j-*/activation" >/dev/null 2>&1 || fail "no activation code was handed out"
	activation=$(cat "$(job_file activation)")
}

# source_says STATE [CODE]: what a migrator posts; prints the orders that come back.
source_says() {
	local code=''
	[ $# -lt 2 ] || code=', "code": "'$2'", "reason": "a disk cannot be read"'
	printf '{"state": "%s", "time": "%s", "disks": [{"name": "sda", "done_bytes": 9, "total_bytes": 9}]%s}' "$1" "$(date +%s%N)" "$code" |
		python3 "$here_dir/control.py" "$activation" POST /v1/state |
		python3 -c 'import json, sys; print(json.load(sys.stdin)["commands"])'
}

# source_puts NAME <FILE: an artefact, as a migrator puts it.
source_puts() {
	python3 "$here_dir/control.py" "$activation" PUT "/v1/artefact/$1" >/dev/null
}
