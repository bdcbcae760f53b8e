#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine in the middle that holds the receiver's key and whose memory is bad: it ends TLS on both sides of the data
port and changes bytes of what the source sends.

usage: flipper.py STATE-DIRECTORY DATA-PORT EVERY TIMES SEED COUNT-FILE

Listens on a port of its own, which it prints, until its input ends. About every EVERY bytes (by chance, from SEED) one
bit is turned over, TIMES times altogether; the negotiation's first bytes are left alone. COUNT-FILE gets how many were."""

import random
import socket
import ssl
import struct
import sys
import threading

state, port, every, times, seed, count_file = sys.argv[1], int(sys.argv[2]), *map(int, sys.argv[3:6]), sys.argv[6]
chance = random.Random(seed)
lock = threading.Lock()
flipped = 0
GREETING, STARTTLS = 18, 5

server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
server_tls.load_cert_chain(f"{state}/cert.pem", f"{state}/key.pem")
client_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
client_tls.check_hostname = False
client_tls.verify_mode = ssl.CERT_NONE
client_tls.maximum_version = ssl.TLSVersion.TLSv1_2


def read(sock, n):
    data = b""
    while len(data) < n:
        part = sock.recv(n - len(data))
        if not part:
            raise OSError("gone")
        data += part
    return data


def start_tls(source, receiver):
    """Both negotiate up to STARTTLS as docs/protocol.md says, in plain."""
    source.sendall(read(receiver, GREETING))
    receiver.sendall(read(source, 4))
    head = read(source, 16)
    assert struct.unpack(">QII", head)[1:] == (STARTTLS, 0), head
    receiver.sendall(head)
    reply = read(receiver, 20)
    source.sendall(reply)
    assert struct.unpack(">QIII", reply)[1:] == (STARTTLS, 1, 0), reply
    return server_tls.wrap_socket(source, server_side=True), client_tls.wrap_socket(receiver)


def spoil(data, left):
    """`left` bytes until the next flip; returns the data and what is left then."""
    global flipped
    data = bytearray(data)
    at = left
    while at < len(data):
        with lock:
            if flipped >= times:
                return data, 1 << 62
            flipped += 1
            with open(count_file, "w", encoding="ascii") as f:
                f.write(str(flipped))
            data[at] ^= 1 << chance.randrange(8)
            at += chance.randrange(1, 2 * every)
    return data, at - len(data)


def pump(come_from, go_to, change):
    try:
        while True:
            data = come_from.recv(65536)
            if not data:
                break
            go_to.sendall(change(data))
    except OSError:
        pass
    for s in (come_from, go_to):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def spoiler():
    with lock:
        left = 4096 + chance.randrange(1, 2 * every)

    def change(data):
        nonlocal left
        data, left = spoil(data, left)
        return data

    return change


def carry(source):
    try:
        source, receiver = start_tls(source, socket.create_connection(("127.0.0.1", port)))
    except OSError:
        return
    threading.Thread(target=pump, args=(receiver, source, lambda data: data), daemon=True).start()
    pump(source, receiver, spoiler())


listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
threading.Thread(
    target=lambda: [threading.Thread(target=carry, args=(listener.accept()[0],), daemon=True).start() for _ in iter(int, 1)],
    daemon=True,
).start()
sys.stdin.read()
