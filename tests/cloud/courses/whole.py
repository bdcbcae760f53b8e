# SPDX-License-Identifier: GPL-2.0-or-later
"""Jobs that nothing disturbs, on both ways."""

import os
import shlex
import subprocess
import sys

import harness
from harness import BEIJING, SINGAPORE, Emulator, Failed, Job, Source, small_disks, whole


def by_images(folder):
    """Way A: snapshots, image, export, import."""
    with Emulator(folder) as emulator:
        state = whole(folder, emulator, way="ecs", disks=2, **SINGAPORE)
        if state["made"]["image"] != 1 or state["made"]["snapshot"] != 2:
            raise Failed(f"made {state['made']}")


def by_uploads(folder):
    """Way B: the instance writes the images to the bucket itself."""
    with Emulator(folder) as emulator:
        state = whole(folder, emulator, way="direct", disks=2, **BEIJING)
        if state["made"]["image"] or state["made"]["snapshot"]:
            raise Failed(f"made {state['made']}")


def not_allowed(folder):
    """An account that may not make images of data disks gets its image all the same."""
    with Emulator(folder, whitelists={"data_disk_image": False}) as emulator:
        state = whole(folder, emulator, way="auto", **SINGAPORE)
        if not any(c.get("code") == "UserNotInTheWhiteList" for c in emulator.calls()):
            raise Failed("nobody was refused; the course shows nothing")
        if state["made"]["image"]:
            raise Failed("an image was made")


def beijing(folder):
    """In Beijing exports are RAW and ENS takes qcow2: left to itself, the job goes the way that ends in an image."""
    with Emulator(folder) as emulator:
        state = whole(folder, emulator, way="auto", **BEIJING)
        if any(i["status"] != "Available" for i in state["ens_images"]):
            raise Failed("an import failed on the way")


def documented(text, subcommand):
    """The commands of docs/pipeline.md with this subcommand, word by word."""
    joined = text.replace("\\\n", " ")
    lines = [line.strip() for line in joined.splitlines() if line.startswith(f"    build/musl/pipeline {subcommand} ")]
    return [shlex.split(line)[1:] for line in lines]


def as_documented(folder):
    """The commands that docs/pipeline.md gives to a first-time user, as they stand but for the names that are his to fill in."""
    with open(os.path.join(harness.ROOT, "docs/pipeline.md"), encoding="utf-8") as f:
        text = f.read()
    source = Source(folder, small_disks(folder))
    with Emulator(folder) as emulator:
        ways = []
        for n, words in enumerate(documented(text, "account") + documented(text, "run")):
            bucket = ("BEIJING" if "cn-beijing" in " ".join(words) else "SINGAPORE")
            words = [w.replace("BUCKET", getattr(harness, bucket)["bucket"]).replace("ADDRESS", "127.0.0.1/32") for w in words]
            here = os.path.join(folder, str(n))
            os.makedirs(here)
            job = Job(here, emulator)
            way = next((w for w in words if w.startswith("way=")), "local")
            # This host's own ports may be taken; without a cloud the source is here, too.
            job.begin(*words, *(["control_port=0", "data_port=0", "advertise=127.0.0.1"] if words[0] == "run" and way == "local"
                                else []))
            if words[0] == "account":
                if job.wait() != 0:
                    raise Failed(f"{words}: {job.tail()}")
                continue
            ways.append(way)
            if job.follow(source) != 0 or job.status().get("state") != "Finished":
                raise Failed(f"{words}: {job.tail()}")
        if ways != ["local", "way=ecs", "way=direct"]:
            raise Failed(f"documented: {ways}")
        harness.check_clean(emulator.state(), images=2)


def boots(folder):
    """The ENS image starts a machine: the disk is our own live image, which says so on its serial port."""
    sys.path.insert(0, os.path.join(harness.ROOT, "tests/e2e"))
    import vm
    disk = os.path.join(folder, "source0.raw")
    iso = os.path.join(harness.ROOT, "build/coldlift.iso")
    if not vm.available() or not os.path.exists(iso):
        print("needs QEMU and build/coldlift.iso")
        sys.exit(77)
    subprocess.run([os.path.join(harness.ROOT, "iso/customize"), "--timeout", "1", "--output", disk, "--args",
                    "no_timer_check tsc=unstable coldlift.mode=shell", iso], check=True, stderr=subprocess.DEVNULL)
    with Emulator(folder) as emulator:
        state = whole(folder, emulator, source=Source(folder, [disk]), way="auto", **BEIJING)
        image = state["ens_images"][0]
        machine = vm.VM("image", folder, vm.virtio_disks(image["files"], image["format"]) + ["-snapshot"], 256)
        with machine:
            machine.wait_line(r"coldlift: ready", 600)
