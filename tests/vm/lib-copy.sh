# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# For tests in which a small machine is copied to a receiver of this host. Comes after lib.sh.
#
#   copy_needs                        skip unless the image and the receiver are there
#   copy_source MIB NAME              $disk, with one ext4 that can be taken for a Linux whose root is /dev/NAME; its
#                                     file /srv/data/payload has MIB of noise. $before is the disk's SHA-256.
#                                     NAME vg0/root: it is a volume there
#   copy_receiver                     start it; $code is its activation code. A second start takes up the state
#   copy_receiver_gone                end it
#   copy_metric NAME                  a figure of its, without coldlift_
#   copy_settled                      until what it took is on its medium
#   copy_order JSON                   what its operator orders the source
#   copy_middle NAME MIB              until so much has arrived. From then on the source is so slow that whatever is done next
#                                     is done in the middle of the copy, however late it is; copy_goes_on ends that
#   copy_boot NAME JOB OPTION...      the ISO, with this code and job; e1000 "net0" on user network "n".
#                                     It has $copy_memory_mib, 256
#   copy_is_equal                     the copy is the source's: its file system is sound, and the payload is there
#   copy_sent_little_again N BYTES    of N chunks that were durable when BYTES had been received, at most 2 % came again

copy_needs() {
	receiver=${COLDLIFT_BUILD:-$top/build}/musl/receiver
	vm_needs "$iso"
	[ -x "$receiver" ] || skip "build/musl/receiver is not built"
	command -v debugfs >/dev/null || skip "debugfs is not installed"
}

copy_source() {
	local tree=$vm_dir/root
	mkdir -p "$tree/etc" "$tree/sbin" "$tree/boot" "$tree/srv/data"
	printf 'PRETTY_NAME="Small Linux 1"\nID=small\n' >"$tree/etc/os-release"
	cp /bin/true "$tree/sbin/init"
	echo small >"$tree/etc/hostname"
	echo "/dev/$2 / ext4 defaults 0 1" >"$tree/etc/fstab"
	head -c "${1}M" /dev/urandom >"$tree/srv/data/payload"
	copy_fs_mib=$(($1 * 3 / 2 + 100))
	truncate -s "${copy_fs_mib}M" "$vm_dir/fs.img"
	mke2fs -q -t ext4 -b 4096 -d "$tree" "$vm_dir/fs.img"
	disk=$vm_dir/disk.img
	copy_fs_at_mib=1
	truncate -s $((copy_fs_mib + 20))M "$disk"
	if [ "$2" = vg0/root ]; then
		copy_fs_at_mib=2
		printf 'label: gpt\nstart=1MiB, size=%sMiB, type=lvm\n' $((copy_fs_mib + 1)) | sfdisk -q "$disk"
		"$vm_lib/lvm.py" "$disk" 1048576 $(((copy_fs_mib + 1) << 20))
	else
		printf 'label: gpt\nstart=1MiB, size=%sMiB, type=L\n' "$copy_fs_mib" | sfdisk -q "$disk"
	fi
	dd if="$vm_dir/fs.img" of="$disk" bs=1M seek=$copy_fs_at_mib conv=notrunc,sparse status=none
	rm "$vm_dir/fs.img"
	before=$(sha256sum <"$disk")
}

copy_control_port=0 copy_data_port=0 # which it then has, also when it comes back
copy_memory_mib=256
copy_receiver() {
	mkdir -p "$vm_dir/files"
	: >"$vm_dir/receiver.out"
	"$receiver" serve --state "$vm_dir/state" --files "$vm_dir/files" --listen 127.0.0.1 --advertise 10.0.2.2 \
		--control-port "$copy_control_port" --data-port "$copy_data_port" \
		>"$vm_dir/receiver.out" 2>>"$vm_dir/receiver.log" &
	copy_pid=$!
	vm_helpers+=("$copy_pid")
	until grep -q '^activation: ' "$vm_dir/receiver.out"; do
		kill -0 "$copy_pid" 2>/dev/null || fail "the receiver ended: $(tail -n 3 "$vm_dir/receiver.log")"
		sleep 0.1
	done
	copy_control_port=$(sed -n 's/^control: port //p' "$vm_dir/receiver.out")
	copy_data_port=$(sed -n 's/^data: port //p' "$vm_dir/receiver.out")
	code=$(sed -n 's/^activation: //p' "$vm_dir/receiver.out")
}

