# SPDX-License-Identifier: GPL-2.0-or-later
"""OSS over HTTP: who asks (header or presigned URL, V1 or V4), and the calls on buckets and objects."""

import base64
import calendar
import hashlib
import os
import re
import time
import xml.etree.ElementTree as ET
from email.utils import formatdate, parsedate_to_datetime
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

from aiohttp import web

from . import signing
from .errors import ApiError
from .oss_store import Bucket, Digest
from .rpc import CLOCK_TOLERANCE_S

MAX_EXPIRES_S = 604800
KNOWN_QUERY = {"bucketInfo", "location", "list-type", "prefix", "max-keys", "continuation-token", "encoding-type", "marker",
               "delimiter", "start-after", "fetch-owner", "versions", "key-marker", "version-id-marker", "delete", "uploads",
               "uploadId", "partNumber", "versionId", "max-parts", "part-number-marker", "max-uploads", "upload-id-marker",
               "acl", "sequential", "stat", "symlink", "objectMeta", "security-token"}
# Of a request's headers those that say what is asked for; they stand in its record.
TELLING_HEADERS = re.compile(r"content-type|content-md5|range|x-oss-.*")


def xml(body):
    return web.Response(text=f"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}", content_type="application/xml")


def tags(**values):
    return "".join(f"<{k}>{escape(str(v))}</{k}>" for k, v in values.items())


def utc(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))


def locate(cloud, req):
    """Bucket and key, from the host name or, where that is an address, from the path."""
    host = req.headers.get("host", "").rsplit(":", 1)[0]
    path = req.path[1:]
    if host == "localhost" or re.fullmatch(r"[\d.]+|\[.*\]?", host):
        bucket, _, key = path.partition("/")
        req.bucket, req.key = unquote(bucket), unquote(key)
        return
    label, _, rest = host.partition(".")
    req.bucket, req.key = ("", "") if label.startswith("oss-") else (label, unquote(path))
    found = cloud.buckets.get(req.bucket)
    named = re.match(r"oss-([a-z0-9-]+?)(-internal)?\.", rest + ".")
    if found and named and named.group(1) != found.region:
        raise ApiError("AccessDenied", "The bucket you are attempting to access must be addressed using the specified "
                                       f"endpoint oss-{found.region}.")


def secret_of(cloud, key_id, token):
    key = cloud.keys.get(key_id)
    if key is None or key.get("disabled"):
        raise ApiError("InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist in our records.")
    if key.get("token") != token or (key.get("expires") and key["expires"] < cloud.clock.now()):
        raise ApiError("InvalidAccessKeyId", "The security token you provided is invalid or has expired.", status=403)
    return key["secret"]


def mismatch(text):
    raw = " ".join(f"{b:02X}" for b in text.encode())
    raise ApiError("SignatureDoesNotMatch", f"The request signature we calculated does not match the signature you provided. "
                                            f"StringToSign: {text!r} StringToSignBytes: {raw}", status=403)


def not_expired(cloud, until):
    if cloud.clock.now() > until:
        raise ApiError("AccessDenied", "Request has expired.")


