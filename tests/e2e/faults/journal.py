# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads a receiver's journal as src/receiver/journal.h describes it, independently of the code there, and holds it
against the bytes of its disk."""

import ctypes
import os
import struct

HEAD_BYTES = 128
RECORD_BYTES = 56
CHUNK_BYTES = 1 << 20
DATA, ZERO, UNKNOWN, RUN, OLD_DATA, OLD_ZERO = 1, 2, 3, 4, 5, 6


class _Hash128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


_xxh = ctypes.CDLL("libxxhash.so.0")
_xxh.XXH3_128bits.restype = _Hash128
_xxh.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]


def digest(data):
    """XXH3-128 in canonical form."""
    h = _xxh.XXH3_128bits(data, len(data))
    return struct.pack(">QQ", h.high, h.low)


class Bad(Exception):
    """The journal, or the disk that it speaks of, is not as it must be."""


class Journal:
    """What stands in the journal's file: records in order, up to the first that is none."""

    def __init__(self, path):
        with open(path, "rb") as f:
            raw = f.read()
        self.path = path
        self.records = []  # (kind, chunk, count, value)
        self.run = bytes(32)
        self.known = {}  # chunk -> (kind, digest)
        if len(raw) < HEAD_BYTES:
            raise Bad(f"{path} has only {len(raw)} bytes")
        magic, _, self.disk, self.disk_bytes, _, chunk_bytes, _, self.id = struct.unpack(">8sIIQQIIQ", raw[:48])
        if magic != b"CLFTJRNL" or chunk_bytes != CHUNK_BYTES or raw[120:128] != digest(raw[:120])[:8]:
            raise Bad(f"{path} has no good head")
        for at in range(HEAD_BYTES, len(raw) - RECORD_BYTES + 1, RECORD_BYTES):
            record = raw[at : at + RECORD_BYTES]
            place = struct.pack(">QQ", self.id, len(self.records))
            if record[4:8] != digest(record[:4] + record[8:] + place)[4:8]:
                break
            kind, _, count, chunk = struct.unpack(">I4sxxxxIQ", record[:24])
            self._take(kind >> 24, chunk, count, record[24:])

    def _take(self, kind, chunk, count, value):
        self.records.append((kind, chunk, count, value))
        if kind == RUN:
            self.run = value
            self.known = {c: (OLD_DATA if k in (DATA, OLD_DATA) else OLD_ZERO, v) for c, (k, v) in self.known.items()}
            return
        for c in range(chunk, chunk + count):
            if kind == UNKNOWN:
                self.known.pop(c, None)
            else:
                self.known[c] = (kind, value[:16])

    def of_this_run(self):
        """Chunks that are durable and of the run that was recorded last."""
        return {c for c, (kind, _) in self.known.items() if kind in (DATA, ZERO)}

    def overwritten_since(self, position):
        """Chunks that were known and were written again: that is recorded before it happens."""
        return {c for kind, chunk, count, _ in self.records[position:] if kind == UNKNOWN for c in range(chunk, chunk + count)}

    def check(self, disk_path):
        """What it says of each chunk is what the disk holds."""
        size = os.path.getsize(disk_path)
        if size != self.disk_bytes:
            raise Bad(f"{disk_path} has {size} bytes, its journal says {self.disk_bytes}")
        with open(disk_path, "rb") as f:
            for chunk, (kind, value) in sorted(self.known.items()):
                f.seek(chunk * CHUNK_BYTES)
                data = f.read(CHUNK_BYTES)
                if kind in (DATA, OLD_DATA) and digest(data) != value:
                    raise Bad(f"{disk_path}: chunk {chunk} is not what its record says")
                if kind in (ZERO, OLD_ZERO) and data.strip(b"\0"):
                    raise Bad(f"{disk_path}: chunk {chunk} is not zero as its record says")
