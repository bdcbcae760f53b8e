#!/usr/bin/env python3
"""images.py SCENARIO: the receiver's upload of images against a store that takes parts, and fails."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

from store import MIB, Work, crc64, program, qemu


def order_of(store, disks, numbers=range(1, 41), **more):
    return {"order": "job-1", "patience_ms": 3600000, "stall_s": 600,
            "disks": [{"index": i, "part_bytes": MIB, "urls": store.urls(f"disk{i}", numbers), **d}
                      for i, d in enumerate(disks)], **more}


def is_finished(p):
    assert p["state"] != "InError", p
    return p["state"] == "Finished"


def check(work, store, progress, sources):
    """What the receiver names makes images that are valid and hold the bytes of the sources."""
    for disk, source in zip(progress["disks"], sources):
        key, path = f"disk{disk['index']}", f"{work.dir}/disk{disk['index']}.image"
        crc = store.complete(key, disk["parts"], path)
        assert disk["state"] == "Finished" and disk["done_bytes"] == disk["size_bytes"]
        assert int(disk["object_crc64"]) == crc
        with open(path, "rb") as f:
            assert f.seek(0, 2) == disk["object_bytes"]
        if disk["format"] == "qcow2":
            qemu("check", "-q", "-f", "qcow2", path)
        qemu("compare", "-f", "raw", "-F", disk["format"], source, path)
        report = f"{work.dir}/image.json"
        subprocess.run([program("receiver"), "image", "--disk", source, "--out", f"{work.dir}/again", "--report", report,
                        "--digest", disk["digest"]], check=True)
        with open(report) as f:
            assert json.load(f)["disks"][0]["root"] == disk["root"]


def whole(work):
    """Two disks, two formats, and a third compression; the order is dropped at the end."""
    store = work.store()
    sources = work.disks(25 * MIB + 512, 9 * MIB, 5 * MIB)
    r = work.receiver.start()
    r.send(*sources)
    assert r.progress() == {"order": None, "state": "Ready"}
    r.order(order_of(store, [{}, {"format": "raw"}, {"compression": "zstd", "level": 5}]))
    p = r.wait(is_finished, "finished")
    check(work, store, p, sources)
    assert store.log == [], store.log
    assert p["disks"][2]["compression"] == "zstd" and p["disks"][2]["level"] == 5
    assert all(n == 1 for n in store.attempts.values()), store.attempts
    # The header of a qcow2 is the last that is sent.
    assert p["disks"][0]["parts"][0]["bytes"] == 128 << 10
    # Posted again it changes nothing; restarted neither.
    assert r.order(order_of(store, [{}, {"format": "raw"}, {"compression": "zstd", "level": 5}]))["order"] == "job-1"
    r.wait(is_finished, "finished")
    r.stop()
    r.start()
    p = r.wait(is_finished, "finished after a restart")
    check(work, store, p, sources)
    assert all(n == 1 for n in store.attempts.values()), store.attempts
    r.drop()
    r.stop()
    r.start()
    assert r.progress() == {"order": None, "state": "Ready"}


def forgery_proof(work):
    """Disks that are known by SHA-256: what was copied is compared by it, and the image carries the root over it."""
    store = work.store()
    sources = work.disks(12 * MIB + 512, 3 * MIB)
    store.make_room(2)
    r = work.receiver.start()
    r.send(*sources, digest="sha-256")
    r.order(order_of(store, [{}, {"format": "raw"}]))
    store.wait_parts("disk0", 2)
    r.stop(signal.SIGKILL)
    store.make_room(1000)
    r.start()
    p = r.wait(is_finished, "finished")
    assert [disk["digest"] for disk in p["disks"]] == ["sha-256", "sha-256"], p
    check(work, store, p, sources)
    with open(f"{work.dir}/disk0.image", "rb") as f:
        head = f.read(1024)
    at = head.index(b"CLMR")
    assert head[at + 8 : at + 11] == b"\1\2\x14" and head[at + 24 : at + 56].hex() == p["disks"][0]["root"], head
    # One bit that differs from what was copied is not packed.
    r.drop()
    r.stop()
    with open(f"{work.dir}/target/disk0.raw", "r+b") as f:
        f.seek(5 * MIB)
        byte = f.read(1)
        f.seek(5 * MIB)
        f.write(bytes([byte[0] ^ 1]))
    r.start()
    r.order({**order_of(store, [{}, {"format": "raw"}]), "order": "job-2"})
    p = r.wait(lambda p: p["state"] == "InError", "the changed bit")
    assert p["code"] == "IMAGE_MEDIUM_DIFFERS", p


def faulty(work):
    """Whatever goes wrong and passes, the image gets there."""
    store = work.store()
    (source,) = work.disks(30 * MIB)
    faults = ["cut", "stall", "etag", "crc", "nothing", ("status", 500, "InternalError"), ("status", 503, "ServiceBusy"),
              ("status", 429, "TooMany", [("Retry-After", "1")]), ("status", 400, "RequestTimeout"), ("status", 408, "x")]

    seen = []

    def fault(_, key, number, attempt):
        # One part goes wrong until that was seen.
        lasting = number == 5 and not {"UPLOAD_UNREACHABLE", "UPLOAD_DIFFERS"} & set(seen)
        return faults[number % len(faults)] if attempt == 1 or lasting else None

    store.fault = fault
    r = work.receiver.start()
    r.send(source)
    r.order(order_of(store, [{}], stall_s=2))
    p = r.wait(lambda p: seen.append(p.get("code")) or is_finished(p), "finished")
    check(work, store, p, [source])
    # A reply that is lost on a connection used before is tried again by libcurl itself.
    assert p["disks"][0]["retries"] >= p["disks"][0]["parts_done"] * 2 // 3, p["disks"][0]["retries"]
    assert all(n >= 2 for n in store.attempts.values()), store.attempts
    assert "UPLOAD_UNREACHABLE" in seen or "UPLOAD_DIFFERS" in seen, seen
    # A store without CRC-64: the MD5 in the ETag is compared.
    r.drop()
    store.objects.clear()
    store.attempts.clear()
    store.with_crc = False
    store.fault = lambda _, key, number, attempt: "etag" if attempt == 1 and number < 4 else None
    r.order(order_of(store, [{}]))
    p = r.wait(is_finished, "finished")
    check(work, store, p, [source])
    assert p["disks"][0]["retries"] == 3, p["disks"][0]["retries"]


def killed(work):
    """Killed again and again, it goes on by itself, and sends no part twice that the store had confirmed."""
    store = work.store()
    (source,) = work.disks(40 * MIB)
    store.make_room(0)
    r = work.receiver.start()
    r.send(source)
    r.order(order_of(store, [{}]))
    chance = random.Random(7)
    kills = 0
    for count in (1, 2, 3, 4, 6, 8, 10, 12):
        # The store holds up what is beyond, so that it cannot be through before it is killed.
        store.make_room(count)
        store.wait_parts("disk0", count)
        time.sleep(chance.random() * 0.1)
        r.stop(signal.SIGKILL)
        kills += 1
        r.start()
    store.make_room(1000)
    p = r.wait(is_finished, "finished")
    check(work, store, p, [source])
    # At most what was under way at a kill is sent again: three connections.
    again = sum(store.attempts.values()) - p["disks"][0]["parts_done"]
    assert again <= 3 * kills, (again, kills)


def killed_in_the_end(work):
    """Killed when the header is being sent, which is the last part: only it is sent again."""
    store = work.store()
    (source,) = work.disks(12 * MIB)
    store.fault = lambda _, key, number, attempt: "stall" if number == 1 and attempt == 1 else None
    r = work.receiver.start()
    r.send(source)
    r.order(order_of(store, [{}], stall_s=600))
    last = r.wait(lambda p: store.attempts.get(("disk0", 1)), "at the header")["disks"][0]
    r.wait(lambda p: p["disks"][0]["parts_done"] == len(store.attempts) - 1, "all but the header")
    before = dict(store.attempts)
    r.stop(signal.SIGKILL)
    r.start()
    p = r.wait(is_finished, "finished")
    assert last["state"] == "Running"
    check(work, store, p, [source])
    assert store.attempts == {**before, ("disk0", 1): 2}, (before, store.attempts)


def expired(work):
    """URLs run out and expire: the receiver says which ones it wants, and goes on with them."""
    store = work.store()
    (source,) = work.disks(40 * MIB)
    r = work.receiver.start()
    r.send(source)
    p = r.order(order_of(store, [{}], numbers=[]))
    p = r.wait(lambda p: p["state"] == "Waiting", "waiting without any URL")
    assert p["disks"][0]["urls_wanted"][:4] == [1, 2, 3, 4] and p["disks"][0]["urls_refused"] == [], p
    assert len(p["disks"][0]["urls_wanted"]) <= 64
    r.order(order_of(store, [{}], numbers=[2, 3, 4, 5]))
    store.wait_parts("disk0", 4)
    p = r.wait(lambda p: p["state"] == "Waiting" and p["disks"][0]["parts_done"] == 4, "waiting for more")
    assert 6 in p["disks"][0]["urls_wanted"], p
    # All that it gets now is expired when it is used.
    stale = order_of(store, [{}], numbers=range(1, 60))
    store.expire()
    r.order(stale)
    p = r.wait(lambda p: p["state"] == "Waiting" and p["disks"][0]["urls_refused"], "told that they are expired")
    assert p["code"] == "UPLOAD_URL_REFUSED" and "expired" in p["message"] and p["advice"], p
    assert set(p["disks"][0]["urls_refused"]) <= set(p["disks"][0]["urls_wanted"]), p
    tries = sum(store.attempts.values())
    # It does not knock at a closed door: the same URLs again change nothing, a restart neither tries them for ever.
    r.order(stale)
    time.sleep(1)
    assert sum(store.attempts.values()) == tries, "refused URLs are tried again and again"

    def feed(p):
        wanted = p["disks"][0]["urls_wanted"]
        if wanted:
            r.order(order_of(store, [{}], numbers=wanted[:3]))

    p = r.wait(is_finished, "finished", feed)
    check(work, store, p, [source])


def errors(work):
    """What does not pass stops it with a code; posted again it goes on when the cause is gone."""
    store = work.store()
    (source,) = work.disks(9 * MIB)
    r = work.receiver.start()
    r.send(source)
    cases = [
        (("status", 404, "NoSuchUpload"), "UPLOAD_GONE"),
        (("status", 400, "EntityTooSmall"), "UPLOAD_REFUSED"),
        (("status", 301, "Moved"), "UPLOAD_REFUSED"),
        (("status", 500, "InternalError"), "UPLOAD_UNREACHABLE"),
        ("crc", "UPLOAD_DIFFERS"),
    ]
    for fault, code in cases:
        store.fault = lambda _, key, number, attempt, f=fault: f if number == 3 else None
        r.order(order_of(store, [{}], patience_ms=1500 if code == "UPLOAD_UNREACHABLE" else 3600000))
        p = r.wait(lambda p: p["state"] == "InError", code)
        assert p["code"] == code and p["message"] and p["advice"], p
    # Still so after a restart, once it has tried again.
    r.stop()
    r.start()
    r.wait(lambda p: p["state"] == "InError" or p["code"], "in error after a restart")
    store.fault = lambda *_: None
    r.order(order_of(store, [{}]))
    p = r.wait(is_finished, "finished")
    check(work, store, p, [source])
    r.drop()
    # Where a machine finds its own keys, nothing is sent.
    for host in ("169.254.169.254", "100.100.100.200", "[fe80::1%25lo]", "[::ffff:169.254.1.1]"):
        o = order_of(store, [{}], numbers=[])
        o["disks"][0]["urls"] = {"2": f"http://{host}/latest"}
        r.order(o)
        p = r.wait(lambda p: p["state"] == "InError", "barred")
        assert p["code"] == "UPLOAD_REFUSED", p
        r.drop()
    # The medium changes behind the receiver's back.
    with open(f"{work.dir}/target/disk0.raw", "r+b") as f:
        f.seek(5 * MIB + 77)
        byte = f.read(1)
        f.seek(5 * MIB + 77)
        f.write(bytes([byte[0] ^ 1]))
    r.order(order_of(store, [{}]))
    p = r.wait(lambda p: p["state"] == "InError", "the medium")
    assert p["code"] == "IMAGE_MEDIUM_DIFFERS" and str(5 * MIB) in p["message"], p


def refused(work):
    """Orders that cannot be followed change nothing and name what is wrong."""
    store = work.store()
    sources = work.disks(4 * MIB, 3 * MIB)
    r = work.receiver.start()
    r.send(*sources)
    good = order_of(store, [{}])

    def refuse(status, code, body, word=""):
        got, reply = r.call("POST", "/v1/image", body)
        assert (got, reply["code"]) == (status, code) and word in reply["message"] and reply["advice"], (got, reply)

    def disk(**more):
        return {**good, "disks": [{**good["disks"][0], **more}]}

    refuse(400, "IMAGE_ORDER_BAD", "{")
    refuse(400, "IMAGE_ORDER_BAD", "[]")
    refuse(400, "IMAGE_ORDER_BAD", {**good, "order": "a b"}, "order")
    refuse(400, "IMAGE_ORDER_BAD", {**good, "order": "x" * 65}, "order")
    refuse(400, "IMAGE_ORDER_BAD", {**good, "disks": []}, "disks")
    refuse(400, "IMAGE_ORDER_BAD", {**good, "disks": 2 * good["disks"]}, "twice")
    refuse(400, "IMAGE_ORDER_BAD", {**good, "connections": 9}, "connections")
    refuse(400, "IMAGE_ORDER_BAD", {**good, "ca": 5}, "ca")
    refuse(400, "IMAGE_ORDER_BAD", {**good, "take_unknown": 1}, "take_unknown")
    refuse(400, "IMAGE_ORDER_BAD", disk(index=32), "index")
    refuse(400, "IMAGE_ORDER_BAD", disk(format="vmdk"), "format")
    refuse(400, "IMAGE_ORDER_BAD", disk(compression="lzma"), "compression")
    refuse(400, "IMAGE_ORDER_BAD", disk(level=10), "level")
    refuse(400, "IMAGE_ORDER_BAD", disk(part_bytes=MIB + 512), "part_bytes")
    refuse(400, "IMAGE_ORDER_BAD", disk(urls={"0": "http://x/"}), "urls")
    refuse(400, "IMAGE_ORDER_BAD", disk(urls={"10001": "http://x/"}), "urls")
    refuse(400, "IMAGE_ORDER_BAD", disk(urls={"1": "file:///etc/passwd"}), "urls")
    refuse(400, "IMAGE_ORDER_BAD", disk(urls={"1": "http://x/ y"}), "urls")
    refuse(400, "IMAGE_ORDER_BAD", disk(root="abc"), "root")
    refuse(400, "IMAGE_ORDER_BAD", {**good, "pause": 1}, "pause")
    refuse(404, "IMAGE_DISK_UNKNOWN", disk(index=7), "disk7")
    assert r.progress() == {"order": None, "state": "Ready"}
    r.order({**good, "disks": [{**good["disks"][0], "urls": {}}]})
    refuse(409, "IMAGE_BUSY", {**good, "order": "another"}, "job-1")
    refuse(409, "IMAGE_ORDER_DIFFERS", disk(format="raw"))
    refuse(409, "IMAGE_ORDER_DIFFERS", disk(part_bytes=2 * MIB))
    refuse(409, "IMAGE_ORDER_DIFFERS", disk(root="0" * 64))
    assert r.progress()["order"] == "job-1"
    status, _ = r.call("PUT", "/v1/image", "{}")
    assert status == 404
    token, r.token = r.token, "0" * 32
    for method in ("GET", "POST", "DELETE"):
        assert r.call(method, "/v1/image", good if method == "POST" else None)[0] == 401
    r.token = token
    assert r.progress()["order"] == "job-1"


def frozen(work):
    """Disks of an order take no writes until it is dropped, also after a restart; others do. What never arrived
    whole is no image."""
    store = work.store()
    sources = work.disks(8 * MIB, 4 * MIB)
    r = work.receiver.start()
    r.send(*sources)

    def write(disk, data):
        uri = f"nbds://127.0.0.1:{r.ports[1]}/{r.token}/disk{disk}?tls-certificates={work.dir}/certs"
        with open(f"{work.dir}/sector", "w") as f:
            f.write(data * 512)
        return subprocess.run(["nbdcopy", "--flush", f"{work.dir}/sector", uri], capture_output=True, text=True)

    subprocess.run(["mkdir", f"{work.dir}/certs"], check=True)
    subprocess.run(["cp", f"{work.dir}/state/cert.pem", f"{work.dir}/certs/ca-cert.pem"], check=True)
    one = order_of(store, [{}], numbers=[])
    r.order(one)
    for restart in (False, True):
        if restart:
            r.stop(signal.SIGKILL)
            r.start()
        got = write(0, "x")
        assert got.returncode != 0 and "not permitted" in got.stderr, got.stderr
    got = write(1, "x")
    assert got.returncode == 0, got.stderr
    r.drop()
    qemu("compare", "-f", "raw", "-F", "raw", sources[0], f"{work.dir}/target/disk0.raw")
    got = write(0, "x")
    assert got.returncode == 0, got.stderr
    # Now a chunk of each is not the migrator's any more.
    status, reply = r.call("POST", "/v1/image", one)
    assert (status, reply["code"]) == (409, "IMAGE_INCOMPLETE") and "1 chunks" in reply["message"], reply
    assert write(0, "y").returncode == 0
    two = order_of(store, [{}, {}], take_unknown=True)
    r.order(two)
    p = r.wait(is_finished, "finished")
    r.stop()
    check(work, store, p, [f"{work.dir}/target/disk{i}.raw" for i in range(2)])


def dropped(work):
    """DELETE in the middle breaks off at once; another order can follow."""
    store = work.store()
    (source,) = work.disks(20 * MIB)
    store.fault = lambda _, key, number, attempt: "stall" if number == 5 else None
    r = work.receiver.start()
    r.send(source)
    r.order(order_of(store, [{}], stall_s=600))
    r.wait(lambda p: store.attempts.get(("disk0", 5)), "in the middle")
    start = time.monotonic()
    r.drop()
    assert time.monotonic() - start < 250  # what is under way would last as long as its stall, 600 s
    store.fault = lambda *_: None
    store.objects.clear()
    r.order({**order_of(store, [{}]), "order": "job-2"})
    p = r.wait(is_finished, "finished")
    assert p["order"] == "job-2"
    check(work, store, p, [source])


def devices(work):
    """Block devices are sources as files are: killed and gone on with, frozen, compared with the journal."""
    store = work.store()
    sources = work.disks(12 * MIB + 512, 7 * MIB)
    loops = work.devices(12 * MIB + 512, 7 * MIB)
    r = work.receiver.start()
    assert r.call("GET", "/v1/target")[1]["kind"] == "devices"
    r.send(*sources)
    store.fault = lambda _, key, number, attempt: "stall" if (key, number, attempt) == ("disk0", 6, 1) else None
    r.order(order_of(store, [{}, {"format": "raw"}], stall_s=600))
    r.wait(lambda p: store.attempts.get(("disk0", 6)), "in the middle")
    r.stop(signal.SIGKILL)
    r.start()
    p = r.wait(is_finished, "finished after a kill")
    check(work, store, p, sources)
    r.drop()
    # A bit of a device flips, past every cache.
    with open(sources[0], "rb") as f:
        at = next(n * MIB for n in range(12) if any(f.read(MIB)))
    with open(loops[0], "r+b", buffering=0) as f:
        f.seek(at)
        sector = bytearray(f.read(512))
        sector[9] ^= 1
        f.seek(at)
        f.write(sector)
        os.fsync(f.fileno())
    r.order({**order_of(store, [{}, {"format": "raw"}]), "order": "job-2"})
    p = r.wait(lambda p: p["state"] == "InError", "the medium")
    assert p["code"] == "IMAGE_MEDIUM_DIFFERS" and "disk0" in p["message"] and f"byte {at} " in p["message"], p
    r.stop()


def paused(work):
    """A pause holds the parts back, also over a restart; the rate is taken while it runs; a root that was not verified
    ends it."""
    store = work.store()
    (source,) = work.disks(80 * MIB)
    r = work.receiver.start()
    r.send(source)
    o = order_of(store, [{"format": "raw"}], numbers=range(1, 100), connections=1)
    # Slow enough to be paused in the middle, however late: 80 MiB at 2 Mbit/s are 336 s.
    r.order({**o, "rate_mbit": 2})
    p = r.wait(lambda p: p["disks"][0]["parts_done"] > 1, "under way")
    assert p["rate_mbit"] == 2 and p["paused"] is False, p
    # Nothing but the pause holds it back now.
    p = r.order({**o, "pause": True, "rate_mbit": 0})
    assert p["paused"] is True and p["state"] == "Running", p
    # What is under way ends, one part at most, which the store may not know of yet; then nothing is sent.
    sent = len(store.attempts)
    time.sleep(1)
    r.wait(lambda p: len(store.attempts) == p["disks"][0]["parts_done"], "quiet")
    assert len(store.attempts) <= sent + 1 < 80, store.attempts
    r.stop()
    sent = len(store.attempts)
    r.start()
    assert r.progress()["paused"] is True
    time.sleep(1)
    assert len(store.attempts) == sent, store.attempts
    r.order({**o, "pause": False, "rate_mbit": 2})
    r.wait(lambda p: len(store.attempts) > sent, "going on")
    start = time.monotonic()
    r.order({**o, "rate_mbit": 0})
    p = r.wait(is_finished, "finished")
    # At the rate before, the rest takes 300 s and more.
    assert p["rate_mbit"] is None and time.monotonic() - start < 250, p
    check(work, store, p, [source])
    root = p["disks"][0]["root"]
    r.drop()
    store.objects.clear()
    r.order({**order_of(store, [{"root": root}], numbers=range(1, 100)), "order": "job-2"})
    check(work, store, r.wait(is_finished, "finished, as verified"), [source])
    r.drop()
    store.objects.clear()
    wrong = order_of(store, [{"root": root[:-1] + ("0" if root[-1] != "0" else "1")}], numbers=range(1, 100))
    r.order({**wrong, "order": "job-3"})
    p = r.wait(lambda p: p["state"] == "InError", "the wrong root")
    assert p["code"] == "IMAGE_MEDIUM_DIFFERS" and root in p["message"], p
    # The header of a qcow2 is its last part: without it there is no image.
    assert 1 not in store.objects.get("disk0", {}), store.objects.keys()


def trusted(work):
    """Over https only with a certificate that the order or the host trusts."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=store",
                    "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", f"{work.dir}/key.pem", "-out",
                    f"{work.dir}/ca.pem"], check=True, capture_output=True)
    store = work.store(tls=(f"{work.dir}/ca.pem", f"{work.dir}/key.pem"))
    (source,) = work.disks(6 * MIB)
    r = work.receiver.start()
    r.send(source)
    urls = {n: u.replace("127.0.0.1", "localhost") for n, u in store.urls("disk0", range(1, 20)).items()}
    o = order_of(store, [{"urls": urls}])
    r.order(o)
    p = r.wait(lambda p: p["state"] == "InError", "distrustful")
    assert p["code"] == "UPLOAD_TLS", p
    assert not store.objects
    with open(f"{work.dir}/ca.pem") as f:
        r.order({**o, "ca": f.read()})
    p = r.wait(is_finished, "finished")
    check(work, store, p, [source])


with Work() as w:
    {f.__name__: f for f in (whole, forgery_proof, faulty, killed, killed_in_the_end, expired, errors, refused, frozen, dropped,
                                      devices, paused, trusted)}[
        sys.argv[1]](w)
