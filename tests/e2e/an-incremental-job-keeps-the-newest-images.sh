#!/usr/bin/env bash
# Three runs of one job into the same disks, two images kept; the cut-over is the last run.
# Each change of state is told to a webhook, signed. The source's last word of a run is not taken for the next one's.
. "$(dirname "$0")/lib-pipeline.sh"

printf 'a secret' >"$work/secret"
cat >"$work/hook.py" <<'PYTHON'
import hashlib, hmac, http.server, json, sys
class Hook(http.server.BaseHTTPRequestHandler):
    refused = 0
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        good = hmac.compare_digest("sha256=" + hmac.new(b"a secret", body, hashlib.sha256).hexdigest(),
                                   self.headers["X-Coldlift-Signature"])
        if Hook.refused < 1:  # the first one has to come again
            Hook.refused += 1
            self.send_response(503)
        else:
            self.send_response(204)
            told = json.loads(body)
            print(good, told["state"], told["phase"], told["run"], flush=True)
        self.end_headers()
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Hook)
print(server.server_port, flush=True)
server.serve_forever()
PYTHON
python3 "$work/hook.py" >"$work/hook.out" &
hook_pid=$!
trap 'kill $hook_pid; end_job' EXIT
wait_for 600 test -s "$work/hook.out" || fail "no hook"

random_image "$work/source.raw" 8
# A receiver that stays between the runs: it still has the words of the run before.
start_receiver
run_job run name=inc "activation=$activation" run_once=false max_images=2 \
	"webhook={\"url\": \"http://127.0.0.1:$(head -n 1 "$work/hook.out")/\", \"secret_file\": \"$work/secret\"}"
for run in 1 2 3; do
	wait_in inc Syncing
	if [ $run -gt 1 ]; then
		# Long enough for many looks at it.
		sleep 1
		is_in inc Syncing || fail "run $run ended before its source spoke"
	fi
	cp "$work/source.raw" "$work/source$run.raw"
	send "$work/source.raw"
	source_says Finished >/dev/null
	wait_job || fail "run $run failed"
	printf 'run %s' $run | dd of="$work/source.raw" bs=1 seek=$((run * mib)) conv=notrunc status=none
	case $run in
	1) run_job start inc ;;
	2)
		is_in inc Waiting || fail "it does not wait for the next run"
		run_job cut-over inc
		;;
	esac
done
is_in inc Finished || fail "the cut-over did not finish the job"
[ "$(find "$work/jobs/images" -type f | wc -l)" -eq 2 ] || fail "$(ls "$work/jobs/images")"
for run in 2 3; do
	qemu-img compare -q "$work/source$run.raw" "$work"/jobs/images/*-run$run-disk0.qcow2 || fail "image $run differs"
done
tail -n +2 "$work/hook.out" >"$work/told"
! grep -v ^True "$work/told" || fail "a signature is wrong"
for word in "Running Syncing 1" "Waiting  1" "Running Syncing 2" "Waiting  2" "Running Syncing 3" "Running Cleaning 3" "Finished  3"; do
	grep -q "True $word" "$work/told" || fail "the hook was not told $word: $(cat "$work/told")"
done
