#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# coldlift.job=https://: a server whose certificate is signed by an authority of the image's list gives the job,
# and the migrator reads it. The authority is ours, put into the image's list by one more initramfs segment, as
# is the server's name.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
vm_needs "$pxe/vmlinuz" "$pxe/initramfs"
command -v openssl >/dev/null || skip "openssl is not installed"
command -v cpio >/dev/null || skip "cpio is not installed"

name=jobs.example
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$vm_dir/ca.key" -out "$vm_dir/ca.pem" -days 2 -subj /CN=authority 2>/dev/null
openssl req -newkey rsa:2048 -nodes -keyout "$vm_dir/key.pem" -out "$vm_dir/request.pem" -subj "/CN=$name" 2>/dev/null
printf 'subjectAltName=DNS:%s\n' "$name" >"$vm_dir/names"
openssl x509 -req -in "$vm_dir/request.pem" -CA "$vm_dir/ca.pem" -CAkey "$vm_dir/ca.key" -CAcreateserial -days 2 \
	-extfile "$vm_dir/names" -out "$vm_dir/cert.pem" 2>/dev/null

mkdir -p "$vm_dir/www" "$vm_dir/more/etc/ssl/certs"
echo '{"name": "from afar", "no_such_key": 1}' >"$vm_dir/www/job.json"
cp "$vm_dir/ca.pem" "$vm_dir/more/etc/ssl/certs/ca-certificates.crt"
printf '127.0.0.1 localhost\n10.0.2.2 %s\n' "$name" >"$vm_dir/more/etc/hosts"
(cd "$vm_dir/more" && find . | cpio --quiet -o -H newc) >"$vm_dir/more.cpio"
cp "$pxe/initramfs" "$vm_dir/initramfs"
truncate -s %4 "$vm_dir/initramfs" # a segment starts at a multiple of four
cat "$vm_dir/more.cpio" >>"$vm_dir/initramfs"

vm_https "$vm_dir/www" ../cert.pem ../key.pem

vm_start source bios 256 -kernel "$pxe/vmlinuz" -initrd "$vm_dir/initramfs" \
	-append "console=ttyS0 quiet no_timer_check tsc=unstable ip=dhcp coldlift.job=https://$name:$port/job.json" \
	-netdev user,id=n -device virtio-net-pci,netdev=n
# The migrator itself refuses the key that no job has: it has read this very file.
vm_wait source 600 'JOB_INVALID.*no_such_key|no_such_key.*JOB_INVALID'
vm_prompt source
vm_sees source 'cat /run/coldlift/job.json' 'from afar' || fail "the job is not the server's"
