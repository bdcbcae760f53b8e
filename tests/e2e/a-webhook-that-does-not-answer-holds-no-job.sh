#!/usr/bin/env bash
# A webhook that takes connections and says nothing costs a job some seconds for each change of its state, and nothing
# else. Over https only a server is told whose certificate is trusted. It is told of a stop also where no process runs the
# job, or one only waits for its next run.
. "$(dirname "$0")/lib-pipeline.sh"
command -v openssl >/dev/null || skip "needs openssl"

cat >"$work/hook.py" <<'PYTHON'
import http.server, json, socket, ssl, sys
class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        print(told["name"], told["state"], told["phase"], flush=True)
        self.send_response(204)
        self.end_headers()
    def log_message(self, *_):
        pass
silent = socket.create_server(("127.0.0.1", 0))
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1] + "/hook.pem")
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print(silent.getsockname()[1], server.server_port, flush=True)
server.serve_forever()
PYTHON
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
	-addext subjectAltName=DNS:localhost -keyout "$work/key.pem" -out "$work/ca.pem" 2>/dev/null
cat "$work/key.pem" "$work/ca.pem" >"$work/hook.pem"
python3 "$work/hook.py" "$work" >"$work/hook.out" 2>"$work/hook.log" &
hook_pid=$!
trap 'kill $hook_pid; end_job' EXIT
wait_for 600 test -s "$work/hook.out" || fail "no hook"
read -r silent https <"$work/hook.out"

random_image "$work/source.raw" 2
# shellcheck disable=SC2034 # send and source_says use it
take_activation_of() { # NAME
	activation=$(cat "$("$PIPELINE" status "$1" --json | sed -n 's/^ *"directory": "\(.*\)",*$/\1/p')/activation")
}

job_with_hook() { # NAME URL
	run_job run "name=$1" "${here[@]}" "webhook={\"url\": \"$2\"}"
	wait_in "$1" Syncing
	take_activation_of "$1"
	send "$work/source.raw"
	finish_job || fail "$1 failed"
	is_in "$1" Finished || fail "$1 is not Finished"
}

job_with_hook silent "http://127.0.0.1:$silent/"
grep -q 'the webhook did not take "Running/Syncing' "$work/pipeline.log" || fail "nobody says that the webhook is silent"

job_with_hook untrusted "https://localhost:$https/"
grep -q untrusted "$work/hook.out" && fail "a server that nobody trusts was told"

COLDLIFT_CA_BUNDLE=$work/ca.pem job_with_hook trusted "https://localhost:$https/"
is_told() { # WORDS; the hook may not have written them down yet
	grep -q "^$1" "$work/hook.out"
}
for word in "Running Preparing" "Running Syncing" "Running Processing" "Finished "; do
	wait_for 600 is_told "trusted $word" || fail "the hook was not told $word: $(cat "$work/hook.out")"
done

export COLDLIFT_CA_BUNDLE=$work/ca.pem

run_job run name=killed "${here[@]}" "webhook={\"url\": \"https://localhost:$https/\"}"
wait_in killed Syncing
kill -KILL "$pipeline_pid"
wait_job 2>/dev/null || true
left=$(cat "$("$PIPELINE" status killed --json | sed -n 's/^ *"directory": "\(.*\)",*$/\1/p')/receiver.pid")
grep -q "$work" "/proc/$left/cmdline" || fail "the receiver went with its pipeline"
"$PIPELINE" stop killed
! grep -qs "$work" "/proc/$left/cmdline" || fail "a stopped job's receiver goes on"
wait_for 600 is_told "killed Stopped" || fail "the hook was not told of the stop"

run_job run name=later "${here[@]}" run_once=false frequency_hours=100 max_images=1 \
	"webhook={\"url\": \"https://localhost:$https/\"}"
wait_in later Syncing
take_activation_of later
send "$work/source.raw"
source_says Finished >/dev/null
wait_for 600 is_told "later Waiting" || fail "the hook was not told that it waits"
"$PIPELINE" stop later
wait_job || fail "the stopped job ends with $?"
wait_for 600 is_told "later Stopped" || fail "the hook was not told that it was stopped while it waited"