def stamp(text):
    try:
        return calendar.timegm(time.strptime(text, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        raise ApiError("InvalidArgument", f"x-oss-date {text} is malformed.") from None


def check_region(cloud, req, region):
    bucket = cloud.buckets.get(req.bucket)
    if bucket and bucket.region != region:
        raise ApiError("InvalidArgument", f"Invalid signing region in Authorization header: {region}.")


def check_signature(cloud, req):
    """Which scheme it was, after the signature was found right."""
    query = dict(req.pairs())
    authorization = req.headers.get("authorization", "")
    now = cloud.clock.now()
    if query.get("x-oss-signature-version"):
        return check_url_v4(cloud, req, query)
    if "OSSAccessKeyId" in query:
        secret = secret_of(cloud, query["OSSAccessKeyId"], query.get("security-token"))
        not_expired(cloud, int(query.get("Expires") or 0))
        text, right = signing.oss_v1(req, secret, expires=query.get("Expires", ""))
        if not signing.same(right, query.get("Signature") or ""):
            mismatch(text)
        return "V1 URL"
    if authorization.startswith("OSS4-HMAC-SHA256 "):
        parts = signing.oss_v4_authorization(authorization)
        if parts is None or req.headers.get("x-oss-content-sha256") != "UNSIGNED-PAYLOAD":
            raise ApiError("InvalidArgument", "The Authorization header or x-oss-content-sha256 is malformed.")
        key_id, date, region, additional, signature = parts
        date_time = req.headers.get("x-oss-date", "")
        secret = secret_of(cloud, key_id, req.headers.get("x-oss-security-token"))
        if abs(stamp(date_time) - now) > CLOCK_TOLERANCE_S:
            raise ApiError("RequestTimeTooSkewed")
        check_region(cloud, req, region)
        req.region = region
        text, right = signing.oss_v4(req, secret, date_time, region, additional)
        if date_time[:8] != date or not signing.same(right, signature):
            mismatch(text)
        return "V4"
    found = re.fullmatch(r"OSS ([^:]+):(\S+)", authorization)
    if not found:
        raise ApiError("AccessDenied", "You have no right to access this object because of bucket acl.")
    secret = secret_of(cloud, found.group(1), req.headers.get("x-oss-security-token"))
    try:
        seconds = parsedate_to_datetime(req.headers.get("x-oss-date") or req.headers.get("date", "")).timestamp()
    except (TypeError, ValueError):
        raise ApiError("AccessDenied", "OSS authentication requires a valid Date.") from None
    if abs(seconds - now) > CLOCK_TOLERANCE_S:
        raise ApiError("RequestTimeTooSkewed")
    text, right = signing.oss_v1(req, secret)
    if not signing.same(right, found.group(2)):
        mismatch(text)
    return "V1"


def check_url_v4(cloud, req, query):
    found = re.fullmatch(r"([^/]+)/(\d{8})/([a-z0-9-]+)/oss/aliyun_v4_request", query.get("x-oss-credential") or "")
    if query["x-oss-signature-version"] != "OSS4-HMAC-SHA256" or not found:
        raise ApiError("InvalidArgument", "x-oss-credential or x-oss-signature-version is malformed.")
    key_id, date, region = found.groups()
    secret = secret_of(cloud, key_id, query.get("x-oss-security-token"))
    lifetime = int(query.get("x-oss-expires") or 0)
    if not 0 < lifetime <= MAX_EXPIRES_S:
        raise ApiError("InvalidArgument", "x-oss-expires must be between 1 and 604800.")
    date_time = query.get("x-oss-date") or ""
    not_expired(cloud, stamp(date_time) + lifetime)
    check_region(cloud, req, region)
    additional = [n for n in (query.get("x-oss-additional-headers") or "").split(";") if n]
    text, right = signing.oss_v4(req, secret, date_time, region, additional, leave_out=("x-oss-signature",))
    if date_time[:8] != date or not signing.same(right, query.get("x-oss-signature") or ""):
        mismatch(text)
    return "V4 URL"


# ---- calls ----

def bucket_info(bucket):
    inner = tags(Name=bucket.name, Location=f"oss-{bucket.region}", CreationDate=utc(0), StorageClass=bucket.storage_class,
                 ExtranetEndpoint=f"oss-{bucket.region}.aliyuncs.com",
                 IntranetEndpoint=f"oss-{bucket.region}-internal.aliyuncs.com", DataRedundancyType="LRS")
    if bucket.versioning:
        inner += tags(Versioning=bucket.versioning)
    owner = "<Owner><DisplayName>1</DisplayName><ID>1</ID></Owner><AccessControlList><Grant>private</Grant></AccessControlList>"
    return xml(f"<BucketInfo><Bucket>{inner}{owner}</Bucket></BucketInfo>")


def listing(cloud, bucket, query):
    """ListObjectsV2, and the older ListObjects by marker."""
    second = query.get("list-type") == "2"
    size = limit(cloud, query, "max-keys", 100)
    prefix = query.get("prefix") or ""
    token = query.get("continuation-token")
    after = base64.b64decode(token).decode() if token else query.get("start-after" if second else "marker") or ""
    keys = [k for k in bucket.keys() if k.startswith(prefix) and k > after]
    some, more = keys[:size], len(keys) > size
    show = (lambda k: quote(k, safe="")) if query.get("encoding-type") == "url" else (lambda k: k)
    body = tags(Name=bucket.name, Prefix=show(prefix), MaxKeys=size, IsTruncated="true" if more else "false")
    if query.get("encoding-type"):
        body += tags(EncodingType="url")
    if second:
        body += tags(KeyCount=len(some))
        body += tags(NextContinuationToken=base64.b64encode(some[-1].encode()).decode()) if more else ""
    elif more:
        body += tags(NextMarker=show(some[-1]))
    for key in some:
        o = bucket.find(key)
        body += "<Contents>" + tags(Key=show(key), LastModified=utc(o.modified), ETag=f'"{o.etag}"', Type=o.kind, Size=o.size,
                                    StorageClass=bucket.storage_class) + "</Contents>"
    return xml(f"<ListBucketResult>{body}</ListBucketResult>")


def limit(cloud, query, name, default):
    """How many entries an answer has: as asked for, and no more than the scenario says."""
    size = int(query.get(name) or default)
    if not 1 <= size <= 1000:
        raise ApiError("InvalidArgument", f"{name} must be between 1 and 1000.")
    return min(size, cloud.config["oss_page"])


def version_listing(cloud, bucket, query):
    prefix, body = query.get("prefix") or "", ""
    size, after = limit(cloud, query, "max-keys", 100), (query.get("key-marker") or "", query.get("version-id-marker") or "")
    rows = [(key, n, o) for key, entries in sorted(bucket.versions.items()) if key.startswith(prefix)
            for n, o in enumerate(reversed(entries))]
    if after[0]:
        at = bucket.order.get(after, 0)
        rows = [r for r in rows if r[0] > after[0] or r[0] == after[0] and bucket.order.get((r[0], r[2].version), 0) < at]
    some, more = rows[:size], len(rows) > size
    for key, n, o in some:
        what = "DeleteMarker" if o.deleted else "Version"
        body += f"<{what}>" + tags(Key=key, VersionId=o.version, IsLatest="true" if n == 0 else "false",
                                   LastModified=utc(o.modified)) + f"</{what}>"
    head = tags(Name=bucket.name, MaxKeys=size, IsTruncated="true" if more else "false")
    if more:
        head += tags(NextKeyMarker=some[-1][0], NextVersionIdMarker=some[-1][2].version)
    return xml(f"<ListVersionsResult>{head}{body}</ListVersionsResult>")


def upload_listing(cloud, bucket, query):
    prefix, body = query.get("prefix") or "", ""
    size, after = limit(cloud, query, "max-uploads", 1000), (query.get("key-marker") or "", query.get("upload-id-marker") or "")
    rows = sorted((upload["key"], ident, upload["begun"]) for ident, upload in bucket.uploads.items()
                  if upload["key"].startswith(prefix))
    rows = [r for r in rows if (r[:2] > after if after[1] else r[0] > after[0])]
    some, more = rows[:size], len(rows) > size
    for key, ident, begun in some:
        body += "<Upload>" + tags(Key=key, UploadId=ident, Initiated=utc(begun)) + "</Upload>"
    head = tags(Bucket=bucket.name, MaxUploads=size, IsTruncated="true" if more else "false")
    if more:
        head += tags(NextKeyMarker=some[-1][0], NextUploadIdMarker=some[-1][1])
    return xml(f"<ListMultipartUploadsResult>{head}{body}</ListMultipartUploadsResult>")


def part_listing(cloud, bucket, key, query):
    upload, body = bucket.upload(query["uploadId"], key), ""
    after, size = int(query.get("part-number-marker") or 0), limit(cloud, query, "max-parts", 1000)
    numbers = [n for n in sorted(upload["parts"]) if n > after]
    for number in numbers[:size]:
        part = upload["parts"][number]
        body += "<Part>" + tags(PartNumber=number, ETag=f'"{part.etag}"', Size=part.size, HashCrc64ecma=part.crc,
                                LastModified=utc(part.modified)) + "</Part>"
    more = len(numbers) > size
    head = tags(Bucket=bucket.name, Key=key, UploadId=query["uploadId"], MaxParts=size, IsTruncated="true" if more else "false",
                NextPartNumberMarker=numbers[:size][-1] if numbers else 0)
    return xml(f"<ListPartsResult>{head}{body}</ListPartsResult>")


def parse(body, root):
    try:
        tree = ET.fromstring(body)
    except ET.ParseError:
        raise ApiError("MalformedXML", "The XML you provided was not well-formed.") from None
    if tree.tag != root:
        raise ApiError("MalformedXML", f"The XML's root must be {root}.")
    return tree


def delete_many(bucket, req):
    if "content-md5" not in req.headers:
        raise ApiError("MissingArgument", "Missing some required arguments (Content-MD5).", status=400)
    tree = parse(req.body, "Delete")
    entries = tree.findall("Object")
    if not 1 <= len(entries) <= 1000:
        raise ApiError("MalformedXML", "1 to 1000 keys can be deleted at once.")
    body = ""
    for entry in entries:
        bucket.delete(entry.findtext("Key"), entry.findtext("VersionId"))
        body += "<Deleted>" + tags(Key=entry.findtext("Key")) + "</Deleted>"
    return xml(f"<DeleteResult>{'' if tree.findtext('Quiet') == 'true' else body}</DeleteResult>")


def check_md5(headers, md5):
    right = base64.b64encode(md5.digest()).decode()
    if headers.get("content-md5", right) != right:
        raise ApiError("InvalidDigest", "The Content-MD5 you specified did not match what was received.")


async def receive(request, bucket, headers):
    """The body into a file of the bucket; (path, digest)."""
    path, digest = bucket.new_file(), Digest()
    with open(path, "wb") as f:
        async for piece in request.content.iter_chunked(1 << 18):
            digest.update(piece)
            f.write(piece)
    try:
        check_md5(headers, digest.md5)
    except ApiError:
        os.unlink(path)
        raise
    if "content-length" in headers and int(headers["content-length"]) != digest.size:
        os.unlink(path)
        raise ApiError("InvalidArgument", "The body is shorter than Content-Length.")
    return path, digest


def complete(bucket, key, query, req):
    tree = parse(req.body, "CompleteMultipartUpload")
    try:
        wanted = [(int(p.findtext("PartNumber")), p.findtext("ETag")) for p in tree.findall("Part")]
    except (TypeError, ValueError):
        raise ApiError("MalformedXML", "PartNumber is not a number.") from None
    made = bucket.complete_upload(query["uploadId"], key, wanted)
    body = tags(Location=f"http://{req.headers.get('host')}/{quote(key)}", Bucket=bucket.name, Key=key, ETag=f'"{made.etag}"')
    response = xml(f"<CompleteMultipartUploadResult>{body}</CompleteMultipartUploadResult>")
    response.headers["x-oss-hash-crc64ecma"] = str(made.crc)
    return response


def object_headers(found):
    return {"ETag": f'"{found.etag}"', "x-oss-hash-crc64ecma": str(found.crc), "x-oss-object-type": found.kind,
            "Last-Modified": formatdate(found.modified, usegmt=True), "Accept-Ranges": "bytes",
            "Content-Type": found.content_type, **found.meta}


async def download(request, found, rule):
    """GET of an object, whole or a range of it."""
    start, end, status = 0, found.size - 1, 200
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("Range", ""))
    if asked and (asked.group(1) or asked.group(2)):
        first, last = asked.groups()
        start = int(first) if first else max(0, found.size - int(last))
        end = min(int(last), found.size - 1) if first and last else found.size - 1
        if start > end:
            raise ApiError("InvalidRange", "The requested range cannot be satisfied.")
        status = 206
    headers = object_headers(found)
    headers["Content-Length"] = str(end - start + 1)
    if status == 206:
        headers["Content-Range"] = f"bytes {start}-{end}/{found.size}"
    response = web.StreamResponse(status=status, headers=headers)
    await response.prepare(request)
    left = end - start + 1
    half = left // 2 if rule and rule["do"] == "half-reply" else 0
    with open(found.path, "rb") as f:
        f.seek(start)
        while left > half:
            piece = f.read(min(1 << 18, left - half))
            await response.write(piece)
            left -= len(piece)
    if half:
        request.transport.abort()
        return response
    await response.write_eof()
    return response


def name_of(req, query):
    """The call's name, for records and fault rules."""
    if not req.key:
        if not req.bucket:
            return "ListBuckets"
        for name, call in (("bucketInfo", "GetBucketInfo"), ("location", "GetBucketLocation"), ("uploads", "ListMultipartUploads"),
                           ("versions", "ListObjectVersions"), ("acl", "GetBucketAcl")):
            if name in query and req.method == "GET":
                return call
        if req.method == "POST" and "delete" in query:
            return "DeleteMultipleObjects"
        return {"GET": "ListObjectsV2" if query.get("list-type") == "2" else "ListObjects", "PUT": "PutBucket",
                "HEAD": "HeadBucket", "DELETE": "DeleteBucket"}.get(req.method, "?")
    if req.method == "POST":
        return "InitiateMultipartUpload" if "uploads" in query else "CompleteMultipartUpload" if "uploadId" in query else "?"
    if "uploadId" in query:
        return {"PUT": "UploadPart", "DELETE": "AbortMultipartUpload", "GET": "ListParts"}.get(req.method, "?")
    return {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}.get(req.method, "?")


def make_bucket(cloud, req):
    """In the region of the host name, or, where that is an address, of the signature."""
    host = re.search(r"\.oss-([a-z0-9-]+)\.", req.headers.get("host", ""))
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", req.bucket):
        raise ApiError("InvalidBucketName", "The specified bucket is not valid.", status=400)
    region = host.group(1) if host else req.region
    if not region:
        raise ApiError("InvalidArgument", "The region of the new bucket is not known.")
    cloud.buckets.setdefault(req.bucket, Bucket(req.bucket, cloud.store.folder, cloud.clock, {"region": region}))
    return web.Response()


def recorded(req):
    """An answer in which nothing is, for one who only wants his request on record."""
    if req.method == "DELETE":
        return web.Response(status=204)
    response = xml("<Recorded/>")
    response.headers["ETag"] = '"0"'
    return response


async def perform(cloud, request, req, query, name, rule):
    if name == "ListBuckets":
        return xml("<ListAllMyBucketsResult><Buckets>" + "".join(
            "<Bucket>" + tags(Name=b.name, Location=f"oss-{b.region}") + "</Bucket>" for b in cloud.buckets.values()) +
            "</Buckets></ListAllMyBucketsResult>")
    if name == "PutBucket":
        return make_bucket(cloud, req)
    bucket = cloud.buckets.get(req.bucket)
    if bucket is None:
        raise ApiError("NoSuchBucket")
    simple = {"GetBucketInfo": lambda: bucket_info(bucket), "HeadBucket": web.Response,
              "GetBucketLocation": lambda: xml(f"<LocationConstraint>oss-{bucket.region}</LocationConstraint>"),
              "ListObjects": lambda: listing(cloud, bucket, query),
              "ListObjectsV2": lambda: listing(cloud, bucket, query),
              "ListObjectVersions": lambda: version_listing(cloud, bucket, query),
              "ListMultipartUploads": lambda: upload_listing(cloud, bucket, query),
              "ListParts": lambda: part_listing(cloud, bucket, req.key, query),
              "DeleteMultipleObjects": lambda: delete_many(bucket, req),
              "CompleteMultipartUpload": lambda: complete(bucket, req.key, query, req)}
    if name in simple:
        return simple[name]()
    return await perform_on_object(cloud, request, req, query, name, rule, bucket)


async def perform_on_object(cloud, request, req, query, name, rule, bucket):
    kind = req.headers.get("content-type", "application/octet-stream")
    if name == "InitiateMultipartUpload":
        body = tags(Bucket=bucket.name, Key=req.key, UploadId=bucket.begin_upload(req.key, kind))
        return xml(f"<InitiateMultipartUploadResult>{body}</InitiateMultipartUploadResult>")
    if name == "UploadPart":
        number = int(query.get("partNumber") or 0)
        bucket.upload(query["uploadId"], req.key)
        if not 1 <= number <= 10000:
            raise ApiError("InvalidArgument", "Part number must be an integer between 1 and 10000.")
        made = bucket.put_part(query["uploadId"], req.key, number, *await receive(request, bucket, req.headers))
        return web.Response(headers={"ETag": f'"{made.etag}"', "x-oss-hash-crc64ecma": str(made.crc)})
    if name == "AbortMultipartUpload":
        bucket.abort_upload(query["uploadId"], req.key)
        return web.Response(status=204)
    if name == "PutObject":
        if req.headers.get("x-oss-forbid-overwrite") == "true" and bucket.find(req.key):
            raise ApiError("FileAlreadyExists", "The object you specified already exists and can not be overwritten.", 409)
        meta = {k: v for k, v in req.headers.items() if k.startswith("x-oss-meta-")}
        path, digest = await receive(request, bucket, req.headers)
        made = bucket.put(req.key, path, digest, content_type=kind, meta=meta)
        return web.Response(headers={"ETag": f'"{made.etag}"', "x-oss-hash-crc64ecma": str(made.crc)})
    if name == "DeleteObject":
        marker = bucket.delete(req.key, query.get("versionId"))
        return web.Response(status=204, headers={"x-oss-delete-marker": "true", "x-oss-version-id": marker} if marker else {})
    found = bucket.find(req.key, query.get("versionId"))
    if found is None:
        raise ApiError("NoSuchKey")
    if name == "HeadObject":
        return web.Response(headers={**object_headers(found), "Content-Length": str(found.size)})
    if name == "GetObject":
        return await download(request, found, rule)
    raise ApiError("InvalidArgument", f"{req.method} is not known here.")


async def handle(cloud, request, req, origin):
    query = dict(req.pairs())
    ident = f"{cloud.store.random.getrandbits(96):024X}"
    rule = call = None
    try:
        try:
            locate(cloud, req)
        finally:
            name = name_of(req, query)
            call = cloud.begin_call("oss", name, origin, req, "")
            rule = cloud.faults.choose(call)
            call["params"] = {"bucket": req.bucket, "key": req.key, **{k: v or "" for k, v in query.items() if k in KNOWN_QUERY}}
            call["query"] = query
            call["headers"] = {k: v for k, v in req.headers.items() if TELLING_HEADERS.fullmatch(k)}
        await cloud.faults.before(rule)
        call["scheme"] = check_signature(cloud, req)
        unknown = [k for k in query if k not in KNOWN_QUERY and not k.startswith(("x-oss-", "response-")) and
                   k not in ("OSSAccessKeyId", "Expires", "Signature")]
        if unknown:
            raise ApiError("InvalidArgument", f"Unknown query parameter: {unknown[0]}")
        if f"oss:{name}" in cloud.config["denied_actions"]:
            raise ApiError("AccessDenied")
        if req.method == "POST":
            req.body = await request.read()
            check_md5(req.headers, hashlib.md5(req.body))
            call["body"] = req.body.decode(errors="replace")
        response = recorded(req) if cloud.config["record_only"] else await perform(cloud, request, req, query, name, rule)
        call["status"] = response.status
    except ApiError as why:
        # OSS has no other status for it, and the reply to a HEAD no other word.
        if "Throttling" in why.code:
            why.status = 503
        call["status"], call["code"] = why.status, why.code
        body = tags(Code=why.code, Message=why.message, RequestId=ident, HostId=req.headers.get("host", ""))
        response = web.Response(status=why.status, headers=why.headers, content_type="application/xml",
                                text="" if req.method == "HEAD" else f"<?xml version=\"1.0\"?>\n<Error>{body}</Error>")
    if not response.prepared:
        response.headers["x-oss-request-id"] = ident
        response.headers["Date"] = cloud.clock.http_date()
    cloud.faults.after(rule)
    cloud.end_call(rule)
    return response
