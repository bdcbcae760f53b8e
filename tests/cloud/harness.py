# SPDX-License-Identifier: GPL-2.0-or-later
"""What the courses (tests/cloud/course) are made of: an emulated cloud, a source machine, a job of `pipeline` between them."""

import base64
import glob
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MIB, GIB = 1 << 20, 1 << 30
# Somewhat less than tests/run gives a test: what takes so long hangs, however slow or busy the machine is.
PATIENCE_S = 1500


# Every process of a job that was begun, so that none outlives the course.
begun = []


class Failed(Exception):
    pass


def end_all():
    for process in begun:
        if process.poll() is None:
            process.kill()
            process.wait()


def program(name):
    """What ships, if it is built, else the quick build."""
    named = os.environ.get(name.upper())
    for path in [named] if named else [os.path.join(ROOT, "build", kind, name) for kind in ("musl", "host")]:
        if os.access(path, os.X_OK):
            return path
    print(f"no {name} is built: make programs")
    sys.exit(77)


def wait_until(what, condition):
    """The first true value that `condition` gives."""
    until = time.monotonic() + PATIENCE_S
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > until:
            raise Failed(f"{what}: not within {PATIENCE_S} s")
        time.sleep(0.05)


class Emulator:
    def __init__(self, folder, poll_ms=30, **settings):
        self.folder = folder
        self.poll_ms = poll_ms
        os.makedirs(folder, exist_ok=True)
        self.log = os.path.join(folder, "emulator.log")
        settings.setdefault("time_scale", 0.002)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [os.path.join(ROOT, "tests/cloud/emulate"), "--keep", "--dir", os.path.join(folder, "cloud"), "--set",
                 json.dumps(settings)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("endpoint: "):
            with open(self.log, encoding="utf-8") as f:
                text = f.read()
            self.process.wait()
            if "instances need" in text or "No module named 'aiohttp'" in text:
                print(text.strip().splitlines()[-1])
                sys.exit(77)
            raise Failed(f"the emulator did not start:\n{text}")
        self.endpoint = line.split()[1]

    def __enter__(self):
        return self

    def keep_calls(self):
        """Behind those that are in the file CALLS already, when the environment names one."""
        path, kept = os.environ.get("CALLS"), []
        if not path:
            return
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                kept = json.load(f)
        with open(path, "w", encoding="utf-8") as f:
            json.dump(kept + self.calls(), f)

    def __exit__(self, *_):
        self.keep_calls()
        self.process.terminate()
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def ask(self, method, path, body=None):
        if path == "reset":
            self.keep_calls()
        request = urllib.request.Request(f"{self.endpoint}/_emulator/{path}", method=method,
                                         data=json.dumps(body).encode() if body is not None else None)
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as reply:
            return json.loads(reply.read())

    def state(self):
        return self.ask("GET", "state")

    def is_well(self):
        """What failed in it would else be waited for in vain."""
        errors = self.state()["errors"]
        if errors:
            raise Failed("the emulator failed:\n" + "\n".join(errors))
        return True

    def calls(self):
        return self.ask("GET", "calls")

    def set(self, **settings):
        return self.ask("PATCH", "config", settings)

    def fault(self, do, **rule):
        """fault("error", product="ecs", action="RunInstances", nth=1, code="...")"""
        match = {k: rule.pop(k) for k in ("product", "action", "origin", "call", "nth", "every", "chance") if k in rule}
        return self.ask("POST", "faults", {"match": match, "do": do, **rule})

    def environment(self):
        """For programs that are to take this for the cloud."""
        more = {f"COLDLIFT_ENDPOINT_{p}": self.endpoint for p in ("ECS", "VPC", "ENS", "STS", "RAM", "OSS")}
        return {**os.environ, **more, "ALIBABA_CLOUD_ACCESS_KEY_ID": "emulated-key",
                "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "emulated-secret", "COLDLIFT_CLOUD_BACKOFF_MS": "20",
                "COLDLIFT_CLOUD_POLL_MS": str(self.poll_ms)}


class Source:
    """The migrating machine as the receiver sees it: disks that are sent, and states that are reported."""

    def __init__(self, folder, disks):
        self.folder = folder
        self.disks = disks

    def send(self, activation):
        """Returns the result of `migrator send`."""
        with open(os.path.join(self.folder, "migrator.log"), "ab") as log:
            return subprocess.run([program("migrator"), "send", "--activation", activation, "--quiet", *self.disks],
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=PATIENCE_S, check=False).returncode

    def begin(self, activation, *options):
        """`migrator send` beside us; its result is its output."""
        with open(os.path.join(self.folder, "migrator.log"), "ab") as log:
            begun.append(subprocess.Popen([program("migrator"), "send", "--activation", activation, "--quiet", *options,
                                           *self.disks], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True))
        return begun[-1]

    @staticmethod
    def says(activation, state):
        """Posts a state as the migrator does; the orders that come back, or None when nobody listens."""
        body = {"state": state, "time": str(time.time_ns()), "disks": []}
        answer = Source.call(activation, "POST", "/v1/state", json.dumps(body).encode())
        return answer["commands"] if answer else None

    @staticmethod
    def call(activation, method, path, body):
        """A request to the receiver's control service; the answer, or None when nobody listens."""
        text = activation.split(".", 1)[1]
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        n = raw[1]
        host, port = raw[2:2 + n].decode(), int.from_bytes(raw[2 + n:4 + n], "big")
        token = raw[38 + n:54 + n].hex()
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        request = urllib.request.Request(f"https://{host}:{port}{path}", body, {"Authorization": f"Bearer {token}"},
                                         method=method)
        try:
            with urllib.request.urlopen(request, context=context, timeout=60) as reply:
                return json.load(reply)
        except (OSError, urllib.error.URLError, ValueError):
            return None


class Job:
    """One job of `pipeline`, in a state directory of its own."""

    def __init__(self, folder, emulator, **options):
        self.folder = folder
        self.emulator = emulator
        self.state = os.path.join(folder, "jobs")
        self.log = os.path.join(folder, "pipeline.log")
        os.makedirs(self.state, exist_ok=True)
        self.options = {"name": "web1", "source_address": "127.0.0.1/32", "disks": [{"size_gib": 20}], **options}
        with open(os.path.join(folder, "job.json"), "w", encoding="utf-8") as f:
            json.dump(self.options, f)
        self.process = None
        self.copied = False

    def begin(self, *words, held=False, **environment):
        """The process makes its first call behind go() when it is held, so that faults for it can be made ready."""
        wait = ["sh", "-c", 'read -r _ && exec "$@" </dev/null', "sh"] if held else []
        with open(self.log, "ab") as log:
            log.write(f"--- pipeline {' '.join(words)} {environment}\n".encode())
            log.flush()
            self.process = subprocess.Popen([*wait, program("pipeline"), words[0], "--state", self.state, *words[1:]],
                                            stdin=subprocess.PIPE if held else subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**self.emulator.environment(), **environment})
            begun.append(self.process)

    def go(self):
        with self.process.stdin as held:
            held.write(b"\n")

    def run(self, **options):
        self.begin("run", "--job", os.path.join(self.folder, "job.json"), **options)

    def start(self, **environment):
        self.begin("start", "web1", **environment)

    def order(self, *words):
        told = subprocess.run([program("pipeline"), words[0], "--state", self.state, "web1", *words[1:]], capture_output=True,
                              text=True, check=False, timeout=PATIENCE_S, env=self.emulator.environment())
        if told.returncode:
            raise Failed(f"pipeline {' '.join(words)}: {told.stdout}{told.stderr}")

    def activation(self):
        found = glob.glob(os.path.join(self.state, "j-*", "activation"))
        if not found:
            return None
        with open(found[0], encoding="ascii") as f:
            return f.read().strip() or None

    def status(self):
        told = subprocess.run([program("pipeline"), "status", "--state", self.state, "--json"], capture_output=True,
                              text=True, check=False, env=self.emulator.environment())
        try:
            jobs = json.loads(told.stdout)
        except ValueError:
            return {}
        return jobs[0] if isinstance(jobs, list) and jobs else jobs or {}

    def clean(self, *words):
        """`pipeline clean` of the account, or of the job whose id is given."""
        told = subprocess.run([program("pipeline"), "clean", "--state", self.state, "--yes",
                               f"region={self.options['storage_region']}", f"bucket={self.options['bucket']}", *words],
                              capture_output=True, text=True, check=False, env=self.emulator.environment())
        if told.returncode:
            raise Failed(f"pipeline clean ended with {told.returncode}: {told.stdout}{told.stderr}")

    def ended(self):
        return self.process.poll() is not None

    def wait_syncing(self):
        """Until it waits for the source's data, which it does as long as the source says nothing; the activation code."""
        wait_until("Syncing", lambda: self.ended() or self.emulator.is_well() and self.status().get("phase") == "Syncing")
        if self.ended():
            raise Failed(f"the job ended before it waited for data:\n{self.tail()}")
        return self.activation()

    def wait(self):
        """The exit status of a process of the job that needs no source."""
        return self.process.wait(PATIENCE_S)

    def follow(self, source):
        """Be the source for this process of the job, until it ends; its exit status (negative: of a signal)."""
        until = time.monotonic() + PATIENCE_S
        while not self.ended():
            code = self.activation()
            if code and not self.copied:
                self.copied = source.send(code) == 0
            if code and self.copied:
                source.says(code, "Finished")
            if not self.copied:
                self.emulator.is_well()
            if time.monotonic() > until:
                self.process.send_signal(signal.SIGQUIT)
                self.process.kill()
                self.process.wait()
                raise Failed(f"the job did not end within {PATIENCE_S} s:\n{self.tail()}")
            time.sleep(0.1)
        return self.process.returncode

    def tail(self, count=40):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return "".join(f.readlines()[-count:])


