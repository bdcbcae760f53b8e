#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The source's plug is pulled in the middle of the copy. Booted again it goes on without being told, says that its disks
# have not been used, and sends at most 2 % of what was durable once more. The copy is whole.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/vm/lib-copy.sh
. "$(dirname "$0")/lib-copy.sh"
copy_needs
copy_source 300 sda1
copy_receiver

disks=(-drive "if=none,id=d0,format=raw,file=$disk" -device "ahci,id=ahci" -device "ide-hd,bus=ahci.0,drive=d0")
copy_boot first '{"rate_mbit": 48, "compression": 0}' "${disks[@]}"
copy_middle first 210
vm_stop first
copy_settled
durable=$(copy_metric disk_durable_chunks)
[ "$durable" -ge 60 ] || fail "only $durable chunks were durable when the power went; nothing is tested"
earlier=$(copy_metric received_bytes_total)
copy_goes_on

copy_boot second '{"compression": 0}' "${disks[@]}"
vm_wait second 600 'Finished|InError'
vm_says second 'the source was restarted, its disks have not been used since' ||
	fail "the console does not say that the source is as it was"
vm_stop second
[ "$(sha256sum <"$disk")" = "$before" ] || fail "the source changed"
copy_is_equal

copy_sent_little_again "$durable" "$earlier"
