# SPDX-License-Identifier: GPL-2.0-or-later
"""The end of the line for the demo: an emulated account, and a job that makes an ENS image of what arrives."""

import os
import shutil
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
from emulator.host import why_no_instances  # noqa: F401
from harness import Failed  # noqa: F401

# Of the addresses that are set aside for tests between networks (RFC 2544): a machine in QEMU reaches them.
NET = "198.18.77"


class Line:
    """Between the source machine and the image. `say` is given a line for each change of the job's state."""

    def __init__(self, folder, disk_gib, say, way="auto", region="ap-southeast-1"):
        self.folder = os.path.join(folder, "cloud")
        os.makedirs(self.folder, exist_ok=True)
        self.say = say
        self.emulator = harness.Emulator(self.folder, poll_ms=500, address_base=NET, time_scale=0.02)
        bucket = {"ap-southeast-1": "coldlift-singapore", "cn-beijing": "coldlift-beijing"}[region]
        self.job = harness.Job(self.folder, self.emulator, way=way, storage_region=region, bucket=bucket,
                               image_name_prefix="demo", disks=[{"size_gib": n} for n in disk_gib])
        self.over = threading.Event()

    def __enter__(self):
        self.job.run()
        threading.Thread(target=self.tell, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.over.set()
        if self.job.process.poll() is None:
            self.job.process.terminate()
            self.job.process.wait(harness.PATIENCE_S)
        self.emulator.__exit__()

    def tell(self):
        """What the job says about itself, as it says it."""
        seen = 0
        while not self.over.wait(0.5):
            with open(self.job.log, encoding="utf-8", errors="replace") as f:
                lines = f.readlines()
            for line in lines[seen:]:
                if not line.startswith("---"):
                    self.say(line.rstrip())
            seen = len(lines)

    def activation(self):
        def look():
            if self.job.ended():
                raise harness.Failed(f"the job ended before it handed anything out:\n{self.job.tail()}")
            return self.job.activation()
        return harness.wait_until("activation code", look)

    def image(self, seconds=1800):
        """Waits for the job's end: (the ENS image's description, the calls it took)."""
        self.job.process.wait(seconds)
        if self.job.process.returncode != 0:
            raise harness.Failed(f"the job failed:\n{self.job.tail()}")
        state = self.emulator.state()
        harness.check_clean(state)
        return state["ens_images"][0], state

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)
