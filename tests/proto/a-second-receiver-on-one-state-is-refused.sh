#!/usr/bin/env bash
# Two receivers cannot use one state directory, nor one port; and the message says so.
# shellcheck source=tests/proto/lib-receiver.sh
. "$(dirname "$0")/lib-receiver.sh"
# Below the ports that connections and port 0 take, as one of those may be another's when the receiver comes back to it.
free_port() {
	local port
	while port=$((20000 + RANDOM % 12000)) && (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
	echo "$port"
}
first=$(free_port) second=$first
while [ "$second" = "$first" ]; do second=$(free_port); done
ports="--control-port $first --data-port $second"
# shellcheck disable=SC2086
start_receiver $ports
status=0
"$program" serve --state "$work/state" --files "$work/files2" --listen 127.0.0.1 --control-port 0 --data-port 0 2>"$work/second" || status=$?
[ "$status" = 1 ]
grep -q STATE_IN_USE "$work/second"
status=0
"$program" serve --state "$work/state2" --files "$work/files2" --listen 127.0.0.1 --control-port 0 --data-port "$data_port" \
	2>"$work/second" || status=$?
[ "$status" = 1 ]
grep -q PORT_IN_USE "$work/second"
# The same receiver comes back with the same code.
before=$activation
end_receiver TERM
# shellcheck disable=SC2086
start_receiver $ports
[ "$activation" = "$before" ]
