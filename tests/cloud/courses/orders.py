# SPDX-License-Identifier: GPL-2.0-or-later
"""Jobs that get orders, fail in the middle, or run again; and what is opened, kept and left alone meanwhile."""

import json
import os

from harness import BEIJING, PATIENCE_S, SINGAPORE, Emulator, Failed, Job, Source, check_clean, small_disks, wait_until


def job_of(folder, emulator, **options):
    return Source(folder, small_disks(folder)), Job(folder, emulator, **options)


def failed_on_the_way(folder):
    """A snapshot, an image, an export and an import that fail for good each end a run; `retry` makes another of what failed, and
    of the failed ones nothing stays."""
    with Emulator(folder, failures={"snapshot": 1, "image": 1, "export": 1, "import": 1}) as emulator:
        source, job = job_of(folder, emulator, way="ecs", **SINGAPORE)
        job.run()
        ends = [job.follow(source)]
        while ends[-1] == 1 and len(ends) < 6:
            if job.status().get("state") != "InError":
                raise Failed(f"not InError: {job.status()}")
            told = job.status()["error"]
            if told["step"] == "export" and "ExportImageFailed: the export failed by order" not in told["reason"]:
                raise Failed(f"the task's own reason is not told: {told}")
            job.begin("retry", "web1")
            ends.append(job.follow(source))
        if ends != [1, 1, 1, 1, 0]:
            raise Failed(f"ended with {ends}:\n{job.tail()}")
        check_clean(emulator.state())


BEFORE_INSTANCE = {"vpc", "vswitch", "security-group", "program"}
KEPT = BEFORE_INSTANCE | {"instance", "snapshots", "image", "export"}


def kept_and_what_it_costs(folder):
    """A job that failed behind its copy keeps what it needs to go on, and says what that costs and how to be rid of it; also where
    the price may not be asked for. The order that it names then gives everything back."""
    with Emulator(folder) as emulator:
        for n, price in enumerate(("CNY an hour", "could not be asked for: Forbidden.RAM")):
            emulator.ask("POST", "reset", {})
            emulator.fault("error", action="ExportImage", code="Forbidden.RAM")
            if n:
                emulator.fault("error", action="DescribePrice", code="Forbidden.RAM")
            here = os.path.join(folder, str(n))
            os.makedirs(here)
            source, job = job_of(here, emulator, way="ecs", **SINGAPORE)
            job.run()
            if job.follow(source) != 1:
                raise Failed(f"it did not fail:\n{job.tail()}")
            kept = {k["what"]: k for k in job.status()["kept"]}
            things = emulator.state()["things"]
            instance = things["instance"][0]
            if kept.keys() != KEPT or kept["instance"]["id"] != instance["id"]:
                raise Failed(f"kept: {kept}; there: {things}")
            if "disks of 20 + 20 GiB" not in kept["instance"]["costs"] or price not in kept["instance"]["costs"]:
                raise Failed(f"costs: {kept['instance']['costs']}")
            told = job.tail()
            if "pipeline cancel web1 gives it back." not in told or f"Kept: instance {instance['id']}" not in told:
                raise Failed(f"not told:\n{told}")
            job.begin("cancel", "web1")
            if job.wait() != 0:
                raise Failed(job.tail())
            check_clean(emulator.state(), images=0)
        emulator.ask("POST", "reset", {})
        emulator.fault("error", action="RunInstances", code="Forbidden.RAM")
        os.makedirs(os.path.join(folder, "none"))
        source, job = job_of(os.path.join(folder, "none"), emulator, way="ecs", **SINGAPORE)
        job.run()
        if job.follow(source) != 1 or {k["what"] for k in job.status()["kept"]} != BEFORE_INSTANCE:
            raise Failed(f"without an instance there is kept: {job.status()}")


