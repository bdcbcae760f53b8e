#!/usr/bin/env bash
# The control service is plain HTTPS and JSON: artefacts, state and orders, metrics, a page; each with limits.
# shellcheck source=tests/proto/lib-receiver.sh
. "$(dirname "$0")/lib-receiver.sh"
requires curl python3
start_receiver
put_plan 3145728
control GET /v1/artefact/plan.json | grep -q target_bytes
control PUT /v1/artefact/passwd x | grep -q PATH_UNKNOWN
control GET /v1/artefact/verify.json | grep -q ARTEFACT_MISSING
head -c 300000 /dev/zero | tr '\0' x >"$work/long"
control POST /v1/state "@$work/long" | grep -q BODY_TOO_LARGE
control POST /v1/state nonsense | grep -q BODY_NOT_JSON
control POST /v1/command '{"pause": true, "rate_mbit": 50, "compression": 3, "verify": false}' >/dev/null
for wrong in '{"compression": 11}' '{"compression": "3"}' '{"compression": -1}' '{"verify": 1}' '{"rate_mbit": -1}'; do
	control POST /v1/command "$wrong" | grep -q COMMAND_BAD
done
control POST /v1/state '{"state": "Running", "phase": "<b>Syncing"}' |
	python3 -c 'import json,sys; c=json.load(sys.stdin)["commands"]; assert c == {"pause": True, "cancel": False, "rate_mbit": 50, "compression": 3, "verify": False}'
control POST /v1/command '{"pause": false, "rate_mbit": null, "verify": null}' |
	python3 -c 'import json,sys; c=json.load(sys.stdin)["commands"]; assert c["rate_mbit"] is c["verify"] is None and c["compression"] == 3'
control GET / | grep -q 'Running: &lt;b&gt;Syncing'
control PUT /v1/log 'a line' | grep -q '"bytes": 6'
control GET /metrics | tail -n 1 | grep -qx '# EOF'
control GET /metrics | grep -q '^coldlift_disk_chunks{disk="0"} 3$'
# A browser asks for a password: the activation code, or the token in it.
for password in "$activation" "$token"; do
	curl -sS --cacert "$work/state/cert.pem" -u "me:$password" "https://localhost:$control_port/" | grep -q 'Coldlift receiver'
done
for wrong in "${activation%?}" "${activation}AAAA" "$(tr 0-9a-f 1-9a-f0 <<<"$token")" coldlift1.; do
	curl -sS --cacert "$work/state/cert.pem" -u "me:$wrong" "https://localhost:$control_port/" | grep -q TOKEN_REFUSED
done
[ "$(curl -sS -o /dev/null -w '%{http_code}' --cacert "$work/state/cert.pem" "https://localhost:$control_port/")" = 401 ]
