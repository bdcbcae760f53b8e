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
import select
import shutil
import signal
import socket
import subprocess

from . import ecs_group
from .loop import Loop

HERE = os.path.dirname(os.path.abspath(__file__))
CONTROL_PORT, DATA_PORT = PORTS = (8080, 8703)
STOP_S = 60
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
        self.init = None  # a descriptor of the first process in there
        self.inside = None
        self.loops = {}
        self.servers = []
        self.sites = []
        self.booted = False
        self.refused = 0
        self.came_in = {port: 0 for port in PORTS}

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
            self.process.wait()
            self.process = None
            raise RuntimeError(f"instance {self.instance.id} did not come up; see {self.folder}/console.log")
        self.booted = True
        self.init = os.pidfd_open(self.init_pid())
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
        signal.pidfd_send_signal(self.init, signal.SIGUSR1)
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
        lives = self.cloud.config["lives"]
        life = lives.pop(0) if port == CONTROL_PORT and lives else None
        await asyncio.gather(pump(reader, far_writer, lambda n: self.let_in(port, n), life), pump(far_reader, writer),
                             return_exceptions=True)
        far_writer.close()
        writer.close()

    async def let_in(self, port, count):
        """How many bytes of so many go in now; waits while there is no room for any."""
        while True:
            limit = self.cloud.config["let_in"].get(str(port))
            room = count if limit is None else min(count, limit - self.came_in[port])
            if room > 0:
                self.came_in[port] += room
                return room
            await asyncio.sleep(0.01)

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
        """A clean shutdown: everybody gets SIGTERM and some time. The disks are then synced and let go."""
        init, self.init = self.init, None
        try:
            if not force:
                signal.pidfd_send_signal(init, signal.SIGTERM)
                process.wait(STOP_S)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            pass
        process.kill()
        process.wait()
        # Its mounts are gone when all in there have ended; a boot that came before would mount the same disks a second time.
        gone = select.poll()
        gone.register(init, select.POLLIN)
        gone.poll()
        os.close(init)
        process.stdout.close()
        process.stdin.close()
        for _, loop, _ in self.loops.values():
            loop.close()
        self.loops = {}

    def forget(self):
        keep = self.cloud.config["keep_instance_logs"]
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)


async def pump(reader, writer, let_in=None, life=None):
    """`let_in` says how many bytes of so many go on now; the connection breaks when `life` bytes came."""
    try:
        while piece := await reader.read(1 << 18):
            if life is not None and (life := life - len(piece)) < 0:
                raise ConnectionAbortedError
            while piece:
                count = await let_in(len(piece)) if let_in else len(piece)
                writer.write(piece[:count])
                piece = piece[count:]
                await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except (ConnectionError, asyncio.CancelledError):
        writer.transport.abort()
