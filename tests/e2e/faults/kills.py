#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Copies small disks again and again, and while they are copied kills the migrator, the receiver or both, breaks the
network between them, and stops, fills or cuts the power of the receiver's disk, each at a byte of the stream that the
seed decides. What died is started again by the very same command. At the end of each copy the target must be equal,
the receiver's journal must be true, and little of what was durable may have been sent again."""

import argparse
import collections
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import traceback
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import disks  # noqa: E402
import journal  # noqa: E402
import medium  # noqa: E402
import proxy  # noqa: E402

MIB = 1 << 20
PATIENCE_S = 30
RUN_LIMIT_S = 900  # ends what hangs
STARTS_MAX = 40
FIRST_PORT, PORTS = 10000, 9216
DISK_CODES = ("TARGET_FULL", "TARGET_FAILED", "TARGET_WRITE_ERROR", "RECEIVER_FAILED")
HANDSHAKE_CODES = ("PEER_NOT_NBD", "TLS_FAILED", "PIN_MISMATCH", "PEER_NO_TLS")


class Failed(Exception):
    pass


def own_ports(number):
    """Two that nobody else takes while its receiver is gone: below those of connections and port 0, others for each run."""
    for at in range(FIRST_PORT + 2 * number % PORTS, FIRST_PORT + PORTS, 512):
        ports = (at, at + 1)
        try:
            for port in ports:
                with socket.socket() as s:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind(("127.0.0.1", port))
            return ports
        except OSError:
            pass
    raise Failed("no port is free")


