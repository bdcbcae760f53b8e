#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A job that wants SHA-256 has it in its plan and its proof. Another compression that the receiver's operator orders in the middle
# of the copy holds from there on. Ordered not to be read back, a second run leaves no proof behind, and says so.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/vm/lib-copy.sh
. "$(dirname "$0")/lib-copy.sh"
copy_needs
command -v curl >/dev/null || skip "curl is not installed"

# 100 MiB of text beside the noise.
mkdir -p "$vm_dir/root/srv"
yes 'a line of a text that packs well, as a text should' | head -c 104857600 >"$vm_dir/root/srv/text" || true
copy_source 100 sda1
copy_receiver
artefacts=$vm_dir/state/artefacts

disks=(-drive "if=none,id=d0,format=raw,file=$disk" -device "ahci,id=ahci" -device "ide-hd,bus=ahci.0,drive=d0")
# So slowly that most of it is still to come when the order has arrived; the order itself ends that.
copy_boot first '{"rate_mbit": 8, "compression": 0, "digest": "sha-256"}' "${disks[@]}"
vm_wait first 600 'Running Syncing.*copying, SHA-256 of each chunk$'
copy_order '{"compression": 8, "rate_mbit": 400}'
vm_wait first 600 'Finished|InError'
vm_says first 'copying, SHA-256 of each chunk, compression 8' || fail "the order did not arrive"
vm_stop first
copy_is_equal
grep -q '"digest": "sha-256"' "$artefacts/plan.json" || fail "the plan does not show the digest"
grep -q '"digest": "sha-256"' "$artefacts/verify.json" || fail "$(cat "$artefacts/verify.json")"
data=$(sed -nE 's/.*"data_chunks": *([0-9]+).*/\1/p' "$artefacts/verify.json")
received=$(copy_metric received_bytes_total)
echo "of $data chunks with data $((received / 1048576)) MiB came over the wire"
# Without the order it is at least all of it.
[ "$received" -lt $((data * 1048576 * 4 / 5)) ] || fail "$received bytes came for $data chunks: nothing was compressed"

copy_order '{"compression": null, "rate_mbit": null, "verify": false}'
copy_boot second '{"digest": "sha-256"}' "${disks[@]}"
vm_wait second 600 'Finished|InError'
vm_says second 'not read back, as it was ordered' || fail "the console does not say that nothing was read back"
vm_stop second
grep -q '"verified": false' "$artefacts/verify.json" || fail "$(cat "$artefacts/verify.json")"
! grep -q merkle_root "$artefacts/verify.json" || fail "the proof of the run before passes for one of this run"
copy_receiver_gone
! "$receiver" verify --disk "$vm_dir/files/disk0.raw" --proof "$artefacts/verify.json" 2>"$vm_dir/verify.err" ||
	fail "a copy that was not read back is proved"
grep -q PROOF_INVALID "$vm_dir/verify.err" || fail "$(cat "$vm_dir/verify.err")"
[ "$(sha256sum <"$disk")" = "$before" ] || fail "the source changed"
