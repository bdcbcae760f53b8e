# SPDX-License-Identifier: GPL-2.0-or-later
"""The emulated cloud as one object, and its HTTP server: RPC products and OSS on one port, control under /_emulator/."""

import asyncio
import secrets
import shutil
import socket
import subprocess
import traceback

from aiohttp import web

from . import control, ecs_disk, ecs_group, ecs_image, ecs_instance, ens, identity, oss, rpc, vpc  # noqa: F401
from .clock import Clock
from .faults import Dropped, Faults
from .oss_store import Bucket
from .signing import Request
from .store import Store


class Cloud:
    def __init__(self, config, folder):
        self.config = config
        self.port = 0
        self.next_address = 0
        self.lo_addresses = []
        self.tasks = set()
        self.begin(folder)

    def begin(self, folder):
        """An account in which nothing was ever made."""
        config = self.config
        self.clock = Clock(config["time_scale"], config["skew_s"])
        self.store = Store(self.clock, config, folder)
        self.faults = Faults(config["seed"])
        for rule in config["faults"]:
            self.faults.add(rule)
        self.keys = dict(config["keys"])
        self.buckets = {name: Bucket(name, folder, self.clock, options) for name, options in config["buckets"].items()}
        self.nonces = set()
        self.calls = []
        self.errors = []

    # ---- work in the background ----

    def spawn(self, coroutine):
        task = asyncio.get_running_loop().create_task(self.guarded(coroutine))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def guarded(self, coroutine):
        try:
            await coroutine
        except Exception as why:  # anything: it has to show in the state
            self.errors.append("".join(traceback.format_exception(why)))

    @staticmethod
    async def in_thread(function, *arguments):
        return await asyncio.get_running_loop().run_in_executor(None, function, *arguments)

    async def takes(self, what, share=1.0):
        """Work of a kind, by its name among the times, or a share of it goes by; not its end while that kind is held."""
        await asyncio.sleep(self.config["times"][what] * share * self.clock.scale)
        while self.config["hold"] is True or self.config["hold"] and what in self.config["hold"]:
            await asyncio.sleep(0.01)

    @staticmethod
    def copy_sparse(source, target):
        subprocess.run(["cp", "--reflink=auto", "--sparse=always", source, target], check=True)

    def lucky(self, what):
        """Whether this piece of asynchronous work goes well."""
        left = self.config["failures"].get(what, 0)
        if left > 0:
            self.config["failures"][what] = left - 1
        return left <= 0

    def public_images(self, region):
        names = (("debian_12_9_x64_20G_alibase_20250117", "Debian", "2025-01-20"),
                 ("aliyun_3_x64_20G_alibase_20240819", "Aliyun", "2024-08-20"),
                 ("ubuntu_22_04_x64_20G_alibase_20250113", "Ubuntu", "2025-01-14"))
        return [{"ImageId": f"{name}.vhd", "ImageName": f"{name}.vhd", "Status": "Available", "Usable": True, "Size": 20,
                 "Platform": platform, "Architecture": "x86_64", "OSType": "linux", "ImageOwnerAlias": "system",
                 "IsSupportCloudinit": True, "IsSupportIoOptimized": True, "CreationTime": f"{day}T03:00:00Z",
                 "Progress": "100%", "OSName": platform, "Description": region, "DiskDeviceMappings": {"DiskDeviceMapping": []}}
                for name, platform, day in names]

    def new_address(self):
        """A public address that this host answers for: of 127/8, or of the given net, then added to its loopback."""
        base = self.config["address_base"]
        self.next_address += 1
        if not base:
            return f"127.{self.host_bytes[0]}.{self.host_bytes[1]}.{self.next_address % 250 + 2}"
        address = f"{base}.{self.next_address % 250 + 2}"
        subprocess.run(["ip", "addr", "add", f"{address}/32", "dev", "lo"], check=False)
        self.lo_addresses.append(address)
        return address

    def new_session(self, role):
        """Keys for a while, as a role or an assumed role has them."""
        ident = "STS.emulated" + secrets.token_hex(8)
        until = int(self.clock.now()) + self.config["session_s"]
        self.keys[ident] = {"secret": secrets.token_hex(16), "token": secrets.token_urlsafe(48), "expires": until, "role": role}
        return {"AccessKeyId": ident, "AccessKeySecret": self.keys[ident]["secret"], "Code": "Success",
                "SecurityToken": self.keys[ident]["token"], "Expiration": self.clock.utc(until),
                "LastUpdated": self.clock.utc()}

    # ---- records ----

    def begin_call(self, product, action, origin, req, scheme):
        if origin == "client":
            self.faults.client_calls += 1
        call = {"number": self.faults.client_calls if origin == "client" else 0, "product": product, "action": action,
                "origin": origin, "method": req.method, "scheme": scheme, "at_s": round(self.clock.cloud_s(), 1), "params": {}}
        self.calls.append(call)
        return call

    def end_call(self, rule):
        if rule and rule["do"] == "kill-replied":
            loop = asyncio.get_running_loop()
            from .faults import kill
            loop.call_later(rule.get("delay_ms", 20) / 1000, lambda: loop.run_in_executor(None, kill, rule["process"]))

    # ---- HTTP ----

    async def dispatch(self, request):
        origin, what = request.app["origin"], request.app["what"]
        path, _, query = request.raw_path.partition("?")
        if what == "metadata":
            return self.metadata(self.store.find("instance", origin.split(":")[1]), request, path)
        if path.startswith("/_emulator/"):
            return await control.handle(self, request, path)
        headers = {}
        for name, value in request.headers.items():
            headers[name.lower()] = f"{headers[name.lower()]},{value}" if name.lower() in headers else value
        req = Request(request.method, path, query, headers)
        form = headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        is_rpc = "x-acs-action" in headers or "Action=" in query or (request.method == "POST" and path == "/" and form)
        try:
            if is_rpc:
                req.body = await request.read()
                return await rpc.handle(self, req, origin)
            return await oss.handle(self, request, req, origin)
        except Dropped:
            if request.transport:
                request.transport.abort()
            return web.Response(status=500)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as why:
            self.errors.append("".join(traceback.format_exception(why)))
            return web.Response(status=500, text="the emulator itself failed; see /_emulator/state")

    @staticmethod
    def not_found():
        return web.Response(status=404, text="404 - Not Found")

    def session(self, request, path):
        """The answer where it is about the session with the metadata service, or None."""
        if request.method == "PUT" and path == "/latest/api/token":
            seconds = request.headers.get("X-aliyun-ecs-metadata-token-ttl-seconds", "")
            if not seconds.isdigit() or not 1 <= int(seconds) <= 21600:
                return web.Response(status=400, text="400 - Bad Request")
            return web.Response(text="emulated-metadata-token")
        given = request.headers.get("X-aliyun-ecs-metadata-token")
        if given is None and self.config["metadata_tokens"] or given not in (None, "emulated-metadata-token"):
            return web.Response(status=403, text="403 - Forbidden")
        return None

    def metadata(self, instance, request, path):
        answer = self.session(request, path)
        if answer:
            return answer
        found = ecs_instance.metadata(self, instance, path.removeprefix("/latest/")) if instance else None
        return web.Response(text=found) if found is not None else self.not_found()

    def metadata_of_role(self, request, path):
        """As in an instance that has the role of the configuration, for clients that run beside the emulator."""
        role = self.config["metadata_role"]
        listing = "/latest/meta-data/ram/security-credentials/"
        answer = self.session(request, path)
        if answer:
            return answer
        if role and path == listing:
            return web.Response(text=role)
        if role and path == listing + role:
            return web.json_response(self.new_session(role))
        return self.not_found()

    async def serve(self, sock, origin, what="cloud"):
        app = web.Application(client_max_size=64 << 20)
        app["origin"], app["what"] = origin, what
        app.router.add_route("*", "/{tail:.*}", self.dispatch)
        # Long: a client that was slow would else send into a connection that ends at that moment.
        runner = web.AppRunner(app, access_log=None, keepalive_timeout=3600)
        await runner.setup()
        await web.SockSite(runner, sock, shutdown_timeout=0.1).start()
        return runner

    async def listen(self, address, port):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        sock.listen(128)
        sock.setblocking(False)
        self.port = sock.getsockname()[1]
        # No two emulators of a host have the same.
        self.host_bytes = divmod(self.port, 256)
        return await self.serve(sock, "client")

    async def stop_all(self):
        self.faults.clear()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for instance in self.store.all("instance"):
            await instance._machine.stop(True)

    async def reset(self):
        await self.stop_all()
        folder = self.store.folder
        shutil.rmtree(folder, ignore_errors=True)
        self.begin(folder)

    async def close(self):
        await self.stop_all()
        for address in self.lo_addresses:
            subprocess.run(["ip", "addr", "del", f"{address}/32", "dev", "lo"], check=False)

    def drop_files(self):
        shutil.rmtree(self.store.folder, ignore_errors=True)
