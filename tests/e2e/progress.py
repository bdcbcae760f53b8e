# SPDX-License-Identifier: GPL-2.0-or-later
"""Watches a source machine migrate, by its machine-readable progress on ttyS1 and its console on ttyS0,
and shows it to the person who waits: state, phase, how far, rate, time left."""

import json
import re
import sys
import time

import vm
import way

ENDED = re.compile(r"coldlift: (?:migrate|receive) .*\(status (\d+)\)")
READY = re.compile(r"coldlift: ready ([0-9.]+) s after the kernel started")


def human(count):
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return ""


class Watch:
    def __init__(self, pictures=None):
        """`pictures`: screenshots go to PICTURES-NAME.png; None takes none."""
        self.pictures = pictures
        self.taken = set()
        self.last = {}
        self.disks = {}
        self.status = None
        self.ready_s = None
        self.started = time.monotonic()
        self.seconds = 0.0
        self.shown = 0.0
        self.shown_text = ""
        self.errors = []

    def follow(self, machine, limit_s, expect_status=0, until=None):
        """True when the live image said how it ended; another status than expected is a failure. False as
        soon as until(self) holds."""
        console, events = machine.lines(0), machine.lines(1)
        while self.status is None:
            alive = machine.running()
            for line in console.new():
                self.on_console(line, machine)
            for line in events.new():
                self.on_event(line, machine)
            self.show()
            self.seconds = time.monotonic() - self.started
            if self.seconds > 3 and "menu" not in self.taken:
                self.picture(machine, "menu")
            if self.status is not None:
                break
            if until and until(self):
                return False
            if not alive:
                raise vm.Failed("the source machine ended before the migration did", machine.log())
            if self.seconds > limit_s:
                raise vm.Failed(f"the migration did not end within {limit_s} s; last seen: {self.text()}", machine.log())
            time.sleep(0.3)
        self.show(final=True)
        self.picture(machine, "end")
        if self.status != expect_status:
            why = "; ".join(self.errors) or "see its console"
            raise vm.Failed(f"the live image ended with status {self.status}, not {expect_status}: {why}", machine.log())
        return True

    def picture(self, machine, name):
        if self.pictures and name not in self.taken:
            self.taken.add(name)
            machine.screenshot(f"{self.pictures}-{name}.png")

    def on_console(self, line, machine):
        found = READY.search(line)
        if found and self.ready_s is None:
            self.ready_s = float(found.group(1))
            self.picture(machine, "ready")
        found = re.search(r"^InError: (.*)", line)  # of init; the migrator's come as events
        if found:
            self.errors.append(found.group(1).strip())
        found = ENDED.search(line)
        if found:
            self.status = int(found.group(1))

    def on_event(self, line, machine):
        try:
            event = json.loads(line)
        except ValueError:
            return
        if not isinstance(event, dict):
            return
        self.take(event)
        if self.fraction() > 0.3:
            self.picture(machine, "syncing")

    def take(self, event):
        """One object of src/console/con_json.c: a disk's place in the copy, or the whole machine's state."""
        self.last = event
        if "disk" in event:
            self.disks[event["disk"]] = event
        if event.get("code"):
            self.errors.append(f"{event['code']}: {event['reason']} ({event['advice']})")

    def totals(self):
        done = sum(d["done_bytes"] for d in self.disks.values())
        return done, sum(d["total_bytes"] for d in self.disks.values())

    def fraction(self):
        done, total = self.totals()
        return done / total if total else 0.0

    def text(self):
        done, total = self.totals()
        words = [self.last.get("state", "booting"), self.last.get("phase", "")]
        if total and self.last.get("phase") == "Syncing":
            words += [f"{name} {100 * d['done_bytes'] // max(1, d['total_bytes'])} %," for name, d in self.disks.items()]
            words.append(f"all {100 * done / total:.0f} % of {human(total)},")
            # Disks are copied one after the other: what is left of all goes at the rate of the one.
            rate = sum(d["rate_bytes_s"] for d in self.disks.values())
            words.append(f"{human(rate)}/s,")
            words.append(f"{(total - done) / rate:.0f} s left" if rate else "time left not known yet")
        else:
            words.append(self.last.get("message", ""))
        return " ".join(word for word in words if word)

    def show(self, final=False):
        """In place on a terminal, else a line every ten seconds and whenever state or phase changes."""
        now, text = time.monotonic(), self.text()
        if sys.stdout.isatty():
            if now - self.shown > 0.5 or final:
                done = int(self.fraction() * 30)
                print(f"\r\033[K          [{'#' * done}{'.' * (30 - done)}] {text}", end="\n" if final else "", flush=True)
                self.shown = now
        elif now - self.shown > 10 or text.split(" ")[:2] != self.shown_text.split(" ")[:2] or final and text != self.shown_text:
            way.say(f"          {self.seconds:5.0f} s  {text}")
            self.shown, self.shown_text = now, text

    def summary(self):
        _, total = self.totals()
        return f"{len(self.disks)} disks, {human(total)} in use, migrated in {self.seconds:.0f} s"
