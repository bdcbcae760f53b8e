# SPDX-License-Identifier: GPL-2.0-or-later
"""What runs "in" an instance: its user data, for real, in namespaces of its own (mounts, processes, network).

Its root file system is the host's, read through an overlay whose upper layer stands on the instance's system disk; the
disks are loop devices under the names /dev/vdN that a virtio guest gives them. It has no network but the cloud: the
emulator listens at its own address in there (presigned URLs work as they are) and at 100.100.100.200 (metadata). From
outside, the instance's public address answers on the ports of PORTS; what a security group does not admit is closed at
once, where the real one drops it silently.
"""

import asyncio
import concurrent.futures
import ctypes
import os
import shutil
import signal
import socket
import subprocess

from . import ecs_group
from .loop import Loop

HERE = os.path.dirname(os.path.abspath(__file__))
PORTS = (8080, 8703)
METADATA = "100.100.100.200"
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def enter_network(pid):
    with open(f"/proc/{pid}/ns/net", "rb") as ns:
        if libc.setns(ns.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")


class Machine:
    def __init__(self, cloud, instance):
        self.cloud = cloud
        self.instance = instance
        self.folder = cloud.store.path("instances", instance.id, "x")[:-2]
        self.process = None
        self.inside = None
        self.loops = {}
        self.servers = []
        self.sites = []
        self.booted = False
        self.refused = 0

    # ---- disks ----

    def plug(self, disk):
        self.loops[disk.id] = (f"vd{chr(ord('a') + disk.n)}", Loop(disk._path), disk.serial)

    def unplug(self, disk):
        found = self.loops.pop(disk.id, None)
        if found:
            found[1].close()

    def prepare_system_disk(self, disk):
        if not self.booted:
            with open(disk._path, "r+b") as f:
                f.truncate(max(os.path.getsize(disk._path), 256 << 20))
            subprocess.run(["mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard", disk._path],
                           check=True, stdin=subprocess.DEVNULL)

    # ---- life ----

    def spawn(self):
        from .ecs_disk import disks_of
        if not self.cloud.config["real_instances"]:
            return
        disks = disks_of(self.cloud, self.instance)
        self.prepare_system_disk(disks[0])
        for disk in disks:
            self.plug(disk)
        os.makedirs(self.folder, exist_ok=True)
        with open(os.path.join(self.folder, "user-data"), "wb") as f:
            f.write(self.instance._user_data)
        words = [f"{name}:{loop.device}:{serial}" for name, loop, serial in self.loops.values()]
        first = "first" if not self.booted else "again"
        addresses = [a for a in (self.instance.private_ip, METADATA) if a]
        log = open(os.path.join(self.folder, "console.log"), "ab")
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--net", "--ipc", "--pid", "--fork", "--kill-child", "/bin/sh",
             os.path.join(HERE, "instance-init"), self.folder, first, " ".join(addresses), *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8",
                 **({"INSTANCE_SYSTEMD": "1"} if self.cloud.config["instance_systemd"] else {})})
        log.close()
        line = self.process.stdout.readline().strip()
        if line != b"up":
            raise RuntimeError(f"instance {self.instance.id} did not come up; see {self.folder}/console.log")
        self.booted = True
        self.inside = concurrent.futures.ThreadPoolExecutor(1, initializer=enter_network, initargs=(self.process.pid,))

    async def start(self):
        """Returns when the machine is up; its user data is then about to run."""
        await self.cloud.in_thread(self.spawn)
        if self.process is None:
            return
        loop = asyncio.get_running_loop()
        for address, port, what in ((("127.0.0.1"), self.cloud.port, "cloud"), (METADATA, 80, "metadata")):
            sock = await loop.run_in_executor(self.inside, self.listen_inside, address, port)
            self.sites.append(await self.cloud.serve(sock, f"instance:{self.instance.id}", what))
        os.kill(self.init_pid(), signal.SIGUSR1)
        if self.instance.public_ip:
            for port in PORTS:
                self.servers.append(await asyncio.start_server(
                    lambda r, w, port=port: self.relay(r, w, port), self.instance.public_ip, port))

    def init_pid(self):
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as f:
            return int(f.read().split()[0])

    def kill(self, name):
        """End the processes of this name in the instance, at once; their number."""
        def of(pid):
            with open(f"/proc/{pid}/comm", encoding="ascii") as f:
                return os.readlink(f"/proc/{pid}/ns/pid"), f.read().strip()
        inside, count = of(self.init_pid())[0], 0
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if of(pid) == (inside, name):
                    os.kill(int(pid), signal.SIGKILL)
                    count += 1
            except OSError:
                pass
        return count

    @staticmethod
    def listen_inside(address, port):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        sock.listen(64)
        sock.setblocking(False)
        return sock

    @staticmethod
    def dial_inside(port):
        sock = socket.create_connection(("127.0.0.1", port), timeout=5)
        sock.setblocking(False)
        return sock

    async def relay(self, reader, writer, port):
        """A connection from outside to a port of the instance, when its security groups admit the peer."""
        peer = writer.get_extra_info("peername")[0]
        if peer == self.instance.public_ip:
            peer = "127.0.0.1"
        if not ecs_group.admits(self.cloud, self.instance.groups, peer, port) or self.inside is None:
            self.refused += 1
            writer.transport.abort()
            return
        try:
            sock = await asyncio.get_running_loop().run_in_executor(self.inside, self.dial_inside, port)
            far_reader, far_writer = await asyncio.open_connection(sock=sock)
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer), return_exceptions=True)
        far_writer.close()
        writer.close()

    async def stop(self, force):
        for server in self.servers:
            server.close()
        self.servers = []
        if self.process is not None:
            process, self.process = self.process, None
            await self.cloud.in_thread(self.end, process, force)
        for site in self.sites:
            await site.cleanup()
        self.sites = []
        if self.inside:
            self.inside.shutdown(wait=False)
            self.inside = None

    def end(self, process, force):
        """A clean shutdown: everybody gets SIGTERM and ten seconds. The disks are then synced and let go."""
        try:
            with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as f:
                init = int(f.read().split()[0])
            if not force:
                os.kill(init, signal.SIGTERM)
                process.wait(10)
        except (OSError, IndexError, subprocess.TimeoutExpired):
            pass
        process.kill()
        process.wait()
        process.stdout.close()
        process.stdin.close()
        for _, loop, _ in self.loops.values():
            loop.close()
        self.loops = {}

    def forget(self):
        keep = self.cloud.config["keep_instance_logs"]
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)


async def pump(reader, writer):
    try:
        while piece := await reader.read(1 << 18):
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except (ConnectionError, asyncio.CancelledError):
        writer.transport.abort()
