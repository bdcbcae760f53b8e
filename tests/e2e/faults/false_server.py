#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""An NBD server with our extension that does one thing wrong. It serves a memory disk on a Unix socket, in plain.

usage: false_server.py SOCKET BYTES FAULT [FILE]

FILE gets the disk's bytes when the client says goodbye. Faults that it knows are the methods called fault_*, and
"none". It speaks as docs/protocol.md says and shares no code with the real one."""

import os
import socket
import struct
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import journal  # noqa: E402  its digest

NBDMAGIC, IHAVEOPT, REPLY = 0x4E42444D41474943, 0x49484156454F5054, 0x3E889045565A9
COLDLIFT = 0x434C4654
ACK, SERVER, INFO = 1, 2, 3
UNSUP = 0x80000001
CHUNK = 1 << 20
WRITE, DISC, FLUSH, ZEROES, CHUNK_WRITE, DIGESTS, DURABLE, KEEP = 1, 2, 3, 6, 0x4301, 0x4302, 0x4303, 0x4304
EBADMSG = 74


class Gone(Exception):
    pass


class Disk:
    def __init__(self, size):
        self.lock = threading.Lock()
        self.data = bytearray(size)
        self.digests = {}
        self.refusals = {}  # chunk -> how often its bytes were called damaged
        self.connections = 0
        self.stopped = False  # a fault that happens once has happened


class Session:
    def __init__(self, sock, disk, fault):
        self.sock, self.disk, self.fault = sock, disk, fault
        self.extension = False

    # ---- bytes ----

    def read(self, n):
        data = bytearray()
        while len(data) < n:
            part = self.sock.recv(n - len(data))
            if not part:
                raise Gone
            data += part
        return bytes(data)

    def send(self, data):
        self.sock.sendall(data)

    def hang(self):
        """Say nothing more, but stay."""
        while self.sock.recv(65536):
            pass
        raise Gone

    def is_fault(self, name):
        return self.fault == name

    # ---- negotiation ----

    def reply(self, option, kind, data=b"", length=None):
        self.send(struct.pack(">QIII", REPLY, option, kind, len(data) if length is None else length) + data)

    def greet(self):
        if self.is_fault("http"):
            self.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            raise Gone
        if self.is_fault("leaves_at_once"):
            raise Gone
        if self.is_fault("says_nothing"):
            self.hang()
        if self.is_fault("half_a_greeting"):
            self.send(struct.pack(">Q", NBDMAGIC))
            self.hang()
        if self.is_fault("oldstyle"):
            self.send(struct.pack(">QQQI124x", NBDMAGIC, 0x420281861253, len(self.disk.data), 1))
            self.hang()
        self.send(struct.pack(">QQH", NBDMAGIC, IHAVEOPT, 3))
        self.read(4)

    def options(self):
        while True:
            magic, option, length = struct.unpack(">QII", self.read(16))
            assert magic == IHAVEOPT and length < 65536, (magic, option, length)
            if self.option(option, self.read(length)):
                return

    def option(self, option, data):
        if self.is_fault("stops_in_the_handshake") and option == 7:
            self.hang()
        if self.is_fault("leaves_in_the_handshake") and option == 7:
            raise Gone
        if self.is_fault("long_option_reply") and option == 7:
            self.reply(option, INFO, length=0x7FFFFFFF)
            self.hang()
        if self.is_fault("endless_option_replies") and option == 7:
            for _ in range(100000):
                self.reply(option, SERVER, b"\0\0\0\1x")
        if self.is_fault("answer_to_another_option") and option == 7:
            self.reply(99, ACK)
            self.hang()
        if self.is_fault("no_size") and option == 7:
            self.reply(option, ACK)
            self.hang()
        if option == 8:
            self.reply(option, ACK)
        elif option == COLDLIFT:
            shift = 12 if self.is_fault("other_chunks") else 20
            self.reply(option, COLDLIFT, struct.pack(">HBBIII", 1, shift, 1, 3, 1048656, 0))
            self.reply(option, ACK)
            self.extension = True
        elif option in (6, 7):
            size = len(self.disk.data) if not self.is_fault("too_small") else CHUNK
            self.reply(option, INFO, struct.pack(">HQH", 0, size, 0x1 | 0x4 | 0x8 | 0x40 | 0x100))
            if self.is_fault("absurd_block_size"):
                self.reply(option, INFO, struct.pack(">HIII", 3, 0, 0, 0))
            self.reply(option, ACK)
            return option == 7
        else:
            self.reply(option, UNSUP)
        return False

    # ---- requests ----

    def simple(self, cookie, error=0):
        self.send(struct.pack(">IIQ", 0x67446698, error, cookie))

    def structured(self, cookie, kind, data, length=None):
        self.send(struct.pack(">IHHQI", 0x668E33EF, 1, kind, cookie, len(data) if length is None else length) + data)

    def error(self, cookie, number, text):
        self.structured(cookie, 0x8001, struct.pack(">IH", number, len(text)) + text.encode())

    def requests(self):
        while True:
            magic, _, kind, cookie, offset, length = struct.unpack(">IHHQQI", self.read(28))
            assert magic == 0x25609513
            if kind == DISC:
                return
            data = self.read(length) if kind in (WRITE, CHUNK_WRITE) else b""
            with self.disk.lock:
                self.request(kind, cookie, offset, length, data)

    def request(self, kind, cookie, offset, length, data):
        writes = kind in (WRITE, CHUNK_WRITE)
        if self.is_fault("dies_half_way") and writes and not self.disk.stopped and len(self.disk.digests) > 3:
            self.disk.stopped = True
            raise Gone
        if self.is_fault("answers_to_nothing") and writes:
            self.simple(cookie ^ 0x55)
            return
        if self.is_fault("no_answer_but_noise") and writes:
            self.send(bytes(range(64)))
            return
        if self.is_fault("long_answer") and writes:
            self.structured(cookie, 0x8001, b"", length=0x7FFFFFFF)
            return
        if self.is_fault("no_answer") and writes:
            return
        if kind == WRITE:
            self.disk.data[offset : offset + length] = data
            self.simple(cookie)
        elif kind == ZEROES:
            self.disk.data[offset : offset + length] = bytes(length)
            for chunk in range(offset // CHUNK, -(-(offset + length) // CHUNK)):
                self.disk.digests.pop(chunk, None)
            self.simple(cookie)
        elif kind == CHUNK_WRITE:
            self.chunk_write(cookie, offset, data)
        elif kind == DIGESTS:
            self.tell_digests(cookie, offset // CHUNK, length)
        elif kind == DURABLE:
            self.tell_durable(cookie)
        else:
            self.simple(cookie)

    def chunk_write(self, cookie, offset, data):
        chunk, codec = offset // CHUNK, data[0]
        assert codec == 0, "start the client with --compression 0"
        bitmap, digest, payload = data[16:48], data[48:64], data[80:]
        plain, at = bytearray(min(CHUNK, len(self.disk.data) - offset)), 0
        for block in range(256):
            if bitmap[block // 8] >> block % 8 & 1:
                piece = payload[at : at + 4096]
                plain[block * 4096 : block * 4096 + len(piece)] = piece
                at += len(piece)
        assert at == len(payload)
        if journal.digest(bytes(plain)) != digest:
            self.error(cookie, EBADMSG, f"chunk {chunk} does not match its digest")
            return
        # Memory that flips a bit on our side: the digest no longer holds.
        limit = {"one_flipped_bit": 1, "always_flipped_bits": 99}.get(self.fault, 0)
        if chunk == 5 and self.disk.refusals.get(chunk, 0) < limit:
            self.disk.refusals[chunk] = self.disk.refusals.get(chunk, 0) + 1
            self.error(cookie, EBADMSG, f"chunk {chunk} does not match its digest")
            return
        self.disk.data[offset : offset + len(plain)] = plain
        self.disk.digests[chunk] = digest
        self.simple(cookie)

    def chunks(self):
        return -(-len(self.disk.data) // CHUNK)

    def tell_digests(self, cookie, first, count):
        if self.is_fault("digests_beyond_the_end"):
            self.structured(cookie, DIGESTS, struct.pack(">QIBBH", self.chunks(), 1000000, 1, 3, 0))
            return
        if self.is_fault("garbled_digests"):
            self.structured(cookie, DIGESTS, struct.pack(">QIBBH", first, 7, 2, 3, 0) + b"short")
            return
        if self.is_fault("no_end_of_digests"):
            for _ in range(10000):
                self.send(struct.pack(">IHHQI", 0x668E33EF, 0, DIGESTS, cookie, 16) + struct.pack(">QIBBH", first, 1, 0, 0, 0))
            self.hang()
        runs = b""
        for chunk in range(first, first + count):
            digest = self.disk.digests.get(chunk)
            runs += struct.pack(">IBBH", 1, 2 if digest else 0, 3 if digest else 0, 0) + (digest or b"")
        self.structured(cookie, DIGESTS, struct.pack(">Q", first) + runs)

    def tell_durable(self, cookie):
        chunks = self.chunks()
        if self.is_fault("medium_full_at_the_end"):
            self.error(cookie, 28, "no space left")
            return
        if self.is_fault("durable_is_short"):
            self.structured(cookie, DURABLE, b"\0" * 7)
            return
        durable = chunks - 2 if self.is_fault("forgets_what_it_acknowledged") else chunks
        self.structured(cookie, DURABLE, struct.pack(">QQQQII", chunks, durable, 0, durable, 1, 0))

    def run(self):
        try:
            self.greet()
            self.options()
            self.requests()
        except (Gone, ConnectionError):
            pass
        self.sock.close()


def main():
    path, size, fault = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    disk = Disk(size)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path + ".new")
    listener.listen(64)
    os.rename(path + ".new", path)
    listener.settimeout(0.2)
    alive = []
    while not os.path.exists(path + ".stop"):
        try:
            client, _ = listener.accept()
        except TimeoutError:
            continue
        client.settimeout(None)
        alive.append(threading.Thread(target=Session(client, disk, fault).run, daemon=True))
        alive[-1].start()
    if len(sys.argv) > 4:
        with disk.lock, open(sys.argv[4], "wb") as f:
            f.write(disk.data)


main()
