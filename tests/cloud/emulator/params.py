# SPDX-License-Identifier: GPL-2.0-or-later
"""What an action takes, written as a table, and the check of a call against it.

A line of a table: NAME[!] TYPE [ARGUMENT...] [CODE]. "!" is required; N in a name is an index from 1. CODE is the
error of a wrong value (InvalidParameter otherwise). A parameter that the table has not is an error here, stricter than
the real gateway, which ignores it: a misspelt name would otherwise never be seen.
"""

import base64
import binascii
import ipaddress
import json
import re
from dataclasses import dataclass

from .errors import ApiError

COMMON = {"Action", "Version", "Format", "AccessKeyId", "Signature", "SignatureMethod", "SignatureVersion",
          "SignatureNonce", "Timestamp", "SecurityToken", "RegionId", "OwnerId", "OwnerAccount", "ResourceOwnerId",
          "ResourceOwnerAccount"}
NAME = r"(?!https?://)[A-Za-z\u4e00-\u9fa5][\w:.\-\u4e00-\u9fa5]{1,127}"


@dataclass
class Field:
    name: str
    required: bool
    check: object
    code: str


def pattern(regex):
    compiled = re.compile(regex)
    return lambda v: compiled.fullmatch(v) is not None


def is_json_list(limit):
    def check(v):
        try:
            parsed = json.loads(v)
        except ValueError:
            return False
        return isinstance(parsed, list) and len(parsed) <= limit
    return check


def is_cidr(v):
    try:
        ipaddress.ip_network(v)
    except ValueError:
        return False
    return True


def is_base64(limit):
    def check(v):
        try:
            return len(base64.b64decode(v, validate=True)) <= limit
        except (binascii.Error, ValueError):
            return False
    return check


def integer(low, high):
    return lambda v: re.fullmatch(r"-?\d{1,12}", v) is not None and low <= int(v) <= high


TYPES = {
    "text": lambda low=0, high=512: lambda v: int(low) <= len(v) <= int(high),
    "token": lambda: lambda v: 1 <= len(v) <= 64 and v.isascii(),
    "name": lambda: pattern(NAME),
    "image-name": lambda: pattern(r"(?!https?://)[A-Za-z\u4e00-\u9fa5][A-Za-z0-9\u4e00-\u9fa5:_\-]{1,127}"),
    "int": lambda low=0, high=10**9: integer(int(low), int(high)),
    "bool": lambda: pattern("true|false"),
    "enum": lambda values: lambda v: v in values.split("|"),
    "json": lambda limit=100: is_json_list(int(limit)),
    "cidr": lambda: is_cidr,
    "ports": lambda: pattern(r"(\d{1,5})/(\d{1,5})|-1/-1"),
    "time": lambda: pattern(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?Z"),
    "base64": lambda limit: is_base64(int(limit)),
    "match": pattern,
}


def spec(text):
    """The fields of a table by name."""
    fields = {}
    for words in filter(None, (line.split() for line in text.splitlines())):
        name, kind, rest = words[0], words[1], words[2:]
        code = "InvalidParameter"
        if rest and re.match(r"[A-Z][A-Za-z]+[A-Z.][A-Za-z.]*$", rest[-1]) and "|" not in rest[-1]:
            code = rest.pop()
        required = name.endswith("!")
        name = name.rstrip("!")
        fields[name] = Field(name, required, TYPES[kind](*rest), code)
    return fields


TAG = """
Tag.N.Key                  text 1 128
Tag.N.Value                text 0 128
"""
TAGS = TAG + """
ResourceGroupId            text
"""
PAGE = """
PageNumber                 int 1 100000
PageSize                   int 1 100
"""
VPC_PAGE = """
PageNumber                 int 1 100000
PageSize                   int 1 50
"""
TOKEN_PAGE = PAGE + """
MaxResults                 int 1 100
NextToken                  text
"""
TAG_LIMIT = 20


def general(name):
    return re.sub(r"\.\d+(?=\.|$)", ".N", name)


class Params:
    """A call's checked parameters."""

    def __init__(self, raw):
        self.raw = {k: v for k, v in raw.items() if k not in COMMON or k == "RegionId"}
        self.page_limit = 1000

    def __getitem__(self, name):
        return self.raw[name]

    def get(self, name, default=None):
        return self.raw.get(name, default)

    def number(self, name, default=None):
        return int(self.raw[name]) if name in self.raw else default

    def flag(self, name, default=False):
        return self.raw[name] == "true" if name in self.raw else default

    def json(self, name):
        return json.loads(self.raw[name]) if name in self.raw else None

    def items(self, name):
        """A list: of strings (Name.1), or of dicts (Name.1.Field), in order."""
        found = {}
        for key, value in self.raw.items():
            match = re.fullmatch(re.escape(name) + r"\.(\d+)(?:\.(.+))?", key)
            if match:
                index, inner = int(match.group(1)), match.group(2)
                if inner:
                    found.setdefault(index, {})[inner] = value
                else:
                    found[index] = value
        return [found[i] for i in sorted(found)]

    def tags(self):
        return {t["Key"]: t.get("Value", "") for t in self.items("Tag") if "Key" in t}

    def fingerprint(self):
        return json.dumps({k: v for k, v in self.raw.items() if k != "ClientToken"}, sort_keys=True)


def check(fields, raw, where):
    """Raise the service's error for the first thing that is wrong; the action's Params otherwise."""
    for field in fields.values():
        if field.required and ".N" not in field.name and not raw.get(field.name):
            raise ApiError("MissingParameter", f"The input parameter \"{field.name}\" that is mandatory for processing this "
                                               "request is not supplied.")
    indexes = {}
    for name, value in raw.items():
        for found in re.finditer(r"(.*?)\.(\d+)(?=\.|$)", name):
            indexes.setdefault(found.group(1), set()).add(int(found.group(2)))
        field = fields.get(general(name)) or fields.get(name)
        if field is None:
            if name in COMMON:
                continue
            raise ApiError("InvalidParameter", f"{where} has no parameter {name}.")
        if not field.check(value):
            raise ApiError(field.code, f"The specified parameter {name} is not valid.")
    for name, seen in indexes.items():
        if min(seen) != 1 or max(seen) != len(seen):
            raise ApiError("InvalidParameter", f"The indexes of {name} must be counted from 1 without gaps.")
    params = Params(raw)
    tags = params.items("Tag")
    if any(t.get("Key", "").startswith(("aliyun", "acs:")) or "http://" in t.get("Key", "") or "https://" in t.get("Key", "")
           for t in tags):
        raise ApiError("InvalidTagKey.Malformed", "The Tag.N.Key parameter is invalid.")
    if len({t.get("Key") for t in tags}) != len(tags):
        raise ApiError("Duplicate.TagKey", "The Tag.N.Key contains duplicate keys.")
    if len(tags) > TAG_LIMIT or any("Key" not in t for t in tags):
        raise ApiError("InvalidTagKey.Malformed" if len(tags) <= TAG_LIMIT else "NumberExceed.Tags",
                       "A resource has at most 20 tags, each with a key.")
    return params


def required_items(params, name, fields):
    """The entries of an indexed list, each of which must have `fields`."""
    entries = params.items(name)
    for n, entry in enumerate(entries, 1):
        for inner in fields:
            if inner not in entry:
                raise ApiError("MissingParameter", f"The input parameter \"{name}.{n}.{inner}\" that is mandatory for "
                                                   "processing this request is not supplied.")
    return entries
