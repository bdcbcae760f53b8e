# SPDX-License-Identifier: GPL-2.0-or-later
"""Loop devices that go when their last user does, so that an emulator that was killed leaves none behind."""

import errno
import fcntl
import os
import struct

# linux/loop.h
LOOP_CTL_GET_FREE = 0x4C82
LOOP_CLR_FD = 0x4C01
LOOP_CONFIGURE = 0x4C0A
LO_FLAGS_AUTOCLEAR = 4
TRIES = 100


def configuration(file_fd):
    """struct loop_config: file, block size (0: the usual), loop_info64 with the flags at 52 of its 232 bytes."""
    info = bytearray(232)
    struct.pack_into("=I", info, 52, LO_FLAGS_AUTOCLEAR)
    return struct.pack("=II", file_fd, 0) + bytes(info) + bytes(64)


class Loop:
    def __init__(self, path):
        with open(path, "r+b") as file, open("/dev/loop-control", "r+b", buffering=0) as control:
            for _ in range(TRIES):
                self.device = f"/dev/loop{fcntl.ioctl(control, LOOP_CTL_GET_FREE)}"
                self.fd = os.open(self.device, os.O_RDWR | os.O_CLOEXEC)
                try:
                    fcntl.ioctl(self.fd, LOOP_CONFIGURE, configuration(file.fileno()))
                    return
                except OSError as why:
                    # Somebody else was quicker with the free one.
                    os.close(self.fd)
                    if why.errno != errno.EBUSY:
                        raise
        raise OSError(errno.EBUSY, "no free loop device")

    def close(self):
        """What was written is in the file afterwards."""
        os.fsync(self.fd)
        try:
            fcntl.ioctl(self.fd, LOOP_CLR_FD)
        except OSError:
            pass
        os.close(self.fd)
