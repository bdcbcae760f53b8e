#!/usr/bin/env bash
# A receiver that has what `migrator run` copied refuses an image that is as large, and nothing of the copy changes; with
# --overwrite it is taken, and from then on it is the image's.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

put() { # NAME TEXT
	curl -sS --fail-with-body --insecure -X PUT -H "Authorization: Bearer $token" --data-binary "$2" \
		"https://127.0.0.1:$control_port/v1/artefact/$1" >/dev/null || fail "$1 is not taken"
}
refused() { # WHEN
	local rc=0
	send --whole "$work/image" || rc=$?
	[ "$rc" -eq 1 ] || fail "$1: exit status $rc"
	grep -q 'TARGET_HOLDS_MACHINE: .*, db7$' "$work/migrator.log" || fail "$1: not told whose copy is there"
	grep -q 'or say --overwrite' "$work/migrator.log" || fail "$1: not told what to do"
	rm "$work/migrator.log"
	cmp "$work/machine" "$target/disk0.raw" || fail "$1: the copy was changed"
	(cd "$work/state/artefacts" && sha256sum --quiet -c "$work/sums") || fail "$1: what belongs to the copy was changed"
}

random_image "$work/machine" 8
random_image "$work/image" 8
start_receiver --commit-ms 50
token=$(sed -nE 's/.*"token": *"([0-9a-f]+)".*/\1/p' "$work/state/token.json")
send --whole "$work/machine"
# As migrator run leaves it. Before the copy has begun there is nothing to lose.
put inventory.json '{"version": 1, "guest": {"hostname": "db7"}}'
put plan.json '{"version": 1, "disks": [{"index": 0, "source": "sda", "target_bytes": 8388608}]}'
send --whole "$work/machine"
put plan.json '{"version": 1, "disks": [{"index": 0, "source": "sda", "target_bytes": 8388608}]}'
put copy-state.json '{"plan_digest": "", "run_id": "", "holes": []}'
(cd "$work/state/artefacts" && sha256sum inventory.json plan.json copy-state.json) >"$work/sums"
refused "a copy that is there"
stop_receiver
start_receiver --commit-ms 50
refused "after a new start of the receiver"
send --whole --overwrite "$work/image" || fail "--overwrite is refused: $(cat "$work/migrator.log")"
stop_receiver
cmp "$work/image" "$target/disk0.raw"
start_receiver --commit-ms 50
printf x | dd of="$work/image" bs=1 seek=5000000 conv=notrunc status=none
send --whole "$work/image" || fail "a newer state of the image is refused: $(cat "$work/migrator.log")"
stop_receiver
cmp "$work/image" "$target/disk0.raw"
