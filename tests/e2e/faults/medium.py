# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a receiver keeps its files. A plain folder; or, for root, a small file system of its own, whose power can be
cut, which can be filled up, and which can stop for a while."""

import errno
import fcntl
import os
import struct
import subprocess
import time

EXT4_IOC_SHUTDOWN = 0x8004587D  # linux/fs/ext4/ext4.h
NO_LOG_FLUSH = 2  # as when the power goes: what was not synced is lost
FIFREEZE, FITHAW = 0xC0045877, 0xC0045878  # linux/fs.h


PINNED_LIMIT_S = 40


class Pinned(Exception):
    """The file system cannot be mounted afresh, which is nobody's fault here."""


class Folder:
    can_fail = False

    def __init__(self, folder):
        self.path = os.path.join(folder, "medium")
        os.mkdir(self.path)

    def close(self):
        pass


class Disk:
    """ext4 on a file, by a loop device."""

    can_fail = True

    def __init__(self, folder, mib):
        self.image = os.path.join(folder, "medium.img")
        self.path = os.path.join(folder, "medium")
        os.mkdir(self.path)
        with open(self.image, "wb") as f:
            f.truncate(mib << 20)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-O", "^resize_inode", "-E", "lazy_itable_init=0", self.image], check=True)
        self.mounted = False
        # One loop device for good: one that mount(8) finds anew may just be going away.
        found = subprocess.run(["losetup", "--find", "--show", self.image], check=True, capture_output=True, text=True)
        self.device = found.stdout.strip()
        self._mount()

    def _mount(self):
        subprocess.run(["mount", self.device, self.path], check=True)
        self.mounted = True

    def _ioctl(self, request, argument):
        fd = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, request, argument)
        finally:
            os.close(fd)

    def power_off(self):
        """Everything fails from here on, and what was not on the medium never will be."""
        self._ioctl(EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))

    def power_on(self):
        """Nobody may have a file open on it. A mount namespace that somebody on this machine made meanwhile holds a
        copy of the mount, and with it the dead file system, until that namespace ends."""
        deadline = time.monotonic() + PINNED_LIMIT_S
        while True:
            if subprocess.run(["umount", self.path], check=False, stderr=subprocess.DEVNULL).returncode == 0:
                self._mount()
            try:
                os.listdir(self.path)
                with open(os.path.join(self.path, "alive"), "wb"):
                    pass
                return
            except OSError as e:
                if e.errno != errno.EIO or time.monotonic() > deadline:
                    raise Pinned(f"{self.path} does not come back") from e
            time.sleep(0.2)

    def fill(self):
        with open(os.path.join(self.path, "ballast"), "wb") as f:
            step = 1 << 20
            while step >= 4096:
                try:
                    os.posix_fallocate(f.fileno(), os.fstat(f.fileno()).st_size, step)
                except OSError as e:
                    if e.errno != errno.ENOSPC:
                        raise
                    step //= 4

    def empty(self):
        os.unlink(os.path.join(self.path, "ballast"))

    def freeze(self):
        self._ioctl(FIFREEZE, 0)

    def thaw(self):
        self._ioctl(FITHAW, 0)

    def close(self):
        if self.mounted:
            subprocess.run(["umount", self.path], check=False)
        subprocess.run(["losetup", "--detach", self.device], check=False)



def make(folder, mib, real):
    return Disk(folder, mib) if real else Folder(folder)
