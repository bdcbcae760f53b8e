# SPDX-License-Identifier: GPL-2.0-or-later
"""The gateway of the RPC products: who asks, for what, is it well-formed, was it asked before; then the product's code."""

import calendar
import hashlib
import json
import time
import uuid
from xml.sax.saxutils import escape

from aiohttp import web

from . import signing
from .errors import ApiError
from .params import COMMON, check, spec

VERSIONS = {"2014-05-26": "ecs", "2016-04-28": "vpc", "2017-11-10": "ens", "2015-04-01": "sts", "2015-05-01": "ram"}
ACTIONS = {}
CLOCK_TOLERANCE_S = 15 * 60


def action(product, name, table, token=False):
    """Registers a coroutine (cloud, params) -> answer. `token`: the action takes a ClientToken."""
    if token:
        table += "\nClientToken token"

    def register(handler):
        ACTIONS[(product, name)] = (spec(table), handler, token)
        return handler
    return register


def wanted_credential(cloud, key_id, token):
    key = cloud.keys.get(key_id)
    if key is None:
        raise ApiError("InvalidAccessKeyId.NotFound", "Specified access key is not found.")
    if key.get("disabled"):
        raise ApiError("Forbidden.AccessKeyDisabled", "The AccessKey is disabled.")
    if key.get("token") != token:
        raise ApiError("InvalidSecurityToken.Malformed" if key.get("token") is None
                       else "InvalidSecurityToken.MismatchWithAccessKey", "Specified SecurityToken is not valid.")
    if key.get("expires") and key["expires"] < cloud.clock.now():
        raise ApiError("InvalidSecurityToken.Expired", "Specified SecurityToken is expired.")
    return key


def check_time(cloud, text, form="%Y-%m-%dT%H:%M:%SZ"):
    try:
        seconds = calendar.timegm(time.strptime(text, form))
    except ValueError:
        raise ApiError("InvalidTimeStamp.Format", f"Specified time stamp {text} is not valid.") from None
    if abs(seconds - cloud.clock.now()) > CLOCK_TOLERANCE_S:
        raise ApiError("IllegalTimestamp")


def check_nonce(cloud, key_id, nonce):
    if not nonce:
        raise ApiError("MissingParameter", "The nonce of the signature is missing.")
    if (key_id, nonce) in cloud.nonces:
        raise ApiError("SignatureNonceUsed")
    cloud.nonces.add((key_id, nonce))


def parse_v3(cloud, req):
    """Parameters of a request signed by the V3 scheme, after the signature was found right."""
    parts = signing.acs3_authorization(req.headers.get("authorization", ""))
    if parts is None:
        raise ApiError("IncompleteSignature", "The Authorization header does not conform to ACS3-HMAC-SHA256.")
    key_id, names, signature = parts
    names = names.split(";")
    key = wanted_credential(cloud, key_id, req.headers.get("x-acs-security-token"))
    missing = signing.acs3_must_sign(req.headers) - set(names)
    if missing or names != sorted(names):
        raise ApiError("IncompleteSignature", f"These headers must be signed, in order: {sorted(missing)}")
    if req.headers.get("x-acs-content-sha256") != hashlib.sha256(req.body).hexdigest():
        raise ApiError("SignatureDoesNotMatch", "x-acs-content-sha256 is not that of the body.")
    text, right = signing.acs3(req, names, key["secret"])
    if not signing.same(right, signature):
        raise ApiError("SignatureDoesNotMatch", "Specified signature is not matched with our calculation. "
                                                f"server string to sign is:{text}")
    check_time(cloud, req.headers.get("x-acs-date", ""))
    check_nonce(cloud, key_id, req.headers.get("x-acs-signature-nonce"))
    parameters = {k: v or "" for k, v in req.pairs(plus=True)}
    if req.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        parameters.update(signing.form_pairs(req.body))
    return parameters


def parse_v1(cloud, req):
    pairs = [(k, v or "") for k, v in req.pairs(plus=True)]
    if req.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        pairs += signing.form_pairs(req.body)
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise ApiError("InvalidParameter", "A parameter was given twice.")
    for name in ("AccessKeyId", "Signature", "SignatureMethod", "SignatureVersion", "SignatureNonce", "Timestamp"):
        if not parameters.get(name):
            raise ApiError("MissingParameter" if name != "Signature" else "IncompleteSignature",
                           f"The input parameter \"{name}\" that is mandatory for processing this request is not supplied.")
    if parameters["SignatureMethod"] != "HMAC-SHA1" or parameters["SignatureVersion"] != "1.0":
        raise ApiError("IncompleteSignature", "Only HMAC-SHA1, version 1.0, is known.")
    key = wanted_credential(cloud, parameters["AccessKeyId"], parameters.get("SecurityToken"))
    signature = parameters.pop("Signature")
    text, right = signing.rpc_v1(req.method, parameters, key["secret"])
    if not signing.same(right, signature):
        raise ApiError("SignatureDoesNotMatch", "Specified signature is not matched with our calculation. "
                                                f"server string to sign is:{text}")
    check_time(cloud, parameters["Timestamp"])
    check_nonce(cloud, parameters["AccessKeyId"], parameters["SignatureNonce"])
    return parameters


