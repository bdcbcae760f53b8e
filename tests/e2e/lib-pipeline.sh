# Sourced by the tests of jobs without a cloud: the pipeline beside lib.sh's migrator, and the words of a source.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
PIPELINE=${PIPELINE:-$build/pipeline}
[ -x "$PIPELINE" ] || skip "no pipeline: make host-programs"
export COLDLIFT_STATE=$work/jobs COLDLIFT_CLOUD_POLL_MS=100
pipeline_pid=''
here=(control_port=0 data_port=0 listen=127.0.0.1 advertise=127.0.0.1)

end_job() {
	local rc=$?
	[ -z "$pipeline_pid" ] || kill "$pipeline_pid" 2>/dev/null || true
	# What a killed pipeline left behind.
	for pid in $(cat "$work"/jobs/j-*/receiver.pid 2>/dev/null); do
		grep -qs "$work" "/proc/$pid/cmdline" && kill "$pid" || true
	done
	if [ $rc -eq 0 ]; then clean_up; else (exit $rc) || clean_up; fi
}
trap end_job EXIT

# run_job WORD...: in the background.
run_job() {
	"$PIPELINE" "$@" >"$work/pipeline.out" 2>>"$work/pipeline.log" &
	pipeline_pid=$!
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

wait_in() { # JOB STATE-OR-PHASE
	wait_for 30 is_in "$1" "$2" || fail "$1 does not come to $2: $("$PIPELINE" status)"
}

# wait_run JOB: until a process works on it. A job that one left while it was Syncing is in that phase before the next begins.
wait_run() {
	wait_for 30 sh -c "'$PIPELINE' status '$1' --json | grep -q '\"running\": true'" || fail "nobody works on $1"
}

status_exits_with() { # JOB STATUS
	local status=0
	"$PIPELINE" status "$1" >/dev/null || status=$?
	[ $status -eq "$2" ] || fail "status of $1 exits with $status, not $2"
}

take_activation() {
	wait_for 30 sh -c "cat '$work'/jobs/j-*/activation" >/dev/null 2>&1 || fail "no activation code was handed out"
	activation=$(cat "$(job_file activation)")
}

# source_says STATE [CODE]: what a migrator posts; prints the orders that come back.
source_says() {
	python3 - "$activation" "$@" <<'PYTHON'
import base64, json, ssl, sys, time, urllib.request
code = sys.argv[1].split(".", 1)[1]
raw = base64.urlsafe_b64decode(code + "=" * (-len(code) % 4))
n = raw[1]
host, port, token = raw[2:2 + n].decode(), int.from_bytes(raw[2 + n:4 + n], "big"), raw[38 + n:54 + n].hex()
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
body = {"state": sys.argv[2], "time": str(time.time_ns()), "disks": [{"name": "sda", "done_bytes": 9, "total_bytes": 9}]}
if len(sys.argv) > 3:
    body.update(code=sys.argv[3], reason="a disk cannot be read")
request = urllib.request.Request(f"https://{host}:{port}/v1/state", json.dumps(body).encode(),
                                 {"Authorization": f"Bearer {token}"})
print(json.load(urllib.request.urlopen(request, context=context))["commands"])
PYTHON
}
