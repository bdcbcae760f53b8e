# SPDX-License-Identifier: GPL-2.0-or-later
"""The way of one migration in QEMU, step by step; the demo and the tests in tests/vm put the steps together.

sample -> receiver -> live image on the source machine -> source unchanged? -> the copy boots by itself
"""

import json
import os
import queue
import re
import ssl
import subprocess
import sys
import threading
import time
import urllib.request

import disks
import vm

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# An emulated timer on a busy host can be late enough to be taken for a broken one, or to make the cycle counter
# run several times too fast.
BUSY_HOST = "no_timer_check tsc=unstable"
LIVE_MEMORY_MIB = 192
NET = "user,id=net,restrict=off"


def sample(variant):
    """Folder of the sample's disks, made when the cache does not have it (ten minutes)."""
    made = subprocess.run([os.path.join(ROOT, "tests/sample/make"), variant], stdout=subprocess.PIPE, text=True,
                          timeout=3600)
    if made.returncode:
        raise vm.Failed(f"the sample machine ({variant}) could not be made")
    return made.stdout.splitlines()[-1]


class Source:
    """Private copies of a sample's disks, which must never change."""

    def __init__(self, variant, folder):
        self.originals = [os.path.join(sample(variant), name) for name in ("a.raw", "b.raw")]
        self.disks = [os.path.join(folder, f"source-{name}.raw") for name in "ab"]
        for original, mine in zip(self.originals, self.disks):
            disks.private_copy(original, mine)

    def check_unchanged(self):
        for original, mine in zip(self.originals, self.disks):
            where = disks.first_difference(original, mine)
            if where is not None:
                raise vm.Failed(f"the source disk {mine} was changed at byte {where}; it must never be written")


class Receiver:
    """The receiver on this host; the machines reach it at the gateway of QEMU's user network."""

    def __init__(self, folder, program=None):
        self.folder = os.path.join(folder, "received")
        self.log = os.path.join(folder, "receiver.log")
        self.program = program or os.path.join(ROOT, "build/musl/receiver")
        self.process = None
        self.activation = None
        self.control_port = 0

    def __enter__(self):
        os.makedirs(self.folder, exist_ok=True)
        state = os.path.join(self.folder, "state")
        arguments = [self.program, "serve", "--state", state, "--files", self.folder, "--listen", "127.0.0.1",
                     "--control-port", "0", "--data-port", "0", "--advertise", "10.0.2.2"]
        errors = open(self.log, "ab")
        self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
                                        text=True)
        errors.close()
        lines = queue.Queue()
        threading.Thread(target=self.read_lines, args=(lines,), daemon=True).start()
        until = time.monotonic() + 300
        while self.activation is None:
            try:
                line = lines.get(timeout=max(0.1, until - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                self.kill()
                raise vm.Failed("the receiver printed no line \"activation: CODE\" within 300 s", self.log)
            found = re.match(r"control: port (\d+)", line)
            self.control_port = int(found.group(1)) if found else self.control_port
            found = re.match(r"activation: (\S+)", line)
            self.activation = found.group(1) if found else None
        return self

    def read_lines(self, lines):
        """Reads to the end, so that the receiver is never stopped by a full pipe."""
        for line in self.process.stdout:
            with open(self.log, "a", encoding="utf-8") as log:
                log.write(line)
            lines.put(line)
        lines.put(None)

    def call(self, path, body=None):
        """A request to its control service."""
        with open(os.path.join(self.folder, "state/token.json"), encoding="ascii") as f:
            token = json.load(f)["token"]
        # Our own process on the loopback: there is nobody else to be told apart from.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        request = urllib.request.Request(f"https://127.0.0.1:{self.control_port}{path}", body,
                                         {"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=300, context=context) as reply:
            return reply.read().decode()

    def order(self, **orders):
        """What its operator orders the source."""
        self.call("/v1/command", json.dumps(orders).encode())

    def metric(self, name):
        """A counter of the receiver's /metrics."""
        text = self.call("/metrics")
        found = re.search(rf"^coldlift_{name} (\d+)", text, re.MULTILINE)
        if not found:
            raise vm.Failed(f"the receiver's metrics have no coldlift_{name}:\n{text}", self.log)
        return int(found.group(1))

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def copies(self, count):
        paths = [os.path.join(self.folder, f"disk{n}.raw") for n in range(count)]
        for path in paths:
            if not os.path.exists(path):
                raise vm.Failed(f"the receiver has no {path}", self.log)
        return paths


def source_machine(folder, disk_paths, arguments, memory_mib=LIVE_MEMORY_MIB, name="source"):
    """The sample's hardware: SATA, e1000, BIOS. Serial 0 is the console, serial 1 the progress."""
    return vm.VM(name, folder, vm.ahci_disks(disk_paths) + ["-netdev", NET, "-device", "e1000,netdev=net"] + arguments,
                 memory_mib, serials=2)


def live_arguments(words):
    """Boot kernel and initramfs without a medium, for tests whose subject is not the medium."""
    return ["-kernel", os.path.join(ROOT, "build/pxe/vmlinuz"), "-initrd", os.path.join(ROOT, "build/pxe/initramfs"),
            "-append", " ".join(["quiet", BUSY_HOST, "console=tty0", "console=ttyS0,115200", "ip=dhcp"] + words)]


def copy_machine(folder, disk_paths, sku="coldlift-check disks=vd net=virtio_net poweroff", name="copy", form="raw"):
    """Nothing but virtio. The copies stay as they were received: what this machine writes is dropped."""
    return vm.VM(name, folder, vm.virtio_disks(disk_paths, form) +
                 ["-snapshot", "-netdev", NET, "-device", "virtio-net-pci,netdev=net", "-smbios", f"type=1,sku={sku}"],
                 768)


def boot_copy(machine, seconds=1500, each=None):
    """Boot it and hear what it says about itself; returns its report's lines."""
    report = []

    def see(line):
        if line.startswith("CHECK "):
            report.append(line[6:])
        if each:
            each(line)

    with machine:
        verdict = machine.wait_line(r"^COLDLIFT-CHECK: (PASS|FAIL.*)|ALERT!.*does not exist|Kernel panic|"
                                    r"You are in emergency mode", seconds, each=see)
        if verdict.group(1) != "PASS":
            raise vm.Failed("\n".join([f"the booted copy says: {verdict.group(0)}"] + report), machine.log())
        machine.wait_end(600)
    return report


def say(text):
    print(text, flush=True)


def tail(path, count=25):
    try:
        with open(path, "rb") as f:
            f.seek(0, os.SEEK_END)
            f.seek(max(0, f.tell() - 20000))
            text = f.read().decode("utf-8", "replace")
    except OSError:
        return []
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    return [line.rstrip() for line in text.splitlines()][-count:]


def explain(failure):
    """A failure for people: what, the end of the log that shows it, and where it is."""
    print(f"not as expected: {failure}", file=sys.stderr)
    log = getattr(failure, "log", None)
    if log:
        print(f"the end of {log}:", file=sys.stderr)
        for line in tail(log):
            print(f"  | {line}", file=sys.stderr)
