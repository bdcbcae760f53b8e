# SPDX-License-Identifier: GPL-2.0-or-later
"""Jobs that are killed at every call in turn."""

import os
import queue
import re
import shutil
import signal
import threading

from harness import BEIJING, SINGAPORE, Emulator, Failed, Job, Source, check_clean, small_disks

CHANGES = re.compile(r"^(Create|Run|Authorize|Stop|Start|Delete|Export|Import|Put|Upload|Initiate|Complete|Abort|Detach|Cancel)")
STAGES = ("kill-before", "kill-after", "kill-replied")


def killed_once(folder, emulator, disks, rule, options):
    """One job that is killed where the rule says, and gone on with. The calls that it made; whether it was killed."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    emulator.ask("POST", "reset", {})
    source, job = Source(folder, disks), Job(folder, emulator, **options)
    job.run(held=True)
    if rule:
        emulator.fault(rule["do"], call=rule["call"], pid=job.process.pid)
    job.go()
    status = job.follow(source)
    killed = status == -signal.SIGKILL
    # Behind its last call it may have been through already.
    if killed and job.status().get("state") != "Finished":
        job.start()
        status = job.follow(source)
    elif killed:
        status = 0
    if status != 0:
        raise Failed(f"ended with {status}:\n{job.tail()}")
    check_clean(emulator.state())
    return [c for c in emulator.calls() if c["origin"] == "client"], killed


def killed_at_every_call(folder, options):
    """Each call of a job in turn: killed before it is sent, when it has had its effect, and when the reply was read. A call that
    changes nothing is killed once, and of those that follow each other to wait for something, the first. EVERY=n takes each
    nth only."""
    every = int(os.environ.get("EVERY", "1"))
    disks = small_disks(folder)
    work = queue.Queue()
    failures, counts = [], {"runs": 0, "killed": 0}

    def worker(n):
        mine = os.path.join(folder, f"worker{n}")
        with Emulator(mine, time_scale=0.0005) as emulator:
            while not failures:
                try:
                    rule = work.get_nowait()
                except queue.Empty:
                    return
                try:
                    _, killed = killed_once(os.path.join(mine, "job"), emulator, disks, rule, options)
                    counts["runs"] += 1
                    counts["killed"] += killed
                except (Failed, OSError, ValueError) as why:
                    failures.append(f"{rule}: {why}")

    with Emulator(os.path.join(folder, "first"), time_scale=0.0005) as emulator:
        calls, _ = killed_once(os.path.join(folder, "first", "job"), emulator, disks, None, options)
    rules = [{"call": c["number"], "do": stage, "action": f"{c['product']} {c['action']}"}
             for before, c in zip([{"action": ""}, *calls], calls)
             for stage in (STAGES if CHANGES.match(c["action"]) else STAGES[:1] if c["action"] != before["action"] else ())]
    for rule in rules[::every]:
        work.put(rule)
    threads = [threading.Thread(target=worker, args=(n,)) for n in range(int(os.environ.get("WORKERS", "6")))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"{len(calls)} calls; {counts['runs']} runs, of which {counts['killed']} were killed")
    if failures:
        raise Failed("\n".join(failures))
    if counts["killed"] < counts["runs"] / 2:
        raise Failed("too few of them were killed; the course shows little")


def killed_by_images(folder):
    """Way A, killed at every call in turn."""
    killed_at_every_call(folder, {"way": "ecs", **SINGAPORE})


def killed_by_uploads(folder):
    """Way B, killed at every call in turn."""
    killed_at_every_call(folder, {"way": "direct", **BEIJING})
