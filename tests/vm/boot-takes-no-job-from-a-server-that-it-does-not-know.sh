#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# coldlift.job=https://: the server is reached, but its certificate is signed by nobody whom the image knows,
# so the job is not taken and the migrator not started. Plain http is refused without asking.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
vm_needs "$iso"
command -v openssl >/dev/null || skip "openssl is not installed"

mkdir "$vm_dir/www"
echo '{"name":"from afar"}' >"$vm_dir/www/job.json"
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$vm_dir/key.pem" -out "$vm_dir/cert.pem" -days 2 \
	-subj /CN=10.0.2.2 -addext subjectAltName=IP:10.0.2.2 2>/dev/null
vm_https "$vm_dir/www" ../cert.pem ../key.pem

vm_iso "$vm_dir/cd.iso" --args "ip=dhcp coldlift.job=https://10.0.2.2:$port/job.json"
vm_start source bios 192 -cdrom "$vm_dir/cd.iso" -netdev user,id=n -device virtio-net-pci,netdev=n
vm_wait source 600 'InError: the job could not be fetched from https://10.0.2.2'
vm_wait source 600 'coldlift: migrate failed \(status 1\)'
vm_prompt source
vm_sh source '[ ! -e /run/coldlift/job.json ]' || fail "a job was taken"
# The server is there and curl works: only trust was missing.
vm_sees source "curl -ksS https://10.0.2.2:$port/job.json" 'from afar' || fail "the server could not be reached at all"
