#!/usr/bin/env bash
# What "start it with an empty state directory" asks for: the directory was handed over to the keeper's user at the first
# start and is emptied; what root makes in it at the next start is the keeper's again. So in a directory of another user.
# shellcheck source=tests/proto/lib-receiver.sh
. "$(dirname "$0")/lib-receiver.sh"
[ "$(id -u)" = 0 ] || { echo "only root hands anything over"; exit 77; }
works() {
	start_receiver
	[ "$(control PUT /v1/artefact/plan.json '{"disks":[{"index":0,"target_bytes":1048576}]}' | grep -c '"name": "plan.json"')" = 1 ] ||
		{ echo "$1: a plan is not taken"; exit 1; }
	end_receiver TERM
	[ "$(stat -c %u "$work/state/artefacts")" = "$(stat -c %u "$work/state")" ] || { echo "$1: artefacts are another's"; exit 1; }
}
works "a new directory"
rm -r "$work"/state/*
works "the same, emptied"
rm -r "$work"/state/*
chown 4321:4321 "$work/state"
works "one of another user"
rm -r "$work"/state/*
mkdir "$work/elsewhere"
ln -s "$work/elsewhere" "$work/state/artefacts"
chown -h 4321:4321 "$work/state/artefacts"
"$program" serve --state "$work/state" "${targets[@]}" --listen 127.0.0.1 --control-port 0 --data-port 0 >"$work/out" 2>>"$work/log" &
receiver_pid=$!
until grep -q "^activation: " "$work/out" || ! kill -0 "$receiver_pid" 2>/dev/null; do
	sleep 0.05
done
[ "$(stat -c %u "$work/elsewhere")" = 0 ] || { echo "a link leads root astray"; exit 1; }
