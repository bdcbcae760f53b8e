# SPDX-License-Identifier: GPL-2.0-or-later
"""What goes wrong, and when. A rule says to which calls it applies and what it does to them.

    {"match": {"product": "ecs", "action": "RunInstances", "nth": 1}, "do": "lost-reply"}

match: product, action ("*" allowed at the end), origin ("client", "instance"), call (number among all client calls),
nth (of the calls that match otherwise), every, chance (0 to 1, seeded). times: how often it applies at most.

do: error (code, status, message, retry_after_ms, header), refuse (close before anything happened), lost-reply (everything
happened, the reply is not sent), half-reply (of a download: half of it), delay (delay_ms, real time), hold (nothing happens
until the rules are cleared), and for tests that kill their program (pid): kill-before (the call has arrived, nothing happened),
kill-after (it happened, no reply), kill-replied.
"""

import asyncio
import os
import random
import select
import signal
from fnmatch import fnmatchcase

from .errors import ApiError

BEFORE = ("error", "refuse", "delay", "hold", "kill-before")
AFTER = ("lost-reply", "half-reply", "kill-after", "kill-replied")


class Dropped(Exception):
    """The connection ends here without an answer."""


class Faults:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.rules = []
        self.client_calls = 0
        self.applied = []

    def add(self, rule):
        if rule.get("do") not in BEFORE + AFTER:
            raise ApiError("InvalidParameter", f"no such fault: {rule.get('do')}")
        rule = dict(rule, seen=0, used=0)
        rule.setdefault("match", {})
        if "pid" in rule:
            # Now it is the process that is meant; when the call comes another may have its number.
            rule["process"] = os.pidfd_open(rule["pid"])
        self.rules.append(rule)
        return rule

    def clear(self):
        """What is held goes on."""
        self.rules = []

    @staticmethod
    def matches(rule, call):
        match = rule["match"]
        return (fnmatchcase(call["product"], match.get("product", "*")) and
                fnmatchcase(call["action"], match.get("action", "*")) and
                call["origin"].split(":")[0] == match.get("origin", "client") and
                match.get("call", call["number"]) == call["number"])

    def is_due(self, rule):
        """Of a rule that matches; counts the call."""
        match = rule["match"]
        rule["seen"] += 1
        if rule["used"] >= rule.get("times", 1 if "nth" in match or "call" in match else 10**9):
            return False
        if match.get("nth", rule["seen"]) != rule["seen"] or rule["seen"] % match.get("every", 1):
            return False
        return "chance" not in match or self.random.random() < match["chance"]

    def choose(self, call):
        """The rule for this call, if any; called once for each call, in the order of arrival."""
        due = [rule for rule in self.rules if self.matches(rule, call) and self.is_due(rule)]
        if not due:
            return None
        due[0]["used"] += 1
        self.applied.append({"call": call["number"], "action": call["action"], "do": due[0]["do"],
                             "code": due[0].get("code", "")})
        return due[0]

    async def before(self, rule):
        if rule is None:
            return
        if rule["do"] == "delay":
            await asyncio.sleep(rule.get("delay_ms", 1000) / 1000)
        elif rule["do"] == "hold":
            while rule in self.rules:
                await asyncio.sleep(0.01)
        elif rule["do"] == "refuse":
            raise Dropped
        elif rule["do"] == "kill-before":
            kill(rule["process"])
            raise Dropped
        elif rule["do"] == "error":
            headers = dict(rule.get("header", {}))
            if "retry_after_ms" in rule:
                headers["x-acs-retry-after"] = str(rule["retry_after_ms"])
            raise ApiError(rule["code"], rule.get("message"), rule.get("status"), headers)

    def after(self, rule):
        if rule is None:
            return
        if rule["do"] == "kill-after":
            kill(rule["process"])
        if rule["do"] in ("kill-after", "lost-reply"):
            raise Dropped


def kill(process):
    """Returns when the process is no more, so that what it might still have done is not a matter of luck."""
    try:
        signal.pidfd_send_signal(process, signal.SIGKILL)
    except ProcessLookupError:
        return
    ended = select.poll()
    ended.register(process, select.POLLIN)
    ended.poll()
