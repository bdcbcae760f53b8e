#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A machine whose clock says 2001, and one that says 2040, fetch their job by https and copy: the time is taken from the
# server, as no certificate is valid then. With a clock that may be right, it is left alone and the console says what to do.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/vm/lib-copy.sh
. "$(dirname "$0")/lib-copy.sh"
copy_needs
vm_needs "$pxe/vmlinuz" "$pxe/initramfs"
command -v openssl >/dev/null || skip "openssl is not installed"
command -v cpio >/dev/null || skip "cpio is not installed"
copy_source 30 vda1
copy_receiver

# An authority of ours in the image's list, and a name for this host.
name=jobs.example
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$vm_dir/key.pem" -out "$vm_dir/cert.pem" -days 20 -subj "/CN=$name" \
	-addext "subjectAltName=DNS:$name" 2>/dev/null
mkdir -p "$vm_dir/www" "$vm_dir/more/etc/ssl/certs"
printf '{"activation": "%s"}\n' "$code" >"$vm_dir/www/job.json"
cp "$vm_dir/cert.pem" "$vm_dir/more/etc/ssl/certs/ca-certificates.crt"
printf '127.0.0.1 localhost\n10.0.2.2 %s\n' "$name" >"$vm_dir/more/etc/hosts"
cp "$pxe/initramfs" "$vm_dir/initramfs"
truncate -s %4 "$vm_dir/initramfs"
(cd "$vm_dir/more" && find . | cpio --quiet -o -H newc) >>"$vm_dir/initramfs"

cat >"$vm_dir/serve.py" <<'PY'
import functools, http.server, ssl, sys
folder, port_file = sys.argv[1:]
server = http.server.HTTPServer(("127.0.0.1", 0), functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder + "/www"))
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(folder + "/cert.pem", folder + "/key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
open(port_file, "w").write(str(server.server_port) + "\n")
server.serve_forever()
PY
python3 "$vm_dir/serve.py" "$vm_dir" "$vm_dir/port" >"$vm_dir/server.log" 2>&1 &
vm_helpers+=($!)
until [ -s "$vm_dir/port" ]; do sleep 0.1; done

boot() { # NAME DATE
	vm_start "$1" bios 256 -rtc "base=$2" -kernel "$pxe/vmlinuz" -initrd "$vm_dir/initramfs" \
		-append "console=ttyS0 quiet no_timer_check tsc=unstable ip=dhcp coldlift.job=https://$name:$(cat "$vm_dir/port")/job.json" \
		-netdev user,id=n -device virtio-net-pci,netdev=n \
		-drive "if=none,id=d0,format=raw,file=$disk" -device virtio-blk-pci,drive=d0
}

for year in 2001 2040; do
	boot "of-$year" "$year-02-03T04:05:06"
	vm_wait "of-$year" 600 'Finished|InError'
	vm_says "of-$year" "The clock of this machine says $year-02-03. .* the time is taken from https://$name" ||
		fail "the console does not say where the time of $year was replaced"
	vm_says "of-$year" 'all is copied and durable' || fail "no copy with a clock of $year"
	vm_stop "of-$year"
	copy_is_equal
done

# A year ahead might be right.
boot plausible "$(($(date +%Y) + 1))-02-03T04:05:06"
vm_wait plausible 600 "InError: the certificate of $name.* is not valid at the time that this machine has, 20.*firmware"
vm_stop plausible
[ "$(sha256sum <"$disk")" = "$before" ] || fail "the source changed"
