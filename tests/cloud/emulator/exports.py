# SPDX-License-Identifier: GPL-2.0-or-later
"""Real bytes of exported disks: raw in a tar.gz, or an image format by qemu-img."""

import asyncio
import gzip
import json
import os
import tarfile

EXTENSION = {"raw": "raw.tar.gz", "qcow2": "qcow2", "vhd": "vhd", "vmdk": "vmdk", "vdi": "vdi"}
QEMU = {"qcow2": "qcow2", "vhd": "vpc", "vmdk": "vmdk", "vdi": "vdi"}
PIECE = 1 << 20
ZEROS = 64 << 20


async def qemu_img(*arguments):
    process = await asyncio.create_subprocess_exec("qemu-img", *arguments, stdout=asyncio.subprocess.PIPE,
                                                   stderr=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL)
    out, errors = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"qemu-img {arguments[0]}: {errors.decode('utf-8', 'replace').strip()}")
    return out.decode()


async def write(form, source, target, size, in_thread):
    """`source` is the raw disk, or None for an empty one."""
    empty = None
    if source is None:
        source = empty = target + ".empty"
        with open(empty, "wb") as f:
            f.truncate(size)
    if form == "raw":
        await in_thread(write_tar_gz, source, target)
    else:
        await qemu_img("convert", "-f", "raw", "-O", QEMU[form], source, target)
    if empty:
        os.unlink(empty)


def write_tar_gz(source, target):
    """One .raw file. Gzip members may follow each other, so that a hole is a member that is made but once."""
    size = os.path.getsize(source)
    info = tarfile.TarInfo(os.path.basename(target).removesuffix(".tar.gz"))
    info.size = size
    zeros = gzip.compress(bytes(ZEROS), 1)
    with open(source, "rb", buffering=0) as f, open(target, "wb") as out:
        out.write(gzip.compress(info.tobuf(tarfile.GNU_FORMAT), 1))
        at = 0
        while at < size:
            try:
                data = os.lseek(f.fileno(), at, os.SEEK_DATA)
            except OSError:
                data = size
            while data - at >= ZEROS:
                out.write(zeros)
                at += ZEROS
            if data > at:
                out.write(gzip.compress(bytes(data - at), 1))
                at = data
            hole = os.lseek(f.fileno(), at, os.SEEK_HOLE) if at < size else size
            while at < hole:
                piece = os.pread(f.fileno(), min(PIECE, hole - at), at)
                out.write(gzip.compress(piece, 1))
                at += len(piece)
        tail = -size % 512 + 1024
        out.write(gzip.compress(bytes(tail), 1))


async def inspect(path, form):
    """What qemu-img thinks of an imported file; RuntimeError when it is not whole or not of that format."""
    found = json.loads(await qemu_img("info", "--output=json", path))
    if found["format"] != form:
        raise RuntimeError(f"the file is {found['format']}, not {form}")
    if found.get("backing-filename"):
        raise RuntimeError("the file has a backing file")
    if form == "qcow2":
        await qemu_img("check", path)
    return found
