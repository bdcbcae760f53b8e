#!/usr/bin/env bash
# Over a network a foreign server has to speak TLS, and its key can be pinned; plain only where that is said.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
command -v nbdkit >/dev/null || skip "no nbdkit"
command -v openssl >/dev/null || skip "no openssl"
server=
trap 'stop_server; clean_up' EXIT

random_image "$work/disk" 12
truncate -s 12M "$work/old"

# make_keys NAME OPENSSL-OPTION... : a server and its authority, in a folder as GnuTLS' programs want it
make_keys() {
	local dir=$work/$1
	shift
	mkdir "$dir"
	openssl req -x509 -nodes -newkey rsa:2048 -keyout "$dir/ca-key.pem" -out "$dir/ca-cert.pem" -subj /CN=authority -days 2
	openssl req -new -nodes -newkey "$@" -keyout "$dir/server-key.pem" -out "$dir/request.pem" -subj /CN=localhost
	openssl x509 -req -in "$dir/request.pem" -CA "$dir/ca-cert.pem" -CAkey "$dir/ca-key.pem" -out "$dir/server-cert.pem" -days 2
} 2>/dev/null
make_keys p256 ec -pkeyopt ec_paramgen_curve:P-256
make_keys rsa rsa:2048
pin=$(openssl x509 -in "$work/p256/server-cert.pem" -pubkey -noout | openssl pkey -pubin -outform DER | sha256sum | cut -d' ' -f1)

stop_server() {
	[ -n "$server" ] || return 0
	kill "$server" 2>/dev/null || true
	wait "$server" 2>/dev/null || true
	server=
}
# The server itself listens, not somebody else; or it is gone.
listens_or_is_gone() {
	local inode
	kill -0 "$server" 2>/dev/null || return 0
	inode=$(awk -v port=":$(printf %04X "$port")\$" '$4 == "0A" && $2 ~ port { print $10; exit }' /proc/net/tcp)
	[ -n "$inode" ] && [ -n "$(find "/proc/$server/fd" -lname "socket:\[$inode\]" 2>/dev/null)" ]
}
# serve PROGRAM [OPTION...]: on a port that is free
serve() {
	local program=$1
	shift
	for _ in 1 2 3 4 5; do
		port=$((20000 + RANDOM % 12000))
		if [ "$program" = nbdkit ]; then
			nbdkit -f -i 127.0.0.1 -p $port "$@" file "$work/old" 2>>"$work/server.log" &
		else
			qemu-nbd -t -e 8 -b 127.0.0.1 -p $port -f raw "$@" "$work/old" 2>>"$work/server.log" &
		fi
		server=$!
		wait_for 600 listens_or_is_gone || fail "$program listens nowhere"
		kill -0 "$server" 2>/dev/null && return 0
		stop_server
	done
	fail "$program $* did not start"
}
push() { # OPTION...
	status=0
	"$MIGRATOR" send --nbd 127.0.0.1:$port --whole --quiet "$@" "$work/disk" 2>"$work/said" || status=$?
}
arrives() { # OPTION...
	truncate -s 0 "$work/old"
	truncate -s 12M "$work/old"
	push "$@"
	[ "$status" -eq 0 ] || fail "$*: status $status: $(cat "$work/said")"
	cmp "$work/disk" "$work/old"
}
refused() { # CODE WORDS OPTION...
	local code=$1 words=$2
	shift 2
	push "$@"
	[ "$status" -eq 1 ] || fail "$code: status $status: $(cat "$work/said")"
	grep -q "$code" "$work/said" || fail "no $code in $(cat "$work/said")"
	grep -q -- "$words" "$work/said" || fail "no \"$words\" in $(cat "$work/said")"
}

for keys in p256 rsa; do
	serve nbdkit --tls=require --tls-certificates="$work/$keys"
	arrives
	stop_server
	if command -v qemu-nbd >/dev/null; then
		serve qemu-nbd --object "tls-creds-x509,id=t,endpoint=server,dir=$work/$keys,verify-peer=no" --tls-creds t
		arrives
		stop_server
	fi
done

serve nbdkit --tls=on --tls-certificates="$work/p256"
arrives --pin "$pin"
grep -q 'its key is not checked' "$work/said" && fail "a checked key is said not to be"
arrives
grep -q 'its key is not checked' "$work/said" || fail "an unchecked key is not said"
refused PIN_MISMATCH 'another key' --pin "$(printf '%064d' 7)"
stop_server

serve nbdkit --tls=off
refused PEER_NO_TLS 'say --plain'
refused PEER_NO_TLS 'say --plain' --pin "$pin"
arrives --plain
stop_server
