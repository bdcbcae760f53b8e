"""A store that takes multipart uploads by presigned URL, as OSS does, with faults on demand; and a receiver with
disks to upload. Used by images.py."""

import ctypes
import ctypes.util
import hashlib
import http.client
import http.server
import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
MIB = 1 << 20
LIMIT_S = 1000  # ends what hangs; nothing is judged by it

_lzma = ctypes.CDLL(ctypes.util.find_library("lzma") or "liblzma.so.5")
_lzma.lzma_crc64.restype = ctypes.c_uint64
_lzma.lzma_crc64.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]


def crc64(data, crc=0):
    return _lzma.lzma_crc64(bytes(data), len(data), crc)


def program(name):
    given = os.environ.get(name.upper())
    if given:
        return given
    for build in ("musl", "host"):
        path = os.path.join(ROOT, "build", build, name)
        if os.path.exists(path):
            return path
    print(f"no programs: make host-programs ({name})")
    sys.exit(77)


def free_port():
    """Below the ports that connections and port 0 take: a receiver that comes back must find its own again."""
    while True:
        port = random.SystemRandom().randrange(20000, 32000)
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            return str(port)


def free_ports():
    first = second = free_port()
    while second == first:
        second = free_port()
    return first, second


class Store:
    """One multipart upload for each object. fault(store, number, attempt) says what goes wrong, or None:
    ("status", code, error code), "cut", "stall", "etag", "crc", "nothing" (the reply is lost after the part was kept)."""

    def __init__(self, tls=None):
        self.objects = {}
        self.attempts = {}
        self.log = []
        self.fault = lambda store, key, number, attempt: None
        self.with_crc = True
        self.room = 1 << 30  # so many parts of one object are kept; who sends another one waits until there is room
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.ended = threading.Event()
        self.good_until = None  # a signature counter: URLs made before are expired
        self.generation = 0
        store = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self):
                store.put(self)

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.scheme = "http"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls[0], tls[1])
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
            self.scheme = "https"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def port(self):
        return self.server.server_address[1]

    def url(self, key, number):
        query = urllib.parse.urlencode(
            {"partNumber": number, "uploadId": f"u-{key}", "Expires": self.generation, "Signature": self.sign(key, number)}
        )
        return f"{self.scheme}://127.0.0.1:{self.port}/bucket/{key}?{query}"

    def sign(self, key, number):
        return hashlib.sha1(f"secret {key} {number} {self.generation}".encode()).hexdigest()

    def urls(self, key, numbers):
        return {str(n): self.url(key, n) for n in numbers}

    def expire(self):
        """All URLs that were made so far are of no use any more."""
        with self.lock:
            self.generation += 1

    def answer(self, handler, status, body=b"", headers=()):
        handler.send_response(status)
        for name, value in headers:
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def error(self, handler, status, code, message="no", headers=()):
        body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'.encode()
        handler.close_connection = True
        self.answer(handler, status, body, headers)

    def put(self, handler):
        split = urllib.parse.urlsplit(handler.path)
        query = dict(urllib.parse.parse_qsl(split.query))
        key = split.path.split("/", 2)[2]
        number = int(query["partNumber"])
        with self.lock:
            attempt = self.attempts[key, number] = self.attempts.get((key, number), 0) + 1
            generation = self.generation
        foreign = [h for h in ("Content-Type", "Content-MD5", "Authorization", "Date", "Expect") if handler.headers.get(h)]
        if foreign or handler.headers.get("Transfer-Encoding"):
            self.log.append(f"foreign headers {foreign}")
            return self.error(handler, 403, "SignatureDoesNotMatch")
        if query["Signature"] != self.sign(key, number) or int(query["Expires"]) != generation:
            return self.error(handler, 403, "AccessDenied", "Request has expired.")
        fault = self.fault(self, key, number, attempt)
        bytes_left = int(handler.headers["Content-Length"])
        if fault == "cut":
            handler.rfile.read(bytes_left // 2)
            handler.close_connection = True
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            handler.connection.close()
            return None
        if fault == "stall":
            handler.rfile.read(min(1000, bytes_left))
            self.ended.wait()
            return None
        if isinstance(fault, tuple):
            handler.rfile.read(bytes_left if attempt % 2 else 0)
            return self.error(handler, fault[1], fault[2], headers=fault[3] if len(fault) > 3 else ())
        data = handler.rfile.read(bytes_left)
        if len(data) != bytes_left:
            return None
        etag = hashlib.md5(data).hexdigest().upper()
        headers = [("ETag", f'"{etag}"')]
        if fault == "etag":
            headers = [("ETag", '"%s"' % hashlib.md5(b"else").hexdigest())]
        elif self.with_crc or fault == "crc":
            headers.append(("x-oss-hash-crc64ecma", str(crc64(data) ^ (fault == "crc"))))
        with self.lock:
            parts = self.objects.setdefault(key, {})
            self.changed.wait_for(lambda: number in parts or len(parts) < self.room)
            parts[number] = (data, etag)
            self.changed.notify_all()
        if fault == "nothing":
            handler.close_connection = True
            handler.connection.close()
            return None
        return self.answer(handler, 200, headers=headers)

    def make_room(self, parts):
        with self.lock:
            self.room = parts
            self.changed.notify_all()

    def wait_parts(self, key, count):
        with self.lock:
            if not self.changed.wait_for(lambda: len(self.objects.get(key, {})) >= count, LIMIT_S):
                raise AssertionError(f"{key}: only {len(self.objects.get(key, {}))} parts")

    def complete(self, key, parts, path):
        """As CompleteMultipartUpload: the parts that the receiver named, in order, into a file."""
        have = self.objects[key]
        crc = 0
        with open(path, "wb") as f:
            for want, part in zip(range(1, len(parts) + 1), parts):
                assert part["number"] == want, parts
                data, etag = have[want]
                assert part["etag"].strip('"').upper() == etag, f"part {want}: {part} is not {etag}"
                assert part["bytes"] == len(data) and int(part["crc64"]) == crc64(data)
                assert want == len(parts) or len(data) >= 100 << 10, f"part {want} is too small for OSS"
                crc = crc64(data, crc)
                f.write(data)
        return crc


class Receiver:
    def __init__(self, work, *options):
        self.work = work
        self.options = options
        self.targets = ["--files", f"{work}/target"]
        self.process = None
        self.ports = free_ports()

    def start(self):
        log = open(os.path.join(self.work, "receiver.log"), "ab")
        self.process = subprocess.Popen(
            [program("receiver"), "serve", "--state", f"{self.work}/state", *self.targets, "--listen",
             "127.0.0.1", "--advertise", "127.0.0.1", "--control-port", self.ports[0], "--data-port", self.ports[1],
             "--verbose", *self.options],
            stdout=subprocess.PIPE, stderr=log, text=True)
        told = {}
        for line in self.process.stdout:
            name, _, value = line.partition(": ")
            told[name] = value.strip()
            if name == "activation":
                break
        assert "activation" in told, "the receiver does not start"
        self.activation = told["activation"]
        self.ports = (told["control"].split()[-1], told["data"].split()[-1])
        import base64
        code = told["activation"].split(".", 1)[1]
        raw = base64.urlsafe_b64decode(code + "=" * (-len(code) % 4))
        self.token = raw[-20:-4].hex()
        return self

    def stop(self, how=signal.SIGTERM):
        if self.process:
            self.process.send_signal(how)
            self.process.wait(LIMIT_S)
            self.process.stdout.close()
            self.process = None

    def call(self, method, path, body=None):
        context = ssl.create_default_context(cafile=f"{self.work}/state/cert.pem")
        c = http.client.HTTPSConnection("127.0.0.1", int(self.ports[0]), context=context, timeout=300)
        data = json.dumps(body) if isinstance(body, dict) else body
        c.request(method, path, data, {"Authorization": f"Bearer {self.token}"})
        r = c.getresponse()
        text = r.read()
        c.close()
        return r.status, json.loads(text)

    def order(self, body):
        status, reply = self.call("POST", "/v1/image", body)
        assert status == 200, (status, reply)
        return reply

    def progress(self):
        status, reply = self.call("GET", "/v1/image")
        assert status == 200, (status, reply)
        return reply

    def drop(self):
        status, reply = self.call("DELETE", "/v1/image")
        assert status == 200 and reply == {"order": None, "state": "Ready"}, (status, reply)

    def wait(self, test, what, feed=None):
        """Until test(progress); feed(progress) gives URLs meanwhile."""
        end = time.monotonic() + LIMIT_S
        while True:
            p = self.progress()
            if test(p):
                return p
            assert time.monotonic() < end, f"never {what}: {json.dumps(p)[:2000]}"
            if feed:
                feed(p)
            time.sleep(0.05)

    def send(self, *disks, digest="xxh3-128"):
        subprocess.run([program("migrator"), "send", "--activation", self.activation, "--quiet", "--digest", digest, *disks],
                       check=True, stdout=subprocess.DEVNULL)


def make_disk(path, size, seed=1):
    r = random.Random(seed)
    text = b"".join(b"line %d of a text like others\n" % i for i in range(40000))
    noise = r.randbytes(2 * MIB)
    with open(path, "wb") as f:
        f.truncate(size)
        at = 0
        while at < size:
            n = min(r.choice([512, 4096, 65537, 200000, MIB, 2 * MIB]), size - at)
            f.seek(at)
            f.write(r.choice([b"", noise[:n], text[:n], bytes(n)]))
            at += n


def qemu(*args):
    r = subprocess.run(["qemu-img", *args], capture_output=True, text=True)
    assert r.returncode == 0, f"qemu-img {args}: {r.stdout} {r.stderr}"


class Work:
    def __enter__(self):
        if not shutil.which("qemu-img"):
            print("no qemu-img")
            sys.exit(77)
        self.dir = tempfile.mkdtemp(prefix="images.")
        os.mkdir(f"{self.dir}/target")
        self.receiver = Receiver(self.dir)
        self.stores = []
        self.loops = []
        return self

    def store(self, *args, **more):
        self.stores.append(Store(*args, **more))
        return self.stores[-1]

    def disks(self, *sizes):
        paths = []
        for i, size in enumerate(sizes):
            paths.append(f"{self.dir}/source{i}.raw")
            make_disk(paths[-1], size, i + 1)
        return paths

    def devices(self, *sizes):
        """Block devices that the receiver is to have as its disks."""
        if os.geteuid() != 0 or not shutil.which("losetup"):
            print("needs root and losetup for loop devices")
            sys.exit(77)
        self.receiver.targets = []
        for i, size in enumerate(sizes):
            backing = f"{self.dir}/device{i}"
            with open(backing, "wb") as f:
                f.truncate(size)
            r = subprocess.run(["losetup", "-f", "--show", backing], capture_output=True, text=True)
            if r.returncode != 0:
                print(f"no loop devices here: {r.stderr}")
                sys.exit(77)
            self.loops.append(r.stdout.strip())
            self.receiver.targets += ["--device", self.loops[-1]]
        return self.loops

    def __exit__(self, kind, value, trace):
        for s in self.stores:
            s.ended.set()
        if self.receiver.process:
            self.receiver.stop(signal.SIGKILL)
        for loop in self.loops:
            subprocess.run(["losetup", "-d", loop])
        if kind and kind is not SystemExit:
            with open(f"{self.dir}/receiver.log", "rb") as f:
                sys.stderr.write(f.read()[-4000:].decode())
        shutil.rmtree(self.dir)
