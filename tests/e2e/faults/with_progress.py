#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run a command with a terminal for its JSON lines: usage: with_progress.py COMMAND...; PTY in it becomes the
terminal's name. The lines go to standard output, the command's status is the status."""

import os
import pty
import subprocess
import sys
import threading
import tty

ours, theirs = pty.openpty()
tty.setraw(theirs)
name = os.ttyname(theirs).removeprefix("/dev/")


def carry():
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:
            return
        if not data:
            return
        sys.stdout.buffer.write(data)
        sys.stdout.flush()


reader = threading.Thread(target=carry)
reader.start()
status = subprocess.run([name if word == "PTY" else word for word in sys.argv[1:]], check=False).returncode
os.close(theirs)
reader.join(10)
sys.exit(status if status >= 0 else 128 - status)