def names_of(req):
    """Product, action, format and scheme as the request claims them; verified later. (The classic SDK sends the headers of
    V3 beside a V1 signature.)"""
    h = req.headers
    if h.get("authorization", "").startswith("ACS3-"):
        return VERSIONS.get(h.get("x-acs-version")), h["x-acs-action"], "JSON", "V3"
    parameters = {k: v or "" for k, v in req.pairs(plus=True)}
    if req.method == "POST":
        parameters.update(signing.form_pairs(req.body))
    return (VERSIONS.get(parameters.get("Version")), parameters.get("Action", ""),
            parameters.get("Format", "XML").upper(), "V1")


def to_xml(name, value):
    if isinstance(value, dict):
        inner = "".join(to_xml(k, v) for k, v in value.items())
    elif isinstance(value, list):
        return "".join(to_xml(name, v) for v in value)
    else:
        inner = escape({True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value))
    return f"<{name}>{inner}</{name}>"


def answer(cloud, status, form, root, body, headers=None):
    headers = dict(headers or {}, Date=cloud.clock.http_date(), **{"x-acs-request-id": body["RequestId"]})
    if form == "JSON":
        return web.Response(status=status, text=json.dumps(body, ensure_ascii=False), content_type="application/json",
                            headers=headers)
    return web.Response(status=status, text=f"<?xml version='1.0' encoding='UTF-8'?>{to_xml(root, body)}",
                        content_type="text/xml", headers=headers)


async def run(cloud, product, name, raw):
    """The action itself: known, allowed, well-formed, and not done before under its token."""
    if (product, name) not in ACTIONS:
        raise ApiError("InvalidAction.NotFound", f"Specified api is not found: {product} {name}.", status=404)
    fields, handler, takes_token = ACTIONS[(product, name)]
    params = check(fields, {k: v for k, v in raw.items() if k not in COMMON or k == "RegionId"}, name)
    if f"{product}:{name}" in cloud.config["denied_actions"]:
        raise ApiError("NoPermission" if product == "ens" else "Forbidden.RAM", "User not authorized to operate on the "
                                                                                "specified resource.")
    params.page_limit = cloud.config["describe_page"]
    region = params.get("RegionId")
    if region and region not in cloud.config["regions"]:
        raise ApiError("InvalidRegionId.NotFound", "The specified RegionId does not exist.", status=404)
    token = params.get("ClientToken") if takes_token else None
    if token:
        known = cloud.store.token_answer((product, name), token, params.fingerprint())
        if known is not None:
            return known
    if cloud.config["record_only"]:
        return {}
    if params.flag("DryRun"):
        raise ApiError("DryRunOperation")
    if token:
        cloud.store.token_begin((product, name), token, params.fingerprint())
    result = None
    try:
        result = await handler(cloud, params)
    finally:
        if token:
            cloud.store.token_end((product, name), token, result)
    return result


async def handle(cloud, req, origin):
    product, name, form, scheme = names_of(req)
    request_id = str(uuid.UUID(int=cloud.store.random.getrandbits(128))).upper()
    call = cloud.begin_call(product or "unknown", name, origin, req, scheme)
    rule = cloud.faults.choose(call)
    root = name + "Response"
    try:
        await cloud.faults.before(rule)
        if product is None:
            raise ApiError("InvalidVersion", "Specified parameter Version is not valid.")
        raw = parse_v3(cloud, req) if scheme == "V3" else parse_v1(cloud, req)
        call["params"] = {k: v for k, v in raw.items() if k not in COMMON or k == "RegionId"}
        result = await run(cloud, product, name, raw)
        call["status"], call["answer"] = 200, result
        response = answer(cloud, 200, form, root, {"RequestId": request_id, **result})
    except ApiError as why:
        call["status"], call["code"] = why.status, why.code
        body = {"RequestId": request_id, "HostId": req.headers.get("host", ""), "Code": why.code, "Message": why.message}
        response = answer(cloud, why.status, form, "Error", body, why.headers)
    cloud.faults.after(rule)
    cloud.end_call(rule)
    return response