def cancelled(folder):
    """Cancelled while it waits for data, and while it makes the image: everything is given back."""
    with Emulator(folder) as emulator:
        for n, (way, action) in enumerate((("direct", None), ("ecs", "CreateImage"))):
            emulator.ask("POST", "reset", {})
            here = os.path.join(folder, str(n))
            os.makedirs(here)
            source, job = job_of(here, emulator, way=way, **SINGAPORE)
            job.run()
            code = job.wait_syncing()
            if action:
                emulator.set(hold=["image"])
                if source.send(code) != 0:
                    raise Failed("nothing was copied")
                wait_until("the source to be heard", lambda: source.says(code, "Finished") is not None)
                wait_until(action, lambda: job.ended() or any(c["action"] == action for c in emulator.calls()))
            job.order("cancel")
            if job.wait() not in (0, 75):
                raise Failed(f"ended with {job.process.returncode}:\n{job.tail()}")
            check_clean(emulator.state(), images=0)
            emulator.set(hold=False)


def diagnosed(folder):
    """The source's log stands in the bucket when the job says so, without what opens the receiver, until the job is deleted."""
    with Emulator(folder) as emulator:
        source, job = job_of(folder, emulator, way="direct", diagnostics_to="bucket", **SINGAPORE)
        job.run()
        code = job.wait_syncing()
        wait_until("the log", lambda: source.call(code, "PUT", "/v1/log", f"a line of the source\n{code}\n".encode()))
        if job.follow(source) != 0:
            raise Failed(f"failed:\n{job.tail()}")
        state = emulator.state()
        check_clean({**state, "left_over": [t for t in state["left_over"] if "/diagnostics/" not in t]})
        kept = [t for t in state["left_over"] if t.endswith("/diagnostics/run1/source.log")]
        if len(kept) != 1:
            raise Failed(f"no log in the bucket: {state['left_over']}")
        for where, _, names in os.walk(folder):
            for name in names:
                with open(os.path.join(where, name), "rb") as f:
                    text = f.read()
                if b"a line of the source" in text and ("diagnostics" in where or "objects" in where) and code.encode() in text:
                    raise Failed(f"{where}/{name} has the activation code")
        job.order("delete")
        check_clean(emulator.state())


def crashed(folder):
    """The intermediate instance loses its power while data comes in, and again while the image goes out: it comes back by
    itself with the same activation code and state, and both go on where they were. The receiver alone is killed, too."""
    crashes(folder, systemd=False)


def crashed_with_systemd(folder):
    crashes(folder, systemd=True)


def crashes(folder, *, systemd):
    with Emulator(folder, instance_systemd=systemd) as emulator:
        # Two parts and a head in the store.
        with open(os.path.join(folder, "noise.raw"), "wb") as f:
            f.write(os.urandom(24 << 20))
            f.truncate(20 << 30)
        source = Source(folder, [os.path.join(folder, "noise.raw")])
        job = Job(folder, emulator, way="direct", disks=[{"size_gib": 20}], **SINGAPORE)
        job.run()
        code = job.wait_syncing()
        ident = emulator.state()["things"]["instance"][0]["id"]
        # Half of it comes in, and is made durable; the rest waits until behind the crash.
        emulator.set(let_in={"8703": 12 << 20})
        copy = source.begin(code, "--patience-s", str(PATIENCE_S), "--json")

        def half_is_durable():
            disks = (source.call(code, "GET", "/v1/target", None) or {}).get("disks", [])
            return any(d["written_bytes"] > 8 << 20 and d["pending_chunks"] == 0 for d in disks)
        wait_until("the middle of the copy", lambda: copy.poll() is not None or half_is_durable())
        if copy.poll() is not None:
            raise Failed("the copy was over before the crash")
        emulator.ask("POST", f"crash/{ident}", {})
        emulator.set(let_in={"8703": None})
        told, _ = copy.communicate(timeout=PATIENCE_S)
        if copy.returncode:
            raise Failed(f"the copy ended with {copy.returncode}:\n{told}")
        result = json.loads(told)
        # 24 chunks, of which 8 at least are durable and 11 at most were sent: 33 and more when it begins anew, else 27 at most.
        if result["reconnects"] < 1 or result["disks"][0]["sent_chunks"] > 30:
            raise Failed(f"it did not go on: {result}")
        if emulator.ask("POST", f"kill/{ident}/receiver", {})["killed"] < 1:
            raise Failed("there is no receiver in the instance")
        wait_until("the receiver's return", lambda: source.call(code, "GET", "/v1/target", None))
        job.copied = True
        emulator.fault("hold", origin="instance", action="UploadPart", nth=2)
        source.says(code, "Finished")
        wait_until("the upload", lambda: job.ended() or any(f["do"] == "hold" for f in emulator.state()["faults_applied"]))
        if job.ended():
            raise Failed(f"the job ended before the second crash:\n{job.tail()}")
        emulator.ask("POST", f"crash/{ident}", {})
        emulator.ask("DELETE", "faults")
        if job.follow(source) != 0:
            raise Failed(f"the job failed:\n{job.tail()}")
        if job.activation() != code:
            raise Failed("the activation code changed")
        state = emulator.state()
        check_clean(state)
        if state["made"]["instance"] != 1:
            raise Failed(f"made {state['made']}")


