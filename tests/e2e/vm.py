# SPDX-License-Identifier: GPL-2.0-or-later
"""One QEMU machine: start it, read its serial ports, look at its screen, end it.

Everything that waits has a deadline and watches the machine too: when it ends early, waiting ends.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time


class Failed(Exception):
    """What was expected and did not come; `log` is the file whose end explains it."""

    def __init__(self, text, log=None):
        super().__init__(text)
        self.log = log


KERNEL = re.compile(r"\[ *[0-9]+\.[0-9]{6}\] ")


class Lines:
    """The lines of a growing file, each once; a line that is not ended yet is not a line. The kernel speaks whenever it
    likes, and within the line of a program too: such a line is put together again, behind what the kernel said."""

    def __init__(self, path):
        self.path = path
        self.offset = 0
        self.begun = ""  # the part of a line before the kernel's

    def whole(self, line):
        at = KERNEL.search(line)
        if at and (at.start() or self.begun):
            self.begun += line[:at.start()]
            return line[at.start():]
        if not at:
            line, self.begun = self.begun + line, ""
        return line

    def new(self):
        try:
            with open(self.path, "rb") as f:
                f.seek(self.offset)
                data = f.read()
        except FileNotFoundError:
            return []
        end = data.rfind(b"\n") + 1
        self.offset += end
        return [self.whole(line.rstrip(b"\r").decode("utf-8", "replace")) for line in data[:end].split(b"\n")[:-1]]


class VM:
    def __init__(self, name, folder, arguments, memory_mib, serials=1, cpus=2):
        """Serial port N goes to NAME.ttySN in `folder`."""
        self.name = name
        self.folder = folder
        self.serials = [os.path.join(folder, f"{name}.ttyS{n}") for n in range(serials)]
        self.errors = os.path.join(folder, f"{name}.qemu")
        self.qmp_path = os.path.join(folder, f"{name}.qmp")
        self.arguments = ["qemu-system-x86_64", "-accel", "tcg,thread=single", "-cpu", "max", "-smp", str(cpus),
                          "-m", str(memory_mib), "-display", "none", "-vga", "std", "-no-reboot", "-name", name,
                          "-qmp", f"unix:{self.qmp_path},server=on,wait=off"]
        for path in self.serials:
            if os.path.exists(path):
                os.unlink(path)
            self.arguments += ["-serial", f"file:{path}"]
        self.arguments += arguments
        self.process = None
        self.started = 0.0

    def __enter__(self):
        with open(self.errors, "wb") as errors:
            self.process = subprocess.Popen(self.arguments, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        self.started = time.monotonic()
        return self

    def __exit__(self, *_):
        self.kill()
        if os.path.exists(self.qmp_path):
            os.unlink(self.qmp_path)

    def kill(self):
        """As a power cut does it: nothing in the machine is told."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def running(self):
        return self.process.poll() is None

    def log(self):
        """The log that explains most: QEMU's own when it could not start, the console otherwise."""
        console = self.serials[0]
        if not os.path.exists(console) or os.path.getsize(console) == 0:
            return self.errors
        return console

    def lines(self, serial=0):
        return Lines(self.serials[serial])

    def wait_line(self, pattern, seconds, serial=0, each=None):
        """Wait for a line that matches; `each` sees all lines that come on the way."""
        lines = self.lines(serial)
        until = time.monotonic() + seconds
        while True:
            alive = self.running()
            for line in lines.new():
                if each:
                    each(line)
                found = re.search(pattern, line)
                if found:
                    return found
            if not alive:
                raise Failed(f"machine {self.name} ended before it wrote a line like \"{pattern}\"", self.log())
            if time.monotonic() > until:
                raise Failed(f"machine {self.name} wrote no line like \"{pattern}\" within {seconds} s", self.log())
            time.sleep(0.2)

    def wait_end(self, seconds):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"machine {self.name} did not end within {seconds} s", self.log()) from None

    def qmp(self, command, **arguments):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(self.qmp_path)
            f = s.makefile("rw", encoding="utf-8")
            f.readline()
            for name, values in (("qmp_capabilities", {}), (command, arguments)):
                f.write(json.dumps({"execute": name, "arguments": values}) + "\n")
                f.flush()
                while True:
                    answer = json.loads(f.readline())
                    if "return" in answer or "error" in answer:
                        break
            return answer

    def screenshot(self, path):
        """Best effort: a picture is worth having and never worth failing for."""
        if not self.running():
            return False
        try:
            answer = self.qmp("screendump", filename=os.path.abspath(path), format="png")
        except (OSError, ValueError):
            return False
        return "return" in answer


def available():
    return shutil.which("qemu-system-x86_64") is not None


def ahci_disks(paths):
    """SATA disks on the q35 chipset's controller, written through to the files themselves."""
    arguments = ["-machine", "q35"]
    for n, path in enumerate(paths):
        arguments += ["-drive", f"if=none,id=disk{n},format=raw,file={path},cache=writeback",
                      "-device", f"ide-hd,bus=ide.{n},drive=disk{n}"]
    return arguments


def virtio_disks(paths, form="raw"):
    arguments = ["-machine", "q35"]
    for n, path in enumerate(paths):
        arguments += ["-drive", f"if=none,id=disk{n},format={form},file={path},cache=unsafe",
                      "-device", f"virtio-blk-pci,drive=disk{n}"]
    return arguments
