# SPDX-License-Identifier: GPL-2.0-or-later
"""Jobs that nothing disturbs, on both ways."""

import os
import subprocess
import sys

import harness
from harness import BEIJING, SINGAPORE, Emulator, Failed, Source, whole


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
            machine.wait_line(r"coldlift: ready", 300)
