#!/usr/bin/env bash
# A job file that is no JSON, too large, of wrong types, or has keys that nobody knows: the migrator ends with a code, the
# place, and what to do, before it has looked at a disk or called anybody; a good one is taken. So do planner and pipeline.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
job=$work/job.json

# Nobody is to be called: the code leads to a port of ours that must stay silent.
python3 - "$work/port" "$work/called" <<'END' &
import socket, sys
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen()
open(sys.argv[1] + ".new", "w").write(str(s.getsockname()[1]))
import os
os.rename(sys.argv[1] + ".new", sys.argv[1])
s.accept()
open(sys.argv[2], "w").write("called")
END
listener=$!
trap 'kill $listener 2>/dev/null || true; clean_up' EXIT
wait_for 600 test -s "$work/port" || fail "no listener"
activation=$(python3 - "$(cat "$work/port")" <<'END'
import base64, hashlib, struct, sys
host = b"127.0.0.1"
raw = bytes([1, len(host)]) + host + struct.pack(">HH", int(sys.argv[1]), int(sys.argv[1])) + bytes(32) + bytes(16)
raw += hashlib.sha256(raw).digest()[:4]
print("coldlift1." + base64.urlsafe_b64encode(raw).decode().rstrip("="))
END
)

# The activation code that the command line has is none, so that a job that is taken ends there.
run() {
	status=0
	rm -rf "$work/dir"
	timeout 600 python3 "$root/tests/e2e/faults/with_progress.py" "$MIGRATOR" run --activation "${code-hello}" --job "$job" \
		--dir "$work/dir" --progress PTY >"$work/said" 2>&1 || status=$?
}
# refused CODE WORDS [ADVICE]: as the job file stands.
refused() {
	code=$activation
	run
	unset code
	[ "$status" -eq 1 ] || fail "$1, $2: status $status: $(cat "$work/said")"
	for words in "$1" "$2" "${3:-Correct the}"; do
		grep -q -- "$words" "$work/said" || fail "$1: no \"$words\" in: $(head -c 3000 "$work/said")"
	done
	grep -q InError "$work/said" || fail "$1, $2: no state InError"
	! grep -q 'read-only\|looking at the machine' "$work/said" "$work/dir/migrator.log" || fail "$1, $2: it went on"
}

printf '{"name": "x"' >"$job"
refused JSON_INVALID 'job.json: line 1'
head -c 100000 /dev/urandom >"$job"
refused JSON_INVALID 'job.json: '
: >"$job"
refused JSON_INVALID 'job.json: line 1'
printf '{"name": "a", "name": "b"}' >"$job"
refused JSON_INVALID 'duplicate'
python3 -c 'print("[" * 1000 + "]" * 1000)' >"$job"
refused JSON_INVALID 'in one another'
printf '[]' >"$job"
refused JOB_INVALID 'not a JSON object'
printf '{"nmae": "x"}' >"$job"
refused JOB_INVALID 'a key \\"nmae\\", which is not known'
for pair in '"compression": "7"' '"compression": 11' '"compression": -1' '"compression": 1e3' '"connections": 0' '"rate_mbit": true' \
	'"rate_mbit": 99999999999999999999' '"adaptive": 1' '"exit": "later"' '"allow": "A"' '"allow": [1]' '"allow": ["NO_DISKS"]' \
	'"holes_max": null' '"rescue_s": 0' '"holes_outside": ["etc"]' '"exclude_disks": {}' '"activation": 5' '"digest": "md5"' '"name": []'; do
	printf '{%s}' "$pair" >"$job"
	if [ "$pair" = '"rate_mbit": 99999999999999999999' ]; then
		refused JSON_INVALID 'too big'
	else
		refused JOB_INVALID "key \\\\\"$(expr "$pair" : '"\([a-z_]*\)"')\\\\\""
	fi
done
truncate -s 2M "$job"
refused FILE_UNREADABLE 'job.json: more than 1048576 bytes' "Check the file's name"
rm "$job"
refused FILE_UNREADABLE 'job.json: No such file' "Check the file's name"
mkdir "$job"
refused FILE_UNREADABLE 'job.json: Is a directory' "Check the file's name"
rmdir "$job"
[ ! -e "$work/called" ] || fail "somebody was called"

# A good one goes on to the code that is none; which is refused, too, whether it is in the job or beside it.
printf '{"name": "web", "compression": 3, "holes_max": 2, "allow": ["LVM_INVALID"]}' >"$job"
run
grep -q ACTIVATION_BAD "$work/said" || fail "a good job: $(cat "$work/said")"
[ "$status" -eq 1 ] || fail "a good job: status $status"

# The planner reads the same file.
mkdir "$work/plan"
printf '{"nmae": "x"}' >"$job"
"$MIGRATOR" plan --inventory "$root"/tests/golden/a-data-disk-of-500-gib-is-taken/inventory.json --job "$job" \
	-o "$work/plan/plan.json" >"$work/said" 2>&1 && fail "plan took it"
grep -q 'JOB_INVALID' "$work/said" || fail "plan: $(cat "$work/said")"
[ ! -e "$work/plan/plan.json" ] || fail "there is a plan"

# The pipeline's own jobs: everything wrong is said at once, and no job is there then.
[ -x "$build/pipeline" ] || exit 0
printf '{"way": 5, "nmae": "x", "rate_mbit": -1}' >"$job"
"$build/pipeline" create --state "$work/jobs" --job "$job" >"$work/said" 2>&1 && fail "pipeline took it"
for words in InvalidParameter '"way"' '"nmae"' '"rate_mbit"'; do
	grep -q -- "$words" "$work/said" || fail "pipeline: no $words in $(cat "$work/said")"
done
printf '{"way"' >"$job"
"$build/pipeline" create --state "$work/jobs" --job "$job" >"$work/said" 2>&1 && fail "pipeline took it"
grep -q 'JSON_INVALID' "$work/said" || fail "pipeline: $(cat "$work/said")"
[ -z "$(ls "$work/jobs" 2>/dev/null)" ] || fail "there is a job: $(ls "$work/jobs")"
