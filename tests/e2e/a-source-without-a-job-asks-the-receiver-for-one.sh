#!/usr/bin/env bash
# A migrator that was given its code alone takes the job that the receiver holds; one that has a job does not look at it.
# Shown by a job that is refused before any disk is looked at.
. "$(dirname "$0")/lib-pipeline.sh"

put_job() { # JSON
	python3 - "$activation" "$1" <<'PYTHON'
import base64, ssl, sys, urllib.request
code = sys.argv[1].split(".", 1)[1]
raw = base64.urlsafe_b64decode(code + "=" * (-len(code) % 4))
n = raw[1]
host, port, token = raw[2:2 + n].decode(), int.from_bytes(raw[2 + n:4 + n], "big"), raw[38 + n:54 + n].hex()
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
urllib.request.urlopen(urllib.request.Request(f"https://{host}:{port}/v1/artefact/job.json", sys.argv[2].encode(),
                                              {"Authorization": f"Bearer {token}"}, method="PUT"), context=context)
PYTHON
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
