#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# handout.txt of a job, word for word: its command makes a medium that migrates a machine, with the job file on it; its
# words, behind the other words in a netboot server's script, bring the next run of the same job, whose job file the source
# then gets from the receiver.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
vm_needs "$iso" "$pxe/coldlift.ipxe"
pipeline=$top/build/musl/pipeline
[ -x "$pipeline" ] && [ -x "$top/build/musl/receiver" ] || skip "build/musl has no pipeline and receiver: make programs"
export COLDLIFT_STATE=$vm_dir/jobs

# A root file system that can be taken for a Linux, and a disk that the job file leaves out.
mkdir -p "$vm_dir/root/etc" "$vm_dir/root/sbin" "$vm_dir/root/boot"
printf 'PRETTY_NAME="Small Linux 1"\nID=small\n' >"$vm_dir/root/etc/os-release"
cp /bin/true "$vm_dir/root/sbin/init"
echo '/dev/sda1 / ext4 defaults 0 1' >"$vm_dir/root/etc/fstab"
head -c 20M /dev/urandom >"$vm_dir/root/big"
truncate -s 90M "$vm_dir/fs.img"
mke2fs -q -t ext4 -d "$vm_dir/root" "$vm_dir/fs.img"
truncate -s 100M "$vm_dir/disk.img" "$vm_dir/scratch.img"
printf 'label: gpt\nstart=1MiB, size=90MiB, type=L\n' | sfdisk -q "$vm_dir/disk.img"
dd if="$vm_dir/fs.img" of="$vm_dir/disk.img" bs=1M seek=1 conv=notrunc,sparse status=none

is() { # STATE-OR-PHASE
	[[ $("$pipeline" status web1 --json 2>/dev/null) == *'": "'"$1"'"'* ]]
}

run_job() {
	"$pipeline" "$@" >>"$vm_dir/pipeline.log" 2>&1 &
	job_pid=$!
	vm_helpers+=("$job_pid")
	for _ in $(seq 3000); do
		is Syncing && return
		sleep 0.1
	done
	fail "the job does not come to Syncing: $(tail -n 5 "$vm_dir/pipeline.log")"
}

job_ends() {
	local left=900
	while kill -0 "$job_pid" 2>/dev/null; do
		[ $((left -= 1)) -gt 0 ] || fail "the job does not end: $("$pipeline" status)"
		sleep 1
	done
	wait "$job_pid" || fail "the job failed: $(tail -n 5 "$vm_dir/pipeline.log")"
}

# Of two SATA disks either can be the first to answer, and be sda; the one that is left out has a name of its own.
boots() { # NAME OPTION...: the source, until it powers itself off
	local name=$1
	shift
	vm_start "$name" bios 256 "$@" -netdev "user,id=n,tftp=$vm_dir/pxe,bootfile=coldlift.ipxe" -device e1000,netdev=n -device ahci,id=ahci \
		-drive "if=none,id=d0,format=raw,file=$vm_dir/disk.img" -device ide-hd,bus=ahci.0,drive=d0 \
		-drive "if=none,id=d1,format=raw,file=$vm_dir/scratch.img" -device virtio-blk-pci,drive=d1
	vm_wait "$name" 600 'migrate done \(status 0\)'
	vm_gone "$name" 600
}

images_are() { # COUNT: of each run one, as the other disk is left out
	local files
	files=$(find "$vm_dir/jobs/images" -name '*.qcow2' | wc -l)
	[ "$files" -eq "$1" ] || fail "the job file does not count: there are $files images, not $1"
}

run_job run name=web1 run_once=false max_images=2 compression=3 'source={"exclude_disks":["vda"]}' \
	control_port=0 data_port=0 listen=127.0.0.1 advertise=10.0.2.2
handout=$(echo "$vm_dir"/jobs/j-*/handout.txt)

# As an operator would who stands in a checkout, with the image that was built there. Only this host's slowness is added.
mkdir -p "$vm_dir/checkout/build"
ln -s "$top/iso" "$vm_dir/checkout/iso"
ln -s "$iso" "$vm_dir/checkout/build/coldlift.iso"
command=$(grep '^iso/customize ' "$handout")
(cd "$vm_dir/checkout" && eval "$command") 2>/dev/null || fail "refused: $command"
slowly="--timeout 1 --args 'no_timer_check tsc=unstable'"
(cd "$vm_dir/checkout" && eval "${command/customize/customize $slowly}") 2>/dev/null
boots first -boot d -cdrom "$(echo "$vm_dir"/checkout/j-*.iso)"
job_ends
is Waiting || fail "after the first run: $("$pipeline" status)"
images_are 1

run_job start web1
words=$(grep -m 1 '^coldlift.activation=' "$handout")
cp -r "$pxe" "$vm_dir/pxe"
sed -i "s|^set args\$|set args no_timer_check tsc=unstable ip=dhcp $words|" "$vm_dir/pxe/coldlift.ipxe"
boots second -boot n
job_ends
images_are 2
"$pipeline" cut-over web1 sync=false >/dev/null 2>&1
is Finished || fail "at the end: $("$pipeline" status)"
