# SPDX-License-Identifier: GPL-2.0-or-later
"""What exists in the emulated cloud: things of a kind with an id, tags and a state; and what they have cost."""

import hashlib
import os
import random

from .errors import ApiError

PREFIX = {"vpc": "vpc", "vswitch": "vsw", "group": "sg", "instance": "i", "disk": "d", "snapshot": "s", "image": "m",
          "task": "t", "ens_image": "m-ens"}
# Made-up prices for an hour: what a job leaves behind has to show, not what it really costs.
PRICE_PER_HOUR = {"instance": 0.05, "disk": 0.0008, "snapshot": 0.0002, "image": 0.0, "ens_image": 0.0}


class Thing:
    def __init__(self, kind, ident, **fields):
        self.kind = kind
        self.id = ident
        self.tags = {}
        self.status = ""
        self.__dict__.update(fields)

    def public(self):
        """For GET /_emulator/state: everything that JSON can hold."""
        return {k: v for k, v in self.__dict__.items()
                if not k.startswith("_") and isinstance(v, (str, int, float, bool, list, dict, type(None)))}


class Store:
    def __init__(self, clock, config, folder):
        self.clock = clock
        self.config = config
        self.folder = folder
        self.random = random.Random(config["seed"])
        self.kinds = {kind: {} for kind in PREFIX}
        self.made = {kind: 0 for kind in PREFIX}
        self.removed_cost = 0.0
        self.tokens = {}
        self.history = []

    def path(self, *parts):
        path = os.path.join(self.folder, *parts)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def note(self, text):
        self.history.append(f"{self.clock.cloud_s():.1f} {text}")

    def add(self, kind, **fields):
        letters = "0123456789abcdefghijklmnopqrstuvwxyz"
        ident = PREFIX[kind] + "-" + "".join(self.random.choice(letters) for _ in range(20))
        now = self.clock.cloud_s()
        thing = Thing(kind, ident, born_s=now, created=self.clock.utc(), **fields)
        self.kinds[kind][ident] = thing
        self.made[kind] += 1
        self.note(f"made {kind} {ident}")
        return thing

    def find(self, kind, ident):
        return self.kinds[kind].get(ident)

    def get(self, kind, ident, code):
        """For acting on a thing: there is it or there is it not."""
        thing = self.find(kind, ident)
        if thing is None:
            raise ApiError(code, f"The specified {kind} {ident} does not exist.", status=404)
        return thing

    def seen(self, kind, region=None):
        """For the Describe calls, to which what was made just now does not show yet."""
        newest_s = self.clock.cloud_s() - self.config["consistency_s"]
        return [t for t in self.kinds[kind].values()
                if t.born_s <= newest_s and region in (None, getattr(t, "region", None))]

    def all(self, kind, **fields):
        return [t for t in self.kinds[kind].values() if all(getattr(t, k, None) == v for k, v in fields.items())]

    def remove(self, thing):
        if self.kinds[thing.kind].pop(thing.id, None) is not None:
            self.removed_cost += self.cost_of(thing)
            self.note(f"removed {thing.kind} {thing.id}")

    def cost_of(self, thing):
        hours = (self.clock.cloud_s() - thing.born_s) / 3600
        return PRICE_PER_HOUR.get(thing.kind, 0.0) * hours * max(1, getattr(thing, "size_gib", 1))

    def cost(self):
        return self.removed_cost + sum(self.cost_of(t) for kind in self.kinds.values() for t in kind.values())

    def quota(self, kind, name, code):
        limit = self.config["quotas"].get(name)
        if limit is not None and len(self.kinds[kind]) >= limit:
            raise ApiError(code, f"The quota of {name} ({limit}) has been used up.")

    # ---- ClientToken ----

    def token_answer(self, where, token, fingerprint):
        """The answer of the first call with this token, or None; a token used for something else is refused."""
        known = self.tokens.get((where, token))
        if known is None:
            return None
        if known["fingerprint"] != hashlib.sha256(fingerprint.encode()).hexdigest():
            raise ApiError("IdempotentParameterMismatch", "The ClientToken was used before with other parameters.")
        if known["answer"] is None:
            raise ApiError("IdempotentProcessing", "The previous idempotent request is still processing.")
        return known["answer"]

    def token_begin(self, where, token, fingerprint):
        self.tokens[(where, token)] = {"fingerprint": hashlib.sha256(fingerprint.encode()).hexdigest(), "answer": None}

    def token_end(self, where, token, answer):
        if answer is None:
            self.tokens.pop((where, token), None)
        else:
            self.tokens[(where, token)]["answer"] = answer


def tags_match(thing, wanted):
    return all(thing.tags.get(k) == v or (v == "" and k in thing.tags) for k, v in wanted.items())


def tag_list(thing, key="TagKey", value="TagValue"):
    return {"Tag": [{key: k, value: v} for k, v in sorted(thing.tags.items())]}


def page(params, entries, default=10):
    """One page by number, or by token when MaxResults is given; the keys that go with it in the answer."""
    if params.get("MaxResults") or params.get("NextToken"):
        # A service may give fewer than were asked for.
        size = min(params.number("MaxResults", default), params.page_limit)
        start = int(params.get("NextToken") or 0)
        more = start + size < len(entries)
        return entries[start:start + size], {"NextToken": str(start + size) if more else "", "TotalCount": 0}
    size, number = params.number("PageSize", default), params.number("PageNumber", 1)
    return entries[(number - 1) * size:number * size], {"PageNumber": number, "PageSize": size,
                                                        "TotalCount": len(entries)}