def incremental(folder):
    """Two runs and a cut-over of one job that keeps two images, on both ways: the instance stays between the runs, and goes at the
    end. The images that stay are the newest, under the prefix that was given; all that the job made has its tags."""
    with Emulator(folder) as emulator:
        for way, where in (("direct", BEIJING), ("ecs", SINGAPORE)):
            emulator.ask("POST", "reset", {})
            here = os.path.join(folder, way)
            os.makedirs(here)
            source, job = job_of(here, emulator, way=way, run_once=False, max_images=2, image_name_prefix="shop-2026",
                                 licence_type="BYOL", tags={f"key{n}": f"value {n}" for n in range(20)}, **where)
            job.run()
            for run in range(3):
                status = job.follow(source)
                if status != 0:
                    raise Failed(f"run {run + 1} ended with {status}:\n{job.tail()}")
                wanted = "Finished" if run == 2 else "Waiting"
                if job.status().get("state") != wanted:
                    raise Failed(f"not {wanted} but {job.status()}")
                if run == 0:
                    tags = emulator.state()["things"]["instance"][0]["tags"]
                    if len(tags) != 20 or "coldlift-job" not in tags or tags["key18"] != "value 18":
                        raise Failed(f"the instance has the tags {tags}")
                if run < 2:
                    job.copied = False
                    job.begin("cut-over" if run else "start", "web1")
            state = emulator.state()
            check_clean(state, images=2)
            if state["made"]["instance"] != 1 or state["made"]["ens_image"] != 3:
                raise Failed(f"made {state['made']}")
            names = sorted(i["name"] for i in state["ens_images"])
            wanted = [f"shop-2026_{job.status()['id'][2:]}_r{run}" for run in (2, 3)]
            if names != wanted:
                raise Failed(f"the images are {names}, not {wanted}")
            imports = [c for c in emulator.calls() if c["action"] == "ImportImage"]
            if any(c["params"].get("LicenseType") != "BYOL" for c in imports):
                raise Failed(f"imported by {imports}")


def corrected(folder):
    """A bucket in another region ends the job before anything is made, and says so. Cancelled, the job takes another bucket."""
    with Emulator(folder) as emulator:
        source, job = job_of(folder, emulator, way="direct", **{**BEIJING, "bucket": SINGAPORE["bucket"]})
        job.run()
        if job.follow(source) != 1 or job.status()["error"]["code"] != "InvalidOSSBucket.NotMatched":
            raise Failed(f"it is not told that the bucket is elsewhere:\n{job.tail()}")
        right = f"bucket={BEIJING['bucket']}"
        try:
            job.order("modify", right)
            raise Failed("the bucket of a job that has begun was changed")
        except Failed as why:
            if "cancel it first" not in str(why):
                raise
        job.order("cancel")
        job.order("modify", right)
        job.start()
        if job.follow(source) != 0:
            raise Failed(job.tail())
        check_clean(emulator.state())


