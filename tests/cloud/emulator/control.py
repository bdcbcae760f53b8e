# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests ask the emulator itself, under /_emulator/; no signature, as it listens on the loopback only.

GET state: everything that exists, counts, cost, errors of the emulator. GET calls: what was asked, with the parameters.
GET sessions: the secrets and tokens of all sessions that were given out.
POST reset: begin anew. POST faults: add a rule (faults.py); DELETE faults. PATCH config: lay over. POST buckets/NAME: make one.
metadata/...: what the instance metadata service would say, with the configuration's metadata_role.
POST crash/ID: an instance loses its power, and boots again.
PATCH things/KIND/ID: lay over what is known of a thing, as somebody may have changed it by hand.
POST kill/ID/NAME: processes of it are killed. GET disk/ID, PUT disk/ID?offset=N: a disk's bytes, as if something in the instance had written them.
"""

import os

from aiohttp import web

from .config import merged
from .errors import ApiError
from .oss_store import Bucket


def left_over(cloud):
    """Everything that costs or lies about, but for the ENS images that are the purpose of it all."""
    out = [f"{kind} {ident}" for kind, things in cloud.store.kinds.items() if kind not in ("ens_image", "task")
           for ident in things]
    for bucket in cloud.buckets.values():
        out += [f"object {bucket.name}/{key}" for key, entries in bucket.versions.items() for _ in entries]
        out += [f"upload {bucket.name}/{upload['key']}" for upload in bucket.uploads.values()]
    return out


def state(cloud):
    return {
        "left_over": left_over(cloud),
        "ens_images": [t.public() for t in cloud.store.all("ens_image")],
        "things": {kind: [t.public() for t in things.values()] for kind, things in cloud.store.kinds.items()},
        "made": cloud.store.made,
        "objects": {b.name: {k: b.find(k).size for k in b.keys()} for b in cloud.buckets.values()},
        "uploads": {b.name: [u["key"] for u in b.uploads.values()] for b in cloud.buckets.values()},
        "refused_connections": {i.id: i._machine.refused for i in cloud.store.all("instance")},
        "client_calls": cloud.faults.client_calls,
        "faults_applied": cloud.faults.applied,
        "cost": round(cloud.store.cost(), 6),
        "cloud_s": round(cloud.clock.cloud_s(), 1),
        "history": cloud.store.history,
        "errors": cloud.errors,
        "folder": cloud.store.folder,
    }


async def disk(cloud, request, ident):
    found = cloud.store.find("disk", ident) or cloud.store.find("snapshot", ident)
    if found is None:
        return web.Response(status=404, text="no such disk")
    if request.method == "GET":
        return web.FileResponse(found._path)
    with open(found._path, "r+b") as f:
        f.seek(int(request.query.get("offset", 0)))
        async for piece in request.content.iter_chunked(1 << 18):
            f.write(piece)
        f.flush()
        os.fsync(f.fileno())
    return web.Response(status=204)


async def handle(cloud, request, path):
    words = path.removeprefix("/_emulator/").split("/")
    try:
        if words == ["state"]:
            return web.json_response(state(cloud))
        if words == ["reset"] and request.method == "POST":
            await cloud.reset()
            return web.json_response({})
        if words == ["calls"]:
            return web.json_response(cloud.calls)
        if words == ["config"]:
            if request.method == "PATCH":
                new = merged(cloud.config, await request.json())
                cloud.config.clear()
                cloud.config.update(new)
                cloud.keys.update(new["keys"])
                cloud.clock.scale, cloud.clock.skew_s = new["time_scale"], new["skew_s"]
            return web.json_response(cloud.config)
        if words == ["sessions"]:
            return web.json_response([{"AccessKeySecret": k["secret"], "SecurityToken": k["token"]}
                                      for k in cloud.keys.values() if k.get("token")])
        if words == ["faults"]:
            if request.method == "DELETE":
                cloud.faults.clear()
            if request.method == "POST":
                return web.json_response(cloud.faults.add(await request.json()))
            return web.json_response(cloud.faults.rules)
        if words[0] == "buckets" and len(words) == 2 and request.method == "POST":
            options = await request.json()
            cloud.buckets[words[1]] = Bucket(words[1], cloud.store.folder, cloud.clock, options)
            return web.json_response({})
        if words[0] == "metadata":
            return cloud.metadata_of_role(request, path.removeprefix("/_emulator/metadata"))
        if words[0] == "crash" and len(words) == 2 and request.method == "POST":
            machine = cloud.store.get("instance", words[1], "InvalidInstanceId.NotFound")._machine
            await machine.stop(True)
            await machine.start()
            return web.json_response({})
        if words[0] == "things" and len(words) == 3 and request.method == "PATCH":
            vars(cloud.store.get(words[1], words[2], "InvalidParameter")).update(await request.json())
            return web.json_response({})
        if words[0] == "kill" and len(words) == 3 and request.method == "POST":
            machine = cloud.store.get("instance", words[1], "InvalidInstanceId.NotFound")._machine
            return web.json_response({"killed": machine.kill(words[2])})
        if words[0] == "disk" and len(words) == 2:
            return await disk(cloud, request, words[1])
    except ApiError as why:
        return web.Response(status=400, text=why.message)
    return web.Response(status=404, text="there is no such control")
