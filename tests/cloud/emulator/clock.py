# SPDX-License-Identifier: GPL-2.0-or-later
"""Time as the emulated cloud has it. What takes minutes there takes `scale` times as long here."""

import time
from email.utils import formatdate


class Clock:
    def __init__(self, scale, skew_s=0.0):
        self.scale = scale
        self.skew_s = skew_s
        self.born = time.monotonic()

    def now(self):
        """Wall clock of the servers. It is not scaled: signatures and URLs are dated by it."""
        return time.time() + self.skew_s

    def cloud_s(self):
        """Seconds of the emulated cloud's life."""
        return (time.monotonic() - self.born) / max(self.scale, 1e-9)

    def utc(self, seconds=None):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.now() if seconds is None else seconds))

    def http_date(self):
        return formatdate(self.now(), usegmt=True)
