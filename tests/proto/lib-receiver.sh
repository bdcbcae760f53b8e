#!/usr/bin/env bash
# Sourced by the protocol tests: a receiver on loopback in a directory of its own, ended at exit.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
program=${RECEIVER:-build/asan/receiver}
[ -x "$program" ] || program=build/musl/receiver
[ -x "$program" ] || { echo "no receiver is built"; exit 77; }
work=$(mktemp -d /tmp/coldlift-proto-XXXXXX)
targets=(--files "$work/files")
receiver_pid=

end_receiver() { # SIGNAL
	[ -n "$receiver_pid" ] || return 0
	kill "-$1" "$receiver_pid" 2>/dev/null || true
	wait "$receiver_pid" 2>/dev/null || true
	receiver_pid=
}
# A command that must fail. (A bare ! would not end the test when it does not.)
refused() { # COMMAND...
	if "$@" 2>"$work/refusal"; then
		echo "this went well and should not: $*"
		exit 1
	fi
}
clean_up() {
	status=${1:-$?}
	end_receiver TERM
	[ $status = 0 ] || { echo "--- the receiver's log:"; tail -n 30 "$work/log" || true; }
	rm -rf "$work"
}
trap clean_up EXIT

requires() { # PROGRAM...
	for tool; do
		command -v "$tool" >/dev/null || { echo "needs $tool"; exit 77; }
	done
}

# Sets data_port, control_port, token, activation. Options go to the receiver.
# shellcheck disable=SC2120
start_receiver() { # [OPTION...]
	: >"$work/out"
	"$program" serve --state "$work/state" "${targets[@]}" --listen 127.0.0.1 --control-port 0 --data-port 0 \
		"$@" >"$work/out" 2>>"$work/log" &
	receiver_pid=$!
	until grep -q '^activation: ' "$work/out"; do
		kill -0 "$receiver_pid" || { cat "$work/log"; exit 1; }
		sleep 0.05
	done
	data_port=$(sed -n 's/^data: port //p' "$work/out")
	control_port=$(sed -n 's/^control: port //p' "$work/out")
	activation=$(sed -n 's/^activation: //p' "$work/out")
	token=$(sed -n 's/.*"token": "\([0-9a-f]*\)".*/\1/p' "$work/state/token.json")
	mkdir -p "$work/pki"
	cp "$work/state/cert.pem" "$work/pki/ca-cert.pem"
	export data_port control_port activation token
}

control() { # METHOD PATH [BODY]
	curl -sS --max-time 300 --cacert "$work/state/cert.pem" -X "$1" -H "Authorization: Bearer $token" \
		${3+--data-binary "$3"} "https://127.0.0.1:$control_port$2"
}

put_plan() { # BYTES...
	local plan='' index=0 bytes
	for bytes; do
		plan="$plan${plan:+,}{\"index\":$index,\"target_bytes\":$bytes}"
		index=$((index + 1))
	done
	control PUT /v1/artefact/plan.json "{\"disks\":[$plan]}" >/dev/null
}

uri() { # NAME: of an export
	echo "nbds://127.0.0.1:$data_port/$1?tls-certificates=$work/pki"
}