def opened_to_the_source_alone(folder):
    """Two ports, one address; the network that was given is used and left alone."""
    with Emulator(folder) as emulator:
        first = os.path.join(folder, "first")
        os.makedirs(first)
        _, job = job_of(first, emulator, way="direct", **BEIJING)
        job.run()
        job.wait_syncing()
        things = emulator.state()["things"]
        rules = sorted((r["IpProtocol"], r["PortRange"], r["SourceCidrIp"]) for g in things["group"] for r in g["rules"])
        if rules != [("TCP", "8080/8080", "127.0.0.1/32"), ("TCP", "8703/8703", "127.0.0.1/32")]:
            raise Failed(f"opened: {rules}")
        if things["instance"][0]["name"] != "No_Delete_SMC_Transition_Instance":
            raise Failed(f"the instance is called {things['instance'][0]['name']}")
        untagged = [f"{t['kind']} {t['id']}" for kind in ("vpc", "vswitch", "group", "instance", "disk")
                    for t in things[kind] if "coldlift-job" not in t["tags"]]
        if untagged:
            raise Failed(f"without a tag: {untagged}")
        given = {"vpc_id": things["vpc"][0]["id"], "vswitch_id": things["vswitch"][0]["id"]}
        for n, network in enumerate((given, {"vpc_name": things["vpc"][0]["name"]},
                                     {"vpc_name": things["vpc"][0]["name"], "vswitch_name": things["vswitch"][0]["name"]}), 1):
            here = os.path.join(folder, str(n))
            os.makedirs(here)
            source, other = job_of(here, emulator, way="direct", **BEIJING, **network)
            other.run()
            if other.follow(source) != 0:
                raise Failed(other.tail())
            state = emulator.state()
            left = [entry for entry in state["left_over"] if given["vpc_id"] in entry or given["vswitch_id"] in entry]
            if len(left) != 2 or state["made"]["vpc"] != 1 or state["made"]["vswitch"] != 1:
                raise Failed(f"the network that was given was not used, or is gone: {state['made']}")
        for network, code in (({"vpc_name": "nobody's"}, "InvalidVpcId.NotFound"),
                              ({"vpc_name": things["vpc"][0]["name"], "vswitch_name": "none"}, "InvalidVSwitchId.NotFound")):
            here = os.path.join(folder, code)
            os.makedirs(here)
            source, other = job_of(here, emulator, way="direct", **BEIJING, **network)
            other.run()
            if other.follow(source) != 1 or other.status()["error"]["code"] != code:
                raise Failed(f"{network}: {other.tail()}")
        job.order("cancel")
        job.wait()
        check_clean(emulator.state(), images=3)


def older_signatures(folder):
    """RPC V1 and OSS V1, a versioned bucket, and keys of a role instead of a user's: from a metadata service that asks for a
    session with it, and each good for less than a client looks ahead, so that new ones are asked for again and again. Lists come
    in pieces of one entry."""
    bucket = {"coldlift-singapore": {"region": "ap-southeast-1", "versioning": "Enabled"}}
    with Emulator(folder, buckets=bucket, metadata_role="operator", metadata_tokens=True, session_s=250,
                  oss_page=1, describe_page=1) as emulator:
        more = {"COLDLIFT_RPC_SIGNATURE": "v1", "COLDLIFT_OSS_SIGNATURE": "v1", "ALIBABA_CLOUD_ACCESS_KEY_ID": "",
                "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "", "HOME": folder,
                "COLDLIFT_ENDPOINT_METADATA": f"{emulator.endpoint}/_emulator/metadata"}
        for n, way in enumerate(("direct", "ecs"), 1):
            os.makedirs(os.path.join(folder, way))
            source, job = job_of(os.path.join(folder, way), emulator, way=way, **SINGAPORE)
            job.run(**more)
            if job.follow(source) != 0:
                raise Failed(job.tail())
            check_clean(emulator.state(), images=n)
        if len(emulator.ask("GET", "sessions")) < 3:
            raise Failed("the keys were never renewed")
        schemes = {(c["product"], c["scheme"]) for c in emulator.calls() if c["origin"] == "client"}
        if not {("ecs", "V1"), ("vpc", "V1"), ("ens", "V1"), ("oss", "V1")} <= schemes:
            raise Failed(f"signed by {schemes}")
