#!/usr/bin/env bash
# Whoever packs an image, the command, a job or an upload, compares each chunk with what was verified: a bit that flipped on
# the target afterwards ends it with code, disk, place and advice, and no image appears. A job then waits for the source once
# more, which sends that chunk anew.
# shellcheck source=tests/e2e/lib-pipeline.sh
. "$(dirname "$0")/lib-pipeline.sh"

flip() { # FILE OFFSET
	local byte
	byte=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
	# shellcheck disable=SC2059 # an octal escape
	printf "$(printf '\\%03o' $((byte ^ 16)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# put NAME FILE: an artefact, as a migrator does.
put() {
	curl -sS --fail-with-body --insecure -X PUT -H "Authorization: Bearer $token" --data-binary "@$2" \
		"https://127.0.0.1:$control_port/v1/artefact/$1" >/dev/null || fail "$1 is not taken"
}

copied() { # : the disk, verified, and the artefacts of the source
	send --whole --proof "$work/proof" "$work/disk" || fail "the copy failed"
	printf '{"disks":[{"index":0,"target_bytes":%s}]}' "$(stat -c %s "$work/disk")" >"$work/plan.json"
	put plan.json "$work/plan.json"
	put verify.json "$work/proof/verify.json"
	put verify.leaves "$work/proof/verify.leaves"
}

# ---- the command ----
random_image "$work/disk" 12
truncate -s $((20 * mib)) "$work/disk"
random_image "$work/tail" 1
cat "$work/tail" >>"$work/disk"
mkdir "$work/proof"
start_receiver
token=$(sed -n 's/.*"token": "\([0-9a-f]*\)".*/\1/p' "$work/state/token.json")
copied
stop_receiver

pack() { # OPTION...
	"$RECEIVER" image --disk "$target/disk0.raw" --out "$work/image" "$@" >"$work/report" 2>"$work/refusal"
}
for format in qcow2 raw; do
	pack --state "$work/state" --format $format || fail "$(cat "$work/refusal")"
	grep -q '"proved": true' "$work/report" || fail "$format: $(cat "$work/report")"
	rm "$work/image"
done
pack && grep -q '"proved": false' "$work/report" || fail "without a proof: $(cat "$work/report")"
rm "$work/image"
flip "$target/disk0.raw" $((7 * mib + 4242))
for format in qcow2 raw; do
	! pack --state "$work/state" --format $format || fail "a rotten chunk went into a $format file"
	grep -q "IMAGE_MEDIUM_DIFFERS: .*disk0.raw .* byte $((7 * mib)) " "$work/refusal" || fail "$(cat "$work/refusal")"
	grep -q '^The receiver.s disk changed .*Run the migrator again' "$work/refusal" || fail "no advice: $(cat "$work/refusal")"
	# By the root alone it is found, too.
	! pack --proof "$work/proof/verify.json" --format $format || fail "the root was not compared"
	grep -q "IMAGE_MEDIUM_DIFFERS: .*disk0.raw .* its root is [0-9a-f]\{64\}, not [0-9a-f]\{64\}" "$work/refusal" || fail "$(cat "$work/refusal")"
	# Where, it cannot say; but what does. As it stands there it is run, with the file that is named.
	command=$(sed -n 's/^  receiver verify //p' "$work/refusal" | sed "s,verify.leaves,$work/proof/&,")
	! eval "\"$RECEIVER\" verify $command" >"$work/places" 2>&1 || fail "nothing differs: $command"
	grep -qx "differs: bytes $((7 * mib)) to $((8 * mib - 1))" "$work/places" || fail "$command: $(cat "$work/places")"
done
! ls "$work"/image* 2>/dev/null || fail "something is left of the images"
flip "$target/disk0.raw" $((7 * mib + 4242))
truncate -s +1M "$target/disk0.raw"
! pack --state "$work/state" || fail "a disk of another size was taken"
grep -q 'DISK_SIZE_DIFFERS' "$work/refusal" || fail "$(cat "$work/refusal")"
! pack --leaves "$work/proof/verify.leaves" || fail "leaves without a proof say nothing"

# ---- a job ----
rm -rf "$work/state" "$target"
run_job run name=web1 "${here[@]}" 'formats=["raw","qcow2"]'
take_activation
control_port=$(sed -n 's/^control: port //p' "$(job_file receiver.said)")
token=$(sed -n 's/.*"token": "\([0-9a-f]*\)".*/\1/p' "$(job_file receiver/token.json)")
wait_in web1 Syncing
copied
disk=$(job_file disks/disk0.raw)
flip "$disk" $((20 * mib + 99))
status=0
finish_job 2>/dev/null || status=$?
[ $status -eq 1 ] || fail "a job with a rotten disk ends with $status"
"$PIPELINE" status web1 >"$work/status" || true
grep -q 'IMAGE_MEDIUM_DIFFERS' "$work/status" || fail "$(cat "$work/status")"
tr -s ' \n' ' ' <"$work/status" | grep -q "disk 0 holds other bytes in the $mib from byte $((20 * mib)) on" || fail "$(cat "$work/status")"
! ls "$work"/jobs/images/*.raw "$work"/jobs/images/*.qcow2 2>/dev/null || fail "an image was made of it"
# The source once more: only the chunk that differs travels.
run_job retry web1
wait_in web1 Syncing
wait_for 600 bash -c ": </dev/tcp/127.0.0.1/$control_port" 2>/dev/null || fail "the receiver is not back"
send --whole --proof "$work/proof" "$work/disk" || fail "the second copy failed"
[ "$(result wire_bytes)" -lt $((4 * mib)) ] || fail "all was sent again: $(cat "$work/result.json")"
put verify.json "$work/proof/verify.json"
put verify.leaves "$work/proof/verify.leaves"
finish_job || fail "the job does not go on: $("$PIPELINE" status web1)"
cmp "$work/disk" "$work"/jobs/images/*-run1-disk0.raw || fail "the image differs"