def check_clean(state, images=1):
    """Exactly that many ENS images, all good, and nothing else."""
    if state["errors"]:
        raise Failed("the emulator failed:\n" + "\n".join(state["errors"]))
    good = [i for i in state["ens_images"] if i["status"] == "Available"]
    if images is not None and (len(good) != images or len(state["ens_images"]) != images):
        raise Failed(f"{len(good)} good images of {len(state['ens_images'])}, not {images}: "
                     + ", ".join(f"{i['name']} {i['status']} {i['reason']}" for i in state["ens_images"]))
    if state["left_over"]:
        raise Failed("left over: " + ", ".join(state["left_over"]))


def same_bytes(image, source):
    """A file of the ENS image against the source's disk, which may be the smaller."""
    told = subprocess.run(["qemu-img", "compare", "-f", "raw", "-F", "qcow2", source, image], capture_output=True, text=True,
                          check=False)
    if told.returncode or not re.search("Images are identical", told.stdout):
        raise Failed(f"{image} is not {source}: {told.stdout}{told.stderr}")


# ---- whole jobs ----

BEIJING = {"storage_region": "cn-beijing", "bucket": "coldlift-beijing"}
SINGAPORE = {"storage_region": "ap-southeast-1", "bucket": "coldlift-singapore"}


def small_disks(folder, count=1):
    """Disks with a few MiB at their beginning and in their middle."""
    paths = []
    for n in range(count):
        path = os.path.join(folder, f"source{n}.raw")
        with open(path, "wb") as f:
            f.write(os.urandom(3 << 20))
            f.seek(40 << 20)
            f.write(os.urandom(1 << 20))
            f.truncate(64 << 20)
        paths.append(path)
    return paths


def whole(folder, emulator, disks=1, source=None, images=1, **options):
    """A job from the beginning to its end, undisturbed from our side; the cloud's state afterwards."""
    source = source or Source(folder, small_disks(folder, disks))
    job = Job(folder, emulator, disks=[{"size_gib": 20}] * len(source.disks), **options)
    job.run()
    status = job.follow(source)
    if status != 0:
        raise Failed(f"pipeline ended with {status}:\n{job.tail()}")
    state = emulator.state()
    check_clean(state, images)
    for n, path in enumerate(source.disks):
        same_bytes(state["ens_images"][-1]["files"][n], path)
    return state