class Receiver:
    def __init__(self, program, folder, where, ports):
        self.program, self.folder, self.where, self.ports = program, folder, where, ports
        self.process = None
        self.activation = ""

    def start(self):
        out = os.path.join(self.folder, "receiver.out")
        state, files = (os.path.join(self.where, name) for name in ("state", "files"))
        with open(out, "wb") as stdout, open(os.path.join(self.folder, "receiver.log"), "ab") as stderr:
            self.process = subprocess.Popen(
                [self.program, "serve", "--state", state, "--files", files, "--listen", "127.0.0.1", "--advertise", "127.0.0.1",
                 "--control-port", str(self.ports[0]), "--data-port", str(self.ports[1]), "--commit-ms", "50"],
                stdout=stdout, stderr=stderr)
        deadline = time.monotonic() + RUN_LIMIT_S
        while True:
            with open(out, encoding="utf-8") as f:
                text = f.read()
            found = re.search(r"^control: port (\d+)$.*^data: port (\d+)$.*^activation: (\S+)$", text, re.M | re.S)
            if found:
                break
            if self.process.poll() is not None:
                raise Failed(f"the receiver does not start (status {self.process.returncode})")
            if time.monotonic() > deadline:
                raise Failed("the receiver says nothing")
            time.sleep(0.005)
        self.activation = found[3]

    def kill(self, number=signal.SIGKILL, last_part=True):
        """last_part: wait until the last of its processes is gone, too."""
        parts = self.parts()
        self.process.send_signal(number)
        status = self.process.wait(RUN_LIMIT_S)
        while last_part and any(os.path.exists(f"/proc/{pid}") for pid in parts):
            time.sleep(0.005)
        return status

    def parts(self):
        """All its processes."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as f:
            return [self.process.pid] + [int(pid) for pid in f.read().split()]

    def path(self, name):
        return os.path.join(self.where, name)

    def token(self):
        with open(self.path("state/token.json"), encoding="utf-8") as f:
            return json.load(f)["token"]

    def durable_chunks(self):
        """What it promises, by disk."""
        context = ssl.create_default_context(cafile=self.path("state/cert.pem"))
        request = urllib.request.Request(f"https://127.0.0.1:{self.ports[0]}/v1/target",
                                         headers={"Authorization": "Bearer " + self.token()})
        with urllib.request.urlopen(request, timeout=300, context=context) as answer:
            return {d["index"]: d["durable_chunks"] for d in json.load(answer)["disks"]}


class Run:
    """One copy, from the first start to the last byte."""

    def __init__(self, options, folder, number, rng, real_disk):
        self.options, self.folder, self.rng = options, folder, rng
        self.log = []
        self.starts = 0
        self.disk_failed = self.damaged = False
        self.before = {}  # disk -> (records, durable chunks) when something was started again
        self.earlier_run = {}  # disk -> run id of a copy that is over
        self.sent_again = []  # (durable before, of these sent again), one a restart
        self.disturbed = collections.Counter()
        self.images = self.make_images()
        self.total = sum(os.path.getsize(path) for path in self.images)
        self.medium = medium.make(folder, self.total // MIB + 48, real_disk)
        self.receiver = Receiver(options.receiver, folder, self.medium.path, own_ports(number))
        self.migrator = None
        self.proxy = None
        self.compression = rng.choice((0, 0, 1, 7))
        self.patience_s = rng.choice((0, PATIENCE_S))

    # ---- what is copied ----

    def make_images(self):
        images = []
        for i in range(self.rng.choice((1, 1, 2, 3))):
            path = os.path.join(self.folder, f"image{i}")
            size = self.rng.randrange(6, 24) * MIB + self.rng.choice((0, 512, 4096 * 17))
            with open(path, "wb") as f:
                f.truncate(size)
                for at in range(0, size, MIB):
                    kind, length = self.rng.random(), min(MIB, size - at)
                    if kind < 0.2:
                        continue
                    f.seek(at)
                    if kind < 0.35:
                        f.write((b"what can be pressed together %d\n" % at * 40000)[:length])
                    elif kind < 0.5:
                        f.write(self.rng.randbytes(length // 3))
                    else:
                        f.write(self.rng.randbytes(length))
            images.append(path)
        return images

    # ---- both ends ----

    def start_migrator(self):
        self.starts += 1
        if self.starts > STARTS_MAX:
            raise Failed(f"{STARTS_MAX} starts and no end")
        command = [self.options.migrator, "send", "--activation", self.code, "--quiet", "--json", "--whole",
                   "--compression", str(self.compression), "--patience-s", str(self.patience_s)] + self.images
        with open(os.path.join(self.folder, "result.json"), "wb") as out, open(self.migrator_log(), "ab") as log:
            self.log_from = log.tell()
            self.migrator = subprocess.Popen(command, stdout=out, stderr=log)

    def migrator_log(self):
        return os.path.join(self.folder, "migrator.log")

    def said(self):
        with open(self.migrator_log(), encoding="utf-8", errors="replace") as f:
            f.seek(self.log_from)
            return f.read()

    def kill_migrator(self, number=signal.SIGKILL):
        self.migrator.send_signal(number)
        self.migrator.wait(RUN_LIMIT_S)

    # ---- what is known ----

    def journals(self):
        found = {}
        for i in range(len(self.images)):
            path = self.receiver.path(f"state/disk{i}.journal")
            if os.path.exists(path) and os.path.getsize(path):
                found[i] = journal.Journal(path)
        return found

    def settle_account(self):
        """What was sent again since the last time, of what was durable then; and what is durable now."""
        now = self.journals()
        durable = again = 0
        for i, (records, chunks) in self.before.items():
            if i not in now:
                raise Failed(f"the journal of disk{i} is gone")
            durable += len(chunks)
            again += len(chunks & now[i].overwritten_since(records))
        if durable:
            self.sent_again.append((durable, again))
        self.before = {i: (len(j.records), j.of_this_run()) for i, j in now.items() if j.run != self.earlier_run.get(i)}
        return now

    def check_journals(self):
        """Nobody writes: every record is true."""
        for i, j in self.settle_account().items():
            j.check(self.receiver.path(f"files/disk{i}.raw"))

    # ---- what happens ----

    def short(self, most_s):
        time.sleep(self.rng.uniform(0, most_s))

    def migrator_killed(self):
        self.kill_migrator()
        self.settle_account()
        self.start_migrator()

    def migrator_terminated(self):
        self.kill_migrator(signal.SIGTERM)
        self.settle_account()
        self.start_migrator()

    def receiver_killed(self):
        # One that is started again at once meets what is left of the one before.
        at_once = self.rng.random() < 0.5
        self.receiver.kill(last_part=not at_once)
        if not at_once:
            self.check_journals()
            self.short(0.3)
        self.receiver.start()

    def receiver_part_killed(self):
        """It is several processes, and none goes on without the others."""
        parts = self.receiver.parts()
        part = self.rng.choice(parts)
        os.kill(part, signal.SIGKILL)
        self.proxy.trigger.release()
        status = self.receiver.process.wait(RUN_LIMIT_S)
        if part != parts[0] and status != 1:
            raise Failed(f"the receiver lost a part and ended with status {status}")
        for pid in parts:
            self.wait_until(lambda pid=pid: not os.path.exists(f"/proc/{pid}"), "a part of the receiver goes on alone")
        self.check_journals()
        self.receiver.start()

    def receiver_terminated(self):
        # It waits for those who write; the bytes that are held up here go on meanwhile.
        self.proxy.trigger.release()
        status = self.receiver.kill(signal.SIGTERM)
        if status != 0:
            raise Failed(f"the receiver ended with status {status} on SIGTERM")
        self.check_journals()
        self.receiver.start()

    def both_killed(self):
        ends = [self.kill_migrator, self.receiver.kill]
        self.rng.shuffle(ends)
        for end in ends:
            end()
        self.check_journals()
        self.receiver.start()
        self.start_migrator()

    def both_stopped_for_a_while(self):
        for process in (self.migrator, self.receiver.process):
            process.send_signal(signal.SIGSTOP)
            self.proxy.trigger.release()
            self.short(0.4)
            process.send_signal(signal.SIGCONT)

    def network_reset(self):
        self.proxy.cut(reset=True)
        self.settle_account()

    def network_closed_in_order(self):
        self.proxy.cut(reset=False)
        self.settle_account()

    def network_away(self):
        self.proxy.refuse(True)
        self.proxy.cut(reset=self.rng.random() < 0.5)
        self.settle_account()
        self.short(1)
        self.proxy.refuse(False)

    def network_damaged(self):
        self.damaged = True
        self.proxy.damage(self.rng.choice(("up", "down")))

    def network_held_up(self):
        self.proxy.hold()
        self.short(0.5)
        self.proxy.go_on()

    def network_held_up_and_cut(self):
        self.proxy.hold()
        self.short(0.3)
        self.proxy.cut(reset=True)
        self.proxy.go_on()
        self.settle_account()

    def disk_full(self):
        self.disk_failed = True
        self.medium.fill()
        self.proxy.trigger.release()
        self.wait_end_of_migrator()
        self.medium.empty()
        self.settle_account()

    def disk_frozen(self):
        self.medium.freeze()
        self.proxy.trigger.release()
        self.short(0.6)
        self.medium.thaw()

    def disk_without_power(self):
        """The receiver's machine loses power: it, and what its disk had not got yet."""
        promised = self.receiver.durable_chunks()
        self.disk_failed = True
        self.medium.power_off()
        self.proxy.trigger.release()
        self.short(0.3)
        self.receiver.kill()
        self.medium.power_on()
        for i, j in self.journals().items():
            if len(j.of_this_run()) < promised.get(i, 0):
                raise Failed(f"disk{i}: {promised[i]} chunks were called durable, {len(j.of_this_run())} are there")
        self.before = {i: (n, c) for i, (n, c) in self.before.items() if i in self.journals()}
        self.check_journals()
        self.receiver.start()

    ANY = (migrator_killed, migrator_killed, migrator_terminated, receiver_killed, receiver_killed, receiver_part_killed,
           receiver_terminated, both_killed, both_stopped_for_a_while, network_reset, network_closed_in_order, network_away,
           network_damaged, network_damaged, network_held_up, network_held_up_and_cut)
    REAL_DISK = (disk_full, disk_frozen, disk_without_power, disk_without_power)

    # ---- the course ----

    @staticmethod
    def wait_until(fact, otherwise):
        deadline = time.monotonic() + RUN_LIMIT_S
        while not fact():
            if time.monotonic() > deadline:
                raise Failed(otherwise)
            time.sleep(0.01)

    def wait_end_of_migrator(self):
        self.wait_until(lambda: self.migrator.poll() is not None, "the migrator does not end")

    def arm(self):
        done = sum(len(chunks) for _, chunks in self.before.values()) * MIB
        left = max(self.total - done, MIB)
        if self.compression:
            left //= 2
        # A quarter of all hits the beginnings: the plan's way to the receiver, handshakes, questions.
        most = 16000 if self.rng.random() < 0.25 else left * 9 // 10
        self.proxy.trigger.arm(self.rng.randrange(1, max(2, most)))

    def ended(self):
        """True when all is over; else it is started again."""
        status = self.migrator.returncode
        if status == 0:
            return True
        text = self.said()
        if status == 1 and self.disk_failed and any(code in text for code in DISK_CODES):
            self.disk_failed = False
            # A disk that failed stays failed until the receiver is started again, and says so.
            if "start the receiver again" in text or "TARGET_FAILED" in text:
                self.receiver.kill(signal.SIGTERM)
                self.receiver.start()
        elif status == 1 and self.damaged and any(code in text for code in HANDSHAKE_CODES):
            self.damaged = False  # it hit the handshake, and what came of it looks like another peer
        elif status != 75:
            raise Failed(f"the migrator ended with status {status}: {text.strip()[-600:]}")
        self.settle_account()
        self.start_migrator()
        return False

    def go(self, count):
        self.receiver.start()
        self.proxy = proxy.Proxy(*self.receiver.ports)
        self.code = proxy.code_through(self.receiver.activation, *self.proxy.ports)
        self.copy(count)
        # Sometimes the source lives on and is copied once more, over what is there.
        if self.rng.random() < 0.3:
            self.log.append("the source changes")
            self.change_images()
            self.before = {}
            self.earlier_run = {i: j.run for i, j in self.journals().items()}
            self.receiver.start()
            self.copy(1)

    def change_images(self):
        share = self.rng.choice((0.1, 0.9))
        for path in self.images:
            with open(path, "r+b") as f:
                for at in range(0, os.path.getsize(path) - MIB, MIB):
                    if self.rng.random() < share:
                        f.seek(at + self.rng.randrange(MIB))
                        f.write(self.rng.choice((bytes(4096), self.rng.randbytes(4096))))

    def copy(self, count):
        self.start_migrator()
        kinds = self.ANY + (self.REAL_DISK if self.medium.can_fail else ())
        deadline = time.monotonic() + RUN_LIMIT_S
        self.arm()
        while True:
            if time.monotonic() > deadline:
                raise Failed(f"not done after {RUN_LIMIT_S} s")
            if self.proxy.trigger.fired.wait(0.01):
                kind = self.rng.choice(kinds)
                self.log.append(f"after {self.proxy.trigger.passed} bytes: {kind.__name__}")
                kind(self)
                self.disturbed[kind.__name__] += 1
                count -= 1
                if count > 0:
                    self.arm()
                else:
                    self.proxy.trigger.release()
                    self.proxy.trigger.fired.clear()
            if self.receiver.process.poll() is not None:
                raise Failed(f"the receiver ended by itself, status {self.receiver.process.returncode}")
            if self.migrator.poll() is not None and self.ended():
                break
        self.check_end()

    def check_end(self):
        self.settle_account()
        if self.receiver.kill(signal.SIGTERM) != 0:
            raise Failed("the receiver did not end well")
        for i, image in enumerate(self.images):
            target = self.receiver.path(f"files/disk{i}.raw")
            at = disks.first_difference(image, target)
            if at is not None:
                raise Failed(f"disk{i} differs from its source at byte {at}")
            j = journal.Journal(self.receiver.path(f"state/disk{i}.journal"))
            j.check(target)
            chunks = -(-os.path.getsize(image) // MIB)
            if j.of_this_run() != set(range(chunks)):
                raise Failed(f"disk{i}: the journal lacks chunks {sorted(set(range(chunks)) - j.of_this_run())}")

    def close(self):
        for process in (self.migrator, self.receiver.process):
            if process and process.poll() is None:
                process.kill()
                process.wait()
        if self.proxy:
            self.proxy.close()
        self.medium.close()

    def story(self):
        lines = [f"compression {self.compression}, patience {self.patience_s} s, {len(self.images)} disks, {self.total} bytes"]
        lines += self.log
        for name in ("migrator.log", "receiver.log"):
            path = os.path.join(self.folder, name)
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as f:
                    lines.append(f"--- {name}\n" + "".join(f.readlines()[-15:]))
        return "\n".join(lines)


def one_run(options, number, real_disk):
    """The result of run `number`; everything about it follows from the seed and its number."""
    rng = random.Random(f"{options.seed}/{number}")
    folder = os.path.join(options.work, f"run{number}")
    os.mkdir(folder)
    run = None
    try:
        run = Run(options, folder, number, rng, real_disk)
        run.go(rng.choice((1, 1, 1, 2, 3)) if options.each is None else options.each)
        return {"number": number, "disturbed": run.disturbed, "again": run.sent_again, "starts": run.starts, "error": None}
    except medium.Pinned as e:
        print(f"run {number} does not count: {e}", flush=True)
        return {"number": number, "disturbed": collections.Counter(), "again": [], "starts": 0, "error": None}
    except Exception as e:  # the lane's process must tell it, whatever it is
        trace = "" if isinstance(e, (Failed, journal.Bad)) else traceback.format_exc()
        return {"number": number, "disturbed": collections.Counter(), "again": [], "starts": 0,
                "error": f"{e}\n{trace}{run.story() if run else ''}"}
    finally:
        if run:
            run.close()
        shutil.rmtree(folder, ignore_errors=True)


def lane(options, numbers, results, real_disk):
    while (number := numbers.get()) is not None:
        results.put(one_run(options, number, real_disk))


def real_disk_works(work):
    """Root may mount a small ext4; elsewhere the disturbances of the disk are left out."""
    try:
        probe = os.path.join(work, "probe")
        os.mkdir(probe)
        disk = medium.Disk(probe, 16)
        disk.close()
        return True
    except (OSError, subprocess.CalledProcessError):
        return False


def summary(results, wall_s):
    kinds = sum((r["disturbed"] for r in results), collections.Counter())
    restarts = [pair for r in results for pair in r["again"]]
    durable, again = sum(d for d, _ in restarts), sum(a for _, a in restarts)
    worst = max((a / d for d, a in restarts), default=0)
    equal = sum(1 for r in results if not r["error"] and r["disturbed"])
    print(f"{sum(kinds.values())} disturbances of {equal} copies that all ended equal, {wall_s:.0f} s:")
    for kind, count in sorted(kinds.items()):
        print(f"  {count:4d} {kind}")
    print(f"{len(restarts)} times something went on with {durable} durable chunks in all; {again} of them were sent again "
          f"({100 * again / max(1, durable):.2f} %, at worst {100 * worst:.1f} % of one copy's)")
    return worst


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--migrator", required=True)
    parser.add_argument("--receiver", required=True)
    parser.add_argument("--work", required=True, help="an empty folder")
    parser.add_argument("--count", type=int, default=200, help="of copies that were disturbed")
    parser.add_argument("--each", type=int, help="of one copy; else 1 to 3")
    parser.add_argument("--lanes", type=int, default=2)
    parser.add_argument("--seed", default=None)
    parser.add_argument("--only", type=int, help="the run of this number alone")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = str(random.SystemRandom().randrange(1 << 32))
    print(f"seed {options.seed}", flush=True)
    started = time.monotonic()
    real_disk = real_disk_works(options.work)
    if not real_disk:
        print("no root or no loop device: nothing happens to the receiver's disk")
    if options.only is not None:
        results = [one_run(options, options.only, real_disk)]
    else:
        results = run_lanes(options, real_disk)
    worst = summary(results, time.monotonic() - started)
    for r in results:
        if r["error"]:
            print(f"run {r['number']}: {r['error']}\nagain with: --seed {options.seed} --only {r['number']}")
            return 1
    if worst > 0.02:
        print("more than 2 % of what was durable was sent again")
        return 1
    return 0


def run_lanes(options, real_disk):
    numbers, results = multiprocessing.Queue(), multiprocessing.Queue()
    lanes = [multiprocessing.Process(target=lane, args=(options, numbers, results, real_disk)) for _ in range(options.lanes)]
    for process in lanes:
        process.start()
    got, asked, done = [], 0, 0
    while len(got) < asked or done < options.count:
        while asked - len(got) < options.lanes and done + asked - len(got) < options.count and not any(r["error"] for r in got):
            numbers.put(asked)
            asked += 1
        if len(got) == asked:
            break
        got.append(results.get())
        done += bool(got[-1]["disturbed"])
    for _ in lanes:
        numbers.put(None)
    for process in lanes:
        process.join()
    return got


if __name__ == "__main__":
    sys.exit(main())
