# SPDX-License-Identifier: GPL-2.0-or-later
"""What the emulator needs of the host. Imports nothing that may be missing there."""

import os
import shutil


def why_no_instances():
    """Why this host cannot run instances, or None."""
    if os.geteuid() != 0:
        return "instances need root (mount and network namespaces, loop devices)"
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    for tool in ("unshare", "mkfs.ext4", "ip", "qemu-img"):
        if shutil.which(tool, path=path) is None:
            return f"instances need the program {tool}"
    return None
