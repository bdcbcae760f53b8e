#!/usr/bin/env bash
# A client without TLS gets NBD_REP_ERR_TLS_REQD for everything, and bytes smuggled in before TLS are refused.
# shellcheck source=tests/proto/lib-receiver.sh
. "$(dirname "$0")/lib-receiver.sh"
requires nbdinfo python3
start_receiver
put_plan 1048576
refused nbdinfo --size "nbd://127.0.0.1:$data_port/$token/disk0"
grep -qi 'tls' "$work/refusal"
python3 - "$data_port" "$token" <<'END'
import socket, struct, sys

port, token = int(sys.argv[1]), sys.argv[2].encode()


def connect():
    s = socket.create_connection(("127.0.0.1", port), timeout=20)
    f = s.makefile("rb")
    assert f.read(18) == struct.pack(">QQH", 0x4E42444D41474943, 0x49484156454F5054, 3)
    s.sendall(struct.pack(">I", 3))
    return s, f


def option(s, number, data=b""):
    s.sendall(struct.pack(">QII", 0x49484156454F5054, number, len(data)) + data)


def reply(f):
    magic, number, kind, length = struct.unpack(">QIII", f.read(20))
    assert magic == 0x3E889045565A9
    return number, kind, f.read(length)


name = token + b"/disk0"
s, f = connect()
for number, data in ((3, b""), (6, struct.pack(">I", len(name)) + name + b"\0\0"), (7, struct.pack(">I", len(name)) + name + b"\0\0"),
                     (8, b""), (10, b""), (0x434C4654, bytes(48)), (99, b"")):
    option(s, number, data)
    assert reply(f)[:2] == (number, 0x80000005), number
option(s, 1, name)  # EXPORT_NAME can only be refused by leaving
assert f.read(1) == b""

# STARTTLS and a plain option in one packet: the option must not be taken as if it had come inside.
s, f = connect()
s.sendall(struct.pack(">QII", 0x49484156454F5054, 5, 0) + struct.pack(">QII", 0x49484156454F5054, 3, 0))
assert reply(f)[:2] == (5, 1)
assert f.read(1) == b"", "the receiver went on after plain bytes behind STARTTLS"
END
