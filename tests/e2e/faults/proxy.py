# SPDX-License-Identifier: GPL-2.0-or-later
"""A network that can be broken: connections to a receiver go through here, and are cut, held up or refused at a byte
that was chosen beforehand, in the middle of a TLS record or wherever it falls."""

import base64
import ctypes
import hashlib
import socket
import struct
import threading

PIECE = 65536
_libc = ctypes.CDLL(None)


def code_through(activation, control_port, data_port):
    """The same activation code with other ports, as docs/protocol.md describes it."""
    prefix, _, text = activation.partition(".")
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    at = 2 + raw[1]
    body = raw[:at] + struct.pack(">HH", control_port, data_port) + raw[at + 4 : -4]
    assert hashlib.sha256(raw[:-4]).digest()[:4] == raw[-4:]
    body += hashlib.sha256(body).digest()[:4]
    return prefix + "." + base64.urlsafe_b64encode(body).decode().rstrip("=")


class Trigger:
    """Fires when so many bytes have passed upwards; whoever carried the last one waits until it is released."""

    def __init__(self):
        self.lock = threading.Condition()
        self.passed = 0
        self.at = None
        self.fired = threading.Event()

    def arm(self, after_bytes):
        with self.lock:
            self.fired.clear()
            self.at = self.passed + max(1, after_bytes)
            self.lock.notify_all()

    def allow(self, wanted):
        """How many of `wanted` bytes may pass before it fires."""
        with self.lock:
            n = wanted if self.at is None else min(wanted, self.at - self.passed)
            self.passed += n
            if self.at is not None and self.passed >= self.at:
                self.fired.set()
            return n

    def wait_released(self):
        with self.lock:
            while self.at is not None and self.passed >= self.at:
                self.lock.wait(0.5)

    def release(self):
        with self.lock:
            self.at = None
            self.lock.notify_all()


class Proxy:
    """Two listening ports before a receiver's two."""

    def __init__(self, control_port, data_port):
        self.trigger = Trigger()
        self.open_gate = threading.Event()  # clear: nothing passes
        self.open_gate.set()
        self.refusing = False
        self.damaging = None  # "up" or "down": the next piece that way is changed
        self.lock = threading.Lock()
        self.pairs = set()
        self.up_bytes = 0
        self.listeners = []
        self.ports = []
        for target in (control_port, data_port):
            listener = socket.create_server(("127.0.0.1", 0), backlog=64)
            self.listeners.append(listener)
            self.ports.append(listener.getsockname()[1])
            threading.Thread(target=self._accept, args=(listener, target), daemon=True).start()

    def _accept(self, listener, target):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            if self.refusing:
                self._reset(client)
                continue
            try:
                server = socket.create_connection(("127.0.0.1", target), timeout=10)
            except OSError:
                self._reset(client)
                continue
            for s in (client, server):
                s.settimeout(None)
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.pairs.add((client, server))
            for a, b, up in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._carry, args=(a, b, up, (client, server)), daemon=True).start()

    def _carry(self, source, sink, up, pair):
        try:
            while data := source.recv(PIECE):
                self._pass_on(data, sink, up)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(pair, reset=True)
        # Both directions over: nobody needs the sockets any more. One over: the other may go on.
        with self.lock:
            if pair in self.pairs and not up:
                self.pairs.discard(pair)

    def _pass_on(self, data, sink, up):
        while data:
            self.open_gate.wait()
            if self.damaging == ("up" if up else "down"):
                self.damaging = None
                data = data[:-1] + bytes([data[-1] ^ 0x10])
            n = self.trigger.allow(len(data)) if up else len(data)
            if n:
                sink.sendall(data[:n])
                data = data[n:]
            if up:
                self.up_bytes += n
                if data or self.trigger.fired.is_set():
                    self.trigger.wait_released()

    @staticmethod
    def _reset(s):
        """RST at once, also while another thread waits in a call on it: connect() to AF_UNSPEC (connect(2))."""
        _libc.connect(s.fileno(), struct.pack("H14x", socket.AF_UNSPEC), 16)
        s.close()

    def _drop(self, pair, reset):
        with self.lock:
            if pair not in self.pairs:
                return
            self.pairs.discard(pair)
        for s in pair:
            if reset:
                self._reset(s)
                continue
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    # ---- what can happen to a network ----

    def cut(self, reset):
        """Every connection ends, in order or not."""
        with self.lock:
            pairs = list(self.pairs)
        for pair in pairs:
            self._drop(pair, reset)

    def damage(self, way):
        """One bit of what passes next arrives as another."""
        self.damaging = way

    def refuse(self, on):
        self.refusing = on

    def hold(self):
        self.open_gate.clear()

    def go_on(self):
        self.open_gate.set()

    def close(self):
        for listener in self.listeners:
            listener.close()
        self.go_on()
        self.trigger.release()
        self.cut(reset=True)
