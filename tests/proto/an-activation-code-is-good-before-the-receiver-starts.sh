#!/usr/bin/env bash
# The pipeline makes the code first and the instance later: the same key and token give the same code.
# shellcheck source=tests/proto/lib-receiver.sh
. "$(dirname "$0")/lib-receiver.sh"
requires curl openssl nbdinfo
openssl rand -hex 16 >"$work/token"
chmod 600 "$work/token"
early=$("$program" activation --state "$work/early" --host 127.0.0.1 --token-file "$work/token" --uses 3 --days 2 --control-port 18080 --data-port 18703)
[ "$early" = "$("$program" activation --state "$work/early" --host 127.0.0.1 --control-port 18080 --data-port 18703)" ]

# Only the key and the token travel. (The ports are in the code, so it is compared without them.)
mkdir -m 700 "$work/state"
cp "$work/early/key.pem" "$work/state/key.pem"
start_receiver --token-file "$work/token" --advertise 127.0.0.1
[ "$token" = "$(cat "$work/token")" ]
again=$("$program" activation --state "$work/early" --host 127.0.0.1 --control-port "$control_port" --data-port "$data_port")
[ "$again" = "$activation" ] || { echo "the receiver's code is another one"; exit 1; }
put_plan 1048576
nbdinfo --size "$(uri "$token/disk0")"

# A running receiver's state is left alone; its uses are kept when the same token is given again.
refused "$program" activation --state "$work/state" --host 127.0.0.1
grep -q STATE_IN_USE "$work/refusal"
left=$(sed -n 's/.*"uses_left": \([0-9]*\).*/\1/p' "$work/state/token.json")
end_receiver TERM
start_receiver --token-file "$work/token"
[ "$left" = "$(sed -n 's/.*"uses_left": \([0-9]*\).*/\1/p' "$work/state/token.json")" ]
end_receiver TERM

# What is no token, and what others can read, is refused.
chmod 644 "$work/token"
refused "$program" serve --state "$work/state" "${targets[@]}" --listen 127.0.0.1 --control-port 0 --data-port 0 --token-file "$work/token"
grep -q TOKEN_FILE_BAD "$work/refusal"
echo "no token" >"$work/token"
chmod 600 "$work/token"
refused "$program" serve --state "$work/state" "${targets[@]}" --listen 127.0.0.1 --control-port 0 --data-port 0 --token-file "$work/token"
grep -q TOKEN_FILE_BAD "$work/refusal"
