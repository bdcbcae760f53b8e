# SPDX-License-Identifier: GPL-2.0-or-later
"""Who copies. Each one has start(), which starts its receiving end and gives the path of the target; copy(), the sending end,
which is timed; and stop(). Both ends are run by Processes, which tells what they used."""

import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TUNNEL = f"{sys.executable} {HERE}/tunnel.py"


def program(name):
    for build in ("musl", "host"):
        path = f"{ROOT}/build/{build}/{name}"
        if os.access(path, os.X_OK):
            return path
    sys.exit(f"bench: no {name}; make programs")


def wait_for(fact, seconds=20):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = fact()
        if found:
            return found
        time.sleep(0.02)
    raise RuntimeError("the receiving end does not come up")


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class End:
    """One end of a copy: a program or a pipeline in a session of its own. CPU is the kernel's account of it and all its
    children; memory is the sum of what each of its processes held at most, looked at while they run."""

    def __init__(self, command, **options):
        self.peaks = {}
        self.cpu_s = 0.0
        self.process = subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, **{"stdout": subprocess.DEVNULL, **options})
        self.ended = threading.Event()
        self.watcher = threading.Thread(target=self._watch, daemon=True)
        self.watcher.start()

    def _look(self):
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat") as stat:
                    session = int(stat.read().rpartition(")")[2].split()[3])
                if session != self.process.pid:
                    continue
                with open(f"/proc/{pid}/status") as status:
                    self.peaks[pid] = int(re.search(r"VmHWM:\s+(\d+)", status.read()).group(1)) * 1024
            except (OSError, AttributeError, IndexError):
                continue  # it has just ended

    def _watch(self):
        while not self.ended.wait(0.1):
            self._look()

    def wait(self):
        try:
            _, status, usage = os.wait4(self.process.pid, 0)
        except ChildProcessError:  # it was killed, and taken note of
            self.ended.set()
            return self.process.returncode
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.ended.set()
        self.watcher.join()
        self.cpu_s = usage.ru_utime + usage.ru_stime
        self.peaks.setdefault("self", 0)
        self.peak_bytes = max(sum(self.peaks.values()), usage.ru_maxrss * 1024)
        return self.process.returncode

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait() if self.process.returncode is None else self.process.returncode

    def kill(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


class Contestant:
    needs = ()
    only = None  # names of disks; None: all
    source = server = None

    def missing(self):
        return [p for p in self.needs if not shutil.which(p)]

    def copy(self, here, image):
        self.source = End(self.command(here, image), **self.options(here))
        if self.source.wait() != 0:
            raise RuntimeError(f"{self.name} failed")

    def options(self, here):
        return {}

    def kill(self):
        """Both ends, after an interruption or a failure."""
        for end in (self.source, self.server):
            if end and end.process.returncode is None:
                end.kill()

    def stop(self):
        self.server.process.send_signal(signal.SIGTERM)
        self.server.wait()


class Coldlift(Contestant):
    needs = ()

    def __init__(self, name, *words):
        self.name, self.words = name, words

    def start(self, here, image):
        out = f"{here}/receiver.out"
        self.server = End([program("receiver"), "serve", "--state", f"{here}/state", "--files", here, "--listen", "127.0.0.1",
                           "--advertise", "127.0.0.1", "--control-port", "0", "--data-port", "0"], stdout=open(out, "w"))
        self.activation = wait_for(lambda: re.search(r"^activation: (\S+)", open(out).read(), re.M)).group(1)
        return f"{here}/disk0.raw"

    def command(self, here, image):
        return [program("migrator"), "send", "--quiet", "--activation", self.activation, *self.words, image]


class Nbd(Contestant):
    """Into nbdkit's file plugin, with a key that both know."""

    def start(self, here, image):
        with open(f"{here}/keys.psk", "w") as keys:
            keys.write("bench:" + hashlib.sha256(b"bench").hexdigest() + "\n")
        target = f"{here}/target"
        with open(target, "w") as out:
            out.truncate(os.path.getsize(image))
        self.server = End(["nbdkit", "-f", "-i", "127.0.0.1", "-p", "20809", "--tls=require", f"--tls-psk={here}/keys.psk",
                           "file", target])
        wait_for(lambda: listens(20809))
        return target


class Nbdcopy(Nbd):
    name = "nbdcopy over TLS"
    needs = ("nbdcopy", "nbdkit")

    def command(self, here, image):
        return ["nbdcopy", "--flush", image, f"nbds://bench@127.0.0.1:20809/?tls-psk-file={here}/keys.psk"]


class QemuImg(Nbd):
    name = "qemu-img convert over TLS"
    needs = ("qemu-img", "nbdkit")

    def command(self, here, image):
        os.rename(f"{here}/keys.psk", f"{here}/keys.was")
        os.makedirs(f"{here}/psk", exist_ok=True)
        shutil.copyfile(f"{here}/keys.was", f"{here}/psk/keys.psk")
        os.rename(f"{here}/keys.was", f"{here}/keys.psk")
        return ["qemu-img", "convert", "-n", "-f", "raw", "-t", "writeback", "--object",
                f"tls-creds-psk,id=tls,endpoint=client,username=bench,dir={here}/psk", "--target-image-opts", image,
                "driver=raw,file.driver=nbd,file.server.type=inet,file.server.host=127.0.0.1,file.server.port=20809,"
                "file.tls-creds=tls"]


class Pipe(Contestant):
    """reader | compressor | TLS | decompressor | writer. TLS is OpenSSL's."""

    def __init__(self, name, sending, receiving, needs, only=None):
        self.name, self.sending, self.receiving, self.needs, self.only = name, sending, receiving, needs, only

    def start(self, here, image):
        target = f"{here}/target"
        with open(target, "w") as out:
            out.truncate(os.path.getsize(image))
        # A copy ends durable, as ours does.
        self.server = End(["bash", "-c", f"set -o pipefail; {TUNNEL} receive {here} 20810 | "
                           f"{self.receiving.format(target=target)} && sync -d {target}"])
        wait_for(lambda: os.path.exists(f"{here}/listening"))
        return target

    def command(self, here, image):
        return ["bash", "-c", f"set -o pipefail; {self.sending.format(image=image)} | {TUNNEL} send 20810"]

    def copy(self, here, image):
        super().copy(here, image)
        if self.server.wait() != 0:
            raise RuntimeError(f"{self.name} failed at the receiving end")

    def stop(self):
        pass


class Rsync(Contestant):
    """The files of the file system, not the disk: no boot sector, no layout, no empty space."""

    name = "rsync -aHAXS over TLS (files)"
    needs = ("rsync", "socat", "openssl")
    only = ("root", "data")

    def start(self, here, image):
        self.mount = f"{here}/mount"
        os.makedirs(self.mount)
        os.makedirs(f"{here}/target")
        subprocess.run(["mount", "-o", "loop,ro" + (",norecovery" if "data" in image else ""), image, self.mount], check=True)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
                        "-subj", "/CN=bench", "-keyout", f"{here}/key.pem", "-out", f"{here}/cert.pem"],
                       check=True, stderr=subprocess.DEVNULL)
        with open(f"{here}/rsyncd.conf", "w") as conf:
            conf.write(f"uid = 0\ngid = 0\nuse chroot = no\n[target]\npath = {here}/target\nread only = no\n")
        self.server = End(["socat", f"OPENSSL-LISTEN:20811,bind=127.0.0.1,cert={here}/cert.pem,key={here}/key.pem,verify=0,reuseaddr",
                           f"EXEC:rsync --daemon --config={here}/rsyncd.conf"])
        time.sleep(0.5)  # it takes one connection, so it cannot be asked
        return f"{here}/target"

    def command(self, here, image):
        return ["env", "RSYNC_CONNECT_PROG=socat STDIO OPENSSL:127.0.0.1:20811,verify=0", "rsync", "-aHAXS", f"{self.mount}/",
                "rsync://bench/target/"]

    def stop(self):
        self.server.wait()
        subprocess.run(["umount", self.mount], check=True)


ALL = [
    Coldlift("coldlift", ),
    Pipe("partclone | zstd -3 -T0 | TLS", "partclone.ext4 -c -s {image} -o - -L /dev/null | zstd -q -3 -T0",
         "zstd -q -d | partclone.restore -s - -O {target} -C -F -L /dev/null",
         ("partclone.ext4", "partclone.restore", "zstd", "openssl"), ("root",)),
    Pipe("partclone | zstd -3 -T0 | TLS", "partclone.xfs -c -s {image} -o - -L /dev/null | zstd -q -3 -T0",
         "zstd -q -d | partclone.restore -s - -O {target} -C -F -L /dev/null",
         ("partclone.xfs", "partclone.restore", "zstd", "openssl"), ("data",)),
    Coldlift("coldlift, compression 0", "--compression", "0"),
    Nbdcopy(),
    QemuImg(),
    Pipe("dd | zstd -1 | TLS", "dd if={image} bs=1M status=none | zstd -q -1 -T0",
         "zstd -q -d --no-sparse | dd of={target} bs=1M conv=notrunc,sparse iflag=fullblock status=none", ("zstd", "openssl")),
    Rsync(),
]