copy_receiver_gone() {
	kill "$copy_pid" 2>/dev/null || true
	wait "$copy_pid" 2>/dev/null || true
}

copy_call() { # PATH OPTION...: a request to its control service
	local token path=$1
	shift
	token=$(sed -nE 's/.*"token": *"([0-9a-f]+)".*/\1/p' "$vm_dir/state/token.json")
	curl -ksS -m 300 -H "Authorization: Bearer $token" "$@" "https://127.0.0.1:$copy_control_port$path"
}

copy_metric() {
	copy_call /metrics | sed -nE "s/^coldlift_$1(\{[^}]*\})? ([0-9]+)\$/\2/p" | sed -n 1p
}

copy_settled() {
	until [ "$(copy_metric connections)" = 0 ] && [ "$(copy_metric disk_pending_chunks)" = 0 ]; do sleep 0.2; done
}

copy_order() { copy_call /v1/command -d "$1" | grep commands >/dev/null || fail "the receiver does not take $1"; }

copy_has_received() { # MIB
	local bytes
	bytes=$(copy_metric received_bytes_total)
	[ "${bytes:-0}" -ge $(($1 << 20)) ]
}

copy_middle() {
	vm_until "$1" 600 "$2 MiB have arrived" copy_has_received "$2"
	copy_order '{"rate_mbit": 4}'
	! vm_says "$1" 'Running Processing|Finished|InError' || fail "the copy ended before it was caught in its middle"
}

copy_goes_on() { copy_order '{"rate_mbit": 0}'; }

copy_boot() {
	local name=$1
	printf '%s\n' "$2" >"$vm_dir/job.json"
	shift 2
	vm_iso "$vm_dir/$name.iso" --activation "$code" --job "$vm_dir/job.json" --args 'ip=dhcp'
	vm_start "$name" bios "$copy_memory_mib" -boot d -cdrom "$vm_dir/$name.iso" \
		-netdev user,id=n -device e1000,id=net0,netdev=n "$@"
}

copy_is_equal() {
	local copy=$vm_dir/copy.img
	dd if="$vm_dir/files/disk0.raw" of="$copy" bs=1M skip=$copy_fs_at_mib count="$copy_fs_mib" conv=sparse status=none
	e2fsck -fn "$copy" >/dev/null 2>&1 || fail "the copy's file system is damaged"
	debugfs -R "dump /srv/data/payload $vm_dir/payload" "$copy" 2>/dev/null
	cmp "$vm_dir/root/srv/data/payload" "$vm_dir/payload" || fail "the payload differs"
	"$receiver" verify --disk "$vm_dir/files/disk0.raw" --proof "$vm_dir/state/artefacts/verify.json" \
		--leaves "$vm_dir/state/artefacts/verify.leaves" --index 0 >/dev/null || fail "the proof does not hold"
}

copy_sent_little_again() { # DURABLE-CHUNKS RECEIVED-BYTES: as they were before
	local needed received again
	needed=$(sed -nE 's/.*"data_chunks": *([0-9]+).*/\1/p' "$vm_dir/state/artefacts/verify.json")
	received=$(($(copy_metric received_bytes_total) - $2))
	again=$((received - (needed - $1) * 1048576))
	echo "$1 of $needed chunks were durable, $received bytes came after that: $((again * 1000 / $1 / 1048576)) per mille came again"
	[ "$again" -le $(($1 * 1048576 / 50)) ] || fail "$again bytes of $1 chunks that were durable came again"
}
