#!/usr/bin/env bash
# A whole job with keys of the vendor tool's configuration file that assume a role: the secrets are on no command line, in no file
# of the job, of the instance or of the bucket, and not in what the program says at its finest level. The session's token stands in
# the presigned URL that the instance gets (it is nothing without its secret), and nowhere else.
# shellcheck source=tests/cloud/lib.sh
. "$(dirname "$0")/lib.sh"
python3 - "$work" <<'PY'
import glob
import json
import os
import secrets
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, "tests/cloud")
import harness
from harness import Emulator, Failed, Job, Source, check_clean

folder = sys.argv[1]
SECRET = "s3cr3t-" + secrets.token_hex(8)
wanted, tokens = {SECRET}, set()
home = os.path.join(folder, "home")
os.makedirs(os.path.join(home, ".aliyun"))
path = os.path.join(home, ".aliyun", "config.json")
with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as f:
    json.dump({"current": "role", "profiles": [{
        "name": "role", "mode": "RamRoleArn", "access_key_id": "emulated-key", "access_key_secret": SECRET,
        "ram_role_arn": "acs:ram::1000000000000001:role/worker", "ram_session_name": "test"}]}, f)


def look():
    """At the command lines of all processes."""
    for name in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(name, "rb") as f:
                seen.add(f.read())
        except OSError:
            pass


def look_again():
    while not over.wait(0.05):
        look()


disk = os.path.join(folder, "source0.raw")
with open(disk, "wb") as f:
    f.write(os.urandom(2 << 20))
    f.truncate(16 << 20)
seen, over = set(), threading.Event()
watcher = threading.Thread(target=look_again)
watcher.start()
try:
    with Emulator(os.path.join(folder, "cloud")) as emulator:
        emulator.set(keys={"emulated-key": {"secret": SECRET}})
        plain = emulator.environment
        emulator.environment = lambda: {k: v for k, v in {**plain(), "HOME": home}.items() if not k.startswith("ALIBABA_CLOUD_")}
        job = Job(os.path.join(folder, "job"), emulator, way="ecs", storage_region="ap-southeast-1", bucket="coldlift-singapore")
        job.begin("run", "--verbose", "--job", os.path.join(job.folder, "job.json"))
        source = Source(job.folder, [disk])
        code = job.wait_syncing()
        # All that takes part runs now, and cannot come to its end.
        emulator.set(let_in={"8703": 1 << 20})
        copy = source.begin(code)
        look()
        emulator.set(let_in={"8703": None})
        job.copied = copy.wait(harness.PATIENCE_S) == 0
        status = job.follow(source)
        if status != 0:
            raise Failed(f"pipeline ended with {status}:\n{job.tail()}")
        calls = emulator.calls()
        state = emulator.state()
        wanted |= {s["AccessKeySecret"] for s in emulator.ask("GET", "sessions")}
        tokens |= {s["SecurityToken"] for s in emulator.ask("GET", "sessions")}
        check_clean(state)
finally:
    over.set()
    watcher.join()
if len(wanted) < 2 or not tokens or not any(c["action"] == "AssumeRole" for c in calls):
    raise Failed("no role was assumed; the test shows nothing")
for name in (b"migrator", b"pipeline", b"receiver"):
    if not any(os.path.basename(line.split(b"\0")[0]) == name for line in seen):
        raise Failed(f"no command line of the {name.decode()} was seen; the test shows nothing")


def check(where, data, these=None):
    for secret in these or wanted | tokens:
        if secret.encode() in data:
            raise Failed(f"{where} has a secret in it: {data[:200]}")


for line in seen:
    check("a command line", line)
files = 0
for root, _, names in os.walk(folder):
    for name in names:
        if os.path.join(root, name) != path and not name.startswith("emulator."):
            with open(os.path.join(root, name), "rb") as f:
                check(os.path.join(root, name), f.read(32 << 20), wanted if root.startswith(emulator.folder) else None)
            files += 1
if files < 10 or os.path.getsize(job.log) < 1000:
    raise Failed("hardly anything was looked at")
PY
