# SPDX-License-Identifier: GPL-2.0-or-later
"""The four signature schemes, from the server's side: what must have been signed, given a request as it arrived.

RPC V1 (HMAC-SHA1 over all parameters), RPC V3 (ACS3-HMAC-SHA256 over headers and query), OSS V1 and OSS V4, the
latter two in a header or in the URL. Nothing here knows a clock, a key store or HTTP: a Request goes in, and the
string to sign and the signature come out, so that published vectors can be put through it.
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, unquote_plus

UNRESERVED = "-_.~"
OSS_SUBRESOURCES = {
    "acl", "bucketInfo", "location", "stat", "delete", "append", "tagging", "objectMeta", "uploads", "uploadId",
    "partNumber", "security-token", "position", "restore", "callback", "callback-var", "versions", "versioning",
    "versionId", "sequential", "continuation-token", "symlink", "regionList", "cloudboxes", "response-content-type",
    "response-content-language", "response-expires", "response-cache-control", "response-content-disposition",
    "response-content-encoding"}


def enc(text, keep=""):
    return quote(text, safe=UNRESERVED + keep)


@dataclass
class Request:
    """`path` and `query` as on the wire, still encoded; header names in lower case."""
    method: str
    path: str
    query: str
    headers: dict
    body: bytes = b""
    bucket: str = ""
    key: str = ""
    region: str = ""

    def pairs(self, plus=False):
        """The query's (name, value); value is None for a name that stands alone."""
        decode = unquote_plus if plus else unquote
        out = []
        for part in self.query.split("&"):
            if part:
                name, equals, value = part.partition("=")
                out.append((decode(name), decode(value) if equals else None))
        return out


def form_pairs(body):
    return [(unquote_plus(n), unquote_plus(v)) for n, _, v in
            (part.partition("=") for part in body.decode("ascii", "replace").split("&") if part)]


def b64_hmac_sha1(key, text):
    return base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha1).digest()).decode()


def hmac_sha256(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def same(a, b):
    return hmac.compare_digest(a.encode(), b.encode())


# ---- RPC ----

def rpc_v1(method, parameters, secret):
    """parameters: all of them, without Signature. Gives (string to sign, signature)."""
    canonical = "&".join(f"{enc(k)}={enc(v)}" for k, v in sorted(parameters.items()))
    text = f"{method}&%2F&{enc(canonical)}"
    return text, b64_hmac_sha1(secret + "&", text)


def acs3_authorization(value):
    """Credential, SignedHeaders and Signature of the Authorization header, or None."""
    found = re.fullmatch(r"ACS3-HMAC-SHA256 Credential=([^,]+),SignedHeaders=([^,]+),Signature=([0-9a-f]+)", value)
    return found.groups() if found else None


def acs3(request, signed_names, secret):
    query = "&".join(f"{enc(k)}={enc(v or '')}" for k, v in sorted(request.pairs(plus=True)))
    headers = "".join(f"{name}:{request.headers.get(name, '').strip()}\n" for name in signed_names)
    canonical = "\n".join([request.method, request.path or "/", query, headers, ";".join(signed_names),
                           hashlib.sha256(request.body).hexdigest()])
    text = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
    return text, hmac_sha256(secret.encode(), text).hex()


def acs3_must_sign(headers):
    """Which of the headers that arrived have to be among the signed ones."""
    return {n for n in headers if n in ("host", "content-type") or n.startswith("x-acs-")}


# ---- OSS V1 ----

def oss_resource(request, pairs):
    resource = f"/{request.bucket}/{request.key}" if request.bucket else "/"
    sub = sorted((k, v) for k, v in pairs if k in OSS_SUBRESOURCES or k.startswith("x-oss-"))
    if sub:
        resource += "?" + "&".join(k if not v else f"{k}={v}" for k, v in sub)
    return resource


def oss_v1(request, secret, expires=None):
    """`expires` for the URL form, whose Signature, Expires and OSSAccessKeyId are not among the resource."""
    h = request.headers
    date = expires or h.get("x-oss-date") or h.get("date", "")
    oss = "".join(f"{n}:{h[n].strip()}\n" for n in sorted(h) if n.startswith("x-oss-"))
    text = "\n".join([request.method, h.get("content-md5", ""), h.get("content-type", ""), date]) + "\n"
    text += oss + oss_resource(request, request.pairs())
    return text, b64_hmac_sha1(secret, text)


# ---- OSS V4 ----

def oss_v4_authorization(value):
    """(key id, date, region, additional header names, signature), or None."""
    found = re.fullmatch(r"OSS4-HMAC-SHA256 Credential=([^/,]+)/(\d{8})/([a-z0-9-]+)/oss/aliyun_v4_request"
                         r"(?:, ?AdditionalHeaders=([^,]*))?, ?Signature=([0-9a-f]+)", value)
    if not found:
        return None
    key, date, region, additional, signature = found.groups()
    return key, date, region, [n for n in (additional or "").split(";") if n], signature


def oss_v4(request, secret, date_time, region, additional=(), leave_out=()):
    pairs = [(enc(k), enc(v) if v else None) for k, v in request.pairs() if k not in leave_out]
    query = "&".join(k if v is None else f"{k}={v}" for k, v in sorted(pairs, key=lambda p: p[0]))
    h = request.headers
    names = sorted({n for n in h if n in ("content-type", "content-md5") or n.startswith("x-oss-")} | set(additional))
    uri = f"/{request.bucket}/{request.key}" if request.bucket else "/"
    canonical = "\n".join([request.method, enc(uri, "/"), query,
                           "".join(f"{n}:{h.get(n, '').strip()}\n" for n in names), ";".join(sorted(additional)),
                           h.get("x-oss-content-sha256", "UNSIGNED-PAYLOAD")])
    date = date_time[:8]
    scope = f"{date}/{region}/oss/aliyun_v4_request"
    text = "\n".join(["OSS4-HMAC-SHA256", date_time, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"aliyun_v4{secret}".encode()
    for part in (date, region, "oss", "aliyun_v4_request"):
        key = hmac_sha256(key, part)
    return text, hmac_sha256(key, text).hex()
