#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Two machines are booted with one medium, as happens at night: the second, a clone with the same host name, finds the copy
# of the first at the receiver, and leaves it and what belongs to it alone. The first with another network card is known.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/vm/lib-copy.sh
. "$(dirname "$0")/lib-copy.sh"
copy_needs
copy_source 60 nvme0n1p1
copy_receiver
nvme=(-drive "if=none,id=d0,format=raw,file=$disk" -device "nvme,drive=d0,serial=SMALL")

copy_boot first '{"compression": 0, "rate_mbit": 16}' "${nvme[@]}" -uuid 564d9a3c-7f10-2be1-9c44-0e1d5b7a6f01
copy_middle first 4
# The second came at the same time, and put its inventory there before it was turned away.
copy_call /v1/artefact/inventory.json -X PUT --data '{"nics": [{"mac": "52:54:00:12:34:99"}]}' >"$vm_dir/put"
grep -q '"bytes"' "$vm_dir/put" || fail "the inventory is not taken: $(cat "$vm_dir/put")"
! vm_says first 'Running Processing|Finished|InError' || fail "the second did not come in the middle"
copy_goes_on
vm_wait first 600 'Finished|InError'
vm_stop first
copy_is_equal
(cd "$vm_dir/state/artefacts" && sha256sum inventory.json plan.json verify.json verify.leaves) >"$vm_dir/sums"

# Its disk is as large, and from the same maker.
dd if="$disk" of="$vm_dir/was" bs=1M skip=40 count=4 status=none
head -c 4M /dev/urandom | dd of="$disk" bs=1M seek=40 conv=notrunc status=none
before=$(sha256sum <"$disk")
copy_boot second '{"compression": 0}' "${nvme[@]}" -set device.net0.mac=52:54:00:12:34:99 \
	-uuid 564d9a3c-7f10-2be1-9c44-0e1d5b7a6f02
vm_wait second 600 'Finished|InError'
vm_says second 'TARGET_HOLDS_OTHER' || fail "the second machine is not told whose copy is there"
vm_says second 'small like this one: other board .564d9a3c' || fail "it is not told how it was told apart"
vm_says second 'receiver of its own' || fail "it is not told what to do"
vm_stop second
[ "$(sha256sum <"$disk")" = "$before" ] || fail "the second machine's disk changed"
(cd "$vm_dir/state/artefacts" && sha256sum --quiet -c "$vm_dir/sums") || fail "what belongs to the first copy was overwritten"
copy_is_equal

dd if="$vm_dir/was" of="$disk" bs=1M seek=40 conv=notrunc status=none
copy_boot third '{"compression": 0}' "${nvme[@]}" -set device.net0.mac=52:54:00:12:34:98 \
	-uuid 564d9a3c-7f10-2be1-9c44-0e1d5b7a6f01
vm_wait third 600 'Finished|InError'
vm_says third 'TARGET_HOLDS_OTHER' && fail "the first machine is not known by its board"
vm_stop third
copy_is_equal
