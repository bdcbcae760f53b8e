# SPDX-License-Identifier: GPL-2.0-or-later
"""OSS: buckets with real bytes in files, versions and uploads in parts."""

import ctypes
import hashlib
import os
import shutil
import uuid
from dataclasses import dataclass, field

from .errors import ApiError

MIN_PART_BYTES = 100 << 10
LZMA = ctypes.CDLL("liblzma.so.5")
LZMA.lzma_crc64.restype = ctypes.c_uint64
LZMA.lzma_crc64.argtypes = (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64)


class Digest:
    """MD5 and the CRC-64 (ECMA-182) that OSS answers with."""

    def __init__(self):
        self.md5 = hashlib.md5()
        self.crc = 0
        self.size = 0

    def update(self, piece):
        self.md5.update(piece)
        self.crc = LZMA.lzma_crc64(bytes(piece), len(piece), self.crc)
        self.size += len(piece)


@dataclass
class Object:
    path: str
    size: int
    etag: str
    crc: int
    modified: float
    kind: str = "Normal"
    content_type: str = "application/octet-stream"
    version: str = "null"
    deleted: bool = False
    meta: dict = field(default_factory=dict)


def digest_file(path):
    digest = Digest()
    with open(path, "rb") as f:
        while piece := f.read(1 << 20):
            digest.update(piece)
    return digest


class Bucket:
    def __init__(self, name, folder, clock, options):
        self.name = name
        self.folder = os.path.join(folder, "oss", name)
        os.makedirs(self.folder, exist_ok=True)
        self.clock = clock
        self.region = options["region"]
        self.storage_class = options.get("storage_class", "Standard")
        self.versioning = options.get("versioning", "")
        self.immutable = options.get("immutable", False)
        self.versions = {}
        # (key, version) in the order of their making, also of those that are no more: lists go on behind them.
        self.order = {}
        self.uploads = {}

    def find(self, key, version=None):
        """The current object of a key (or that version), or None."""
        for found in reversed(self.versions.get(key, [])):
            if version in (None, found.version):
                return None if found.deleted else found
        return None

    def keys(self):
        return sorted((k for k in self.versions if self.find(k)), key=lambda k: k.encode())

    def new_file(self):
        return os.path.join(self.folder, uuid.uuid4().hex)

    def put(self, key, path, digest, **more):
        made = Object(path, digest.size, digest.md5.hexdigest().upper(), digest.crc, self.clock.now(), **more)
        if self.versioning == "Enabled":
            made.version = uuid.uuid4().hex
            self.order[(key, made.version)] = len(self.order)
            self.versions.setdefault(key, []).append(made)
        else:
            for old in self.versions.get(key, []):
                if old.path and os.path.exists(old.path):
                    os.unlink(old.path)
            self.versions[key] = [made]
        return made

    def put_file(self, key, path):
        """Takes the file over."""
        mine = self.new_file()
        shutil.move(path, mine)
        return self.put(key, mine, digest_file(mine))

    def delete(self, key, version=None):
        """Version id of the delete marker, if one was added."""
        if self.immutable and self.find(key):
            raise ApiError("FileImmutable", "The object you specified is immutable.")
        entries = self.versions.get(key, [])
        if version:
            for entry in [e for e in entries if e.version == version]:
                entries.remove(entry)
                if entry.path:
                    os.unlink(entry.path)
        elif self.versioning == "Enabled":
            marker = Object("", 0, "", 0, self.clock.now(), version=uuid.uuid4().hex, deleted=True)
            self.order[(key, marker.version)] = len(self.order)
            self.versions.setdefault(key, []).append(marker)
            return marker.version
        else:
            for entry in entries:
                os.unlink(entry.path)
            entries.clear()
        if not entries:
            self.versions.pop(key, None)
        return None

    # ---- uploads in parts ----

    def begin_upload(self, key, content_type):
        ident = uuid.uuid4().hex.upper()
        self.uploads[ident] = {"key": key, "parts": {}, "content_type": content_type, "begun": self.clock.now()}
        return ident

    def upload(self, ident, key):
        found = self.uploads.get(ident)
        if found is None or found["key"] != key:
            raise ApiError("NoSuchUpload", "The specified upload does not exist. The upload ID may be invalid, or the upload may "
                                           "have been aborted or completed.")
        return found

    def put_part(self, ident, key, number, path, digest):
        parts = self.upload(ident, key)["parts"]
        if number in parts:
            os.unlink(parts[number].path)
        parts[number] = Object(path, digest.size, digest.md5.hexdigest().upper(), digest.crc, self.clock.now())
        return parts[number]

    def abort_upload(self, ident, key):
        for part in self.upload(ident, key)["parts"].values():
            os.unlink(part.path)
        del self.uploads[ident]

    def complete_upload(self, ident, key, wanted):
        """wanted: [(number, etag)], as the client lists them."""
        upload = self.upload(ident, key)
        numbers = [n for n, _ in wanted]
        if not numbers or numbers != sorted(set(numbers)):
            raise ApiError("InvalidPartOrder", "The list of parts was not in ascending order.")
        path, digest, etags = self.new_file(), Digest(), hashlib.md5()
        with open(path, "wb") as out:
            for n, (number, etag) in enumerate(wanted):
                part = upload["parts"].get(number)
                if part is None or part.etag != etag.strip('"').upper():
                    raise ApiError("InvalidPart", "One or more of the specified parts could not be found or the specified "
                                                  "entity tag might not have matched the part's entity tag.")
                if part.size < MIN_PART_BYTES and n + 1 < len(wanted):
                    raise ApiError("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size.")
                with open(part.path, "rb") as f:
                    while piece := f.read(1 << 20):
                        digest.update(piece)
                        out.write(piece)
                etags.update(part.etag.encode())
        made = self.put(key, path, digest, content_type=upload["content_type"], kind="Multipart")
        made.etag = f"{etags.hexdigest().upper()}-{len(wanted)}"
        self.abort_upload(ident, key)
        return made
