# SPDX-License-Identifier: GPL-2.0-or-later
"""Jobs to which things happen: nothing in stock, a bad network, a wrong clock, every error code."""

import json
import os
import shutil
import signal

from harness import BEIJING, SINGAPORE, Emulator, Failed, Job, Source, check_clean, small_disks, wait_until, whole


def sold_out(folder):
    """The first choices of instance type cannot be had; the next is taken."""
    with Emulator(folder, sold_out=["ecs.t6*", "ecs.t5*", "ecs.s6-c1m1*", "ecs.n4*", "ecs.n1*"]) as emulator:
        state = whole(folder, emulator, way="ecs", **SINGAPORE)
        if state["made"]["instance"] != 1:
            raise Failed(f"made {state['made']}")


def cleaned_while_it_runs(folder):
    """`pipeline clean` on the host of a job that runs leaves that job's things alone."""
    with Emulator(folder) as emulator:
        source, job = Source(folder, small_disks(folder)), Job(folder, emulator, way="direct", **BEIJING)
        job.run()
        job.wait_syncing()
        job.clean()
        if job.follow(source) != 0:
            raise Failed(job.tail())
        check_clean(emulator.state())


def small_data_disk(folder):
    """A data disk smaller than the next disk category has: it is made as small as that allows."""
    with Emulator(folder) as emulator:
        source = Source(folder, small_disks(folder, 2))
        for nth in (1, 2):
            emulator.fault("error", action="RunInstances", nth=nth, code="InvalidDataDiskCategory.ValueNotSupported")
        job = Job(folder, emulator, way="direct", **{**BEIJING, "disks": [{"size_gib": 20}, {"size_gib": 1}]})
        job.run()
        if job.follow(source) != 0:
            raise Failed(job.tail())
        check_clean(emulator.state())
        made = [c["params"] for c in emulator.calls() if c["action"] == "RunInstances"][-1]
        if (made["DataDisk.2.Category"], made["DataDisk.2.Size"]) != ("cloud_ssd", "20"):
            raise Failed(f"made with {made}")


def disturbed(folder):
    """Throttling, errors of the servers, and replies that are lost after the effect."""
    with Emulator(folder) as emulator:
        # Not of the object store, which has no such code; and of a HEAD there only the status arrives, 400.
        emulator.fault("error", chance=0.08, product="[!o]*", code="Throttling.User", retry_after_ms=50)
        emulator.fault("error", chance=0.05, code="ServiceUnavailable", product="*")
        emulator.fault("lost-reply", chance=0.08)
        emulator.fault("refuse", chance=0.05)
        emulator.fault("lost-reply", origin="instance", action="UploadPart", nth=1)
        for way, where in (("ecs", SINGAPORE), ("direct", BEIJING)):
            job = os.path.join(folder, way)
            os.makedirs(job)
            state = whole(job, emulator, images=1 if way == "ecs" else 2, way=way, **where)
        print(f"{len(state['faults_applied'])} faults in {state['client_calls']} calls")
        if len(state["faults_applied"]) < 5:
            raise Failed("hardly anything went wrong; the course shows little")


def broken_links(folder):
    """Connections to the receiver's control service break in the middle, and some at once, whatever was being said: all of it is
    said again, in both runs of a job."""
    with Emulator(folder) as emulator:
        source = Source(folder, small_disks(folder))
        job = Job(folder, emulator, way="direct", run_once=False, max_images=2, **BEIJING)
        for run in range(2):
            # From a handshake and one request on; an order for images has more bytes, with its URLs, than all of these.
            emulator.set(lives=[900, 1100, 0, 1300, 1500, 1700, 0, 0, 2000, 2500, 3000, 20000])
            if run:
                job.begin("cut-over", "web1")
            else:
                job.run()
            job.copied = False
            if job.follow(source) != 0:
                raise Failed(job.tail())
            if emulator.ask("GET", "config")["lives"]:
                raise Failed("the connections did not break; the course shows nothing")
        check_clean(emulator.state(), images=2)


def wrong_clock(folder):
    """The clock of this host is 20 minutes off."""
    with Emulator(folder, skew_s=1200) as emulator:
        whole(folder, emulator, way="ecs", **SINGAPORE)


def forgotten(folder):
    """The state directory is lost in the middle; what the job made is found by its tag and removed."""
    with Emulator(folder) as emulator:
        source = Source(folder, small_disks(folder))
        # Exports are still under way when somebody cleans.
        emulator.set(hold=["export"])
        for what, way in (("PutObject", "direct"), ("RunInstances", "direct"), ("InitiateMultipartUpload", "direct"),
                          ("CreateSnapshot", "ecs"), ("CreateImage", "ecs"), ("ExportImage", "ecs"), ("ImportImage", "direct")):
            emulator.ask("POST", "reset", {})
            job = Job(os.path.join(folder, what), emulator, way=way, **SINGAPORE)
            job.run(held=True)
            emulator.fault("kill-after", action=what, nth=1, pid=job.process.pid)
            job.go()
            if job.follow(source) != -signal.SIGKILL:
                raise Failed(f"it was not killed at {what}:\n{job.tail()}")
            shutil.rmtree(job.state)
            os.makedirs(job.state)
            if not emulator.state()["left_over"]:
                raise Failed("there is nothing to clean")
            job.clean()
            check_clean(emulator.state(), images=None)


def disk_left_behind(folder):
    """Of four data disks one was taken out of the instance, one is not to go with it, one was given to another job and one to
    somebody's instance. `clean` of the job removes the first two, with the state directory and without; then the third goes by
    its own tag, and the fourth stays."""
    with Emulator(folder, real_instances=False) as emulator:
        for lost in (False, True):
            emulator.ask("POST", "reset", {})
            job = Job(os.path.join(folder, "lost" if lost else "kept"), emulator, way="direct",
                      **{**BEIJING, "disks": [{"size_gib": 20}] * 4})
            job.run()
            things = lambda kind: emulator.state()["things"].get(kind, [])
            wait_until("instance", lambda: job.ended() or any(i["status"] == "Running" for i in things("instance")))
            job.process.kill()
            job.process.wait()
            ours = things("instance")[0]["tags"]["coldlift-job"]
            disks = sorted((d for d in things("disk") if d["type"] == "data"), key=lambda d: d["n"])
            out, stays, other, lent = [d["id"] for d in disks]
            alone = {"instance": "", "status": "Available", "device": ""}
            emulator.ask("PATCH", f"things/disk/{out}", alone)
            emulator.ask("PATCH", f"things/disk/{stays}", {"delete_with_instance": False})
            emulator.ask("PATCH", f"things/disk/{other}", {**alone, "tags": {"coldlift-job": "j-0123456789abcdef"}})
            emulator.ask("PATCH", f"things/disk/{lent}", {"instance": "i-of-somebody"})
            if lost:
                shutil.rmtree(job.state)
                os.makedirs(job.state)
            for words, left in (((ours,), [other, lent]), ((), [lent])):
                job.clean(*words)
                state = emulator.state()
                if sorted(state["left_over"]) != sorted(f"disk {ident}" for ident in left) or state["errors"]:
                    raise Failed(f"after clean {words} there is {state['left_over']}, not {left}; {state['errors']}")
            deleted = [c["params"]["DiskId"] for c in emulator.calls() if c["action"] == "DeleteDisk"]
            if sorted(deleted) != sorted([out, stays, other]):
                raise Failed(f"deleted {deleted}")


# Codes that ask for another try, by the action that they come from; a job meets all of them on its way and ends well.
AGAIN = {
    "CreateVpc": "Throttling Throttling.User Throttling.Api Throttling.ConcurrentLimitExceeded Rejected.Throttling",
    "CreateVSwitch": "TaskConflict IncorrectVSwitchStatus IncorrectVpcStatus OperationConflict OperationFailed.DistibuteLock",
    "CreateSecurityGroup": "ServiceUnavailable ServiceUnavailable.RegionMaintaining InternalError UnknownError SystemBusy",
    "AuthorizeSecurityGroup": "Operation.Conflict InvalidOperation.Conflict SignatureNonceUsed Throttling.DeepPageSkip",
    "RunInstances": "IdempotentProcessing LastTokenProcessing OperationFailed.LastTokenProcessing TOKEN_PROCESSING "
                    "OperationDenied.NoStock InvalidInstanceType.ZoneNotSupported InvalidInstanceType.NotSupported "
                    "InvalidSystemDiskCategory.ValueNotSupported InvalidDataDiskCategory.ValueNotSupported",
    "StopInstance": "IncorrectInstanceStatus IncorrectInstanceStatus.Initializing",
    "CreateSnapshot": "IncorrectDiskStatus IncorrectDiskStatus.Initializing IncorrectDiskStatus.CreatingSnapshot "
                      "IncorrectDiskStatus.Transferring IncorrectVolumeStatus",
    "CreateImage": "InvalidSnapshotId.NotReady InvalidImageName.Duplicated",
    "ExportImage": "ServiceUnavailable",
    "ImportImage": "CallInterface",
    "DeleteInstance": "IncorrectInstanceStatus OperationConflict",
    "DeleteImage": "ImageIsImporting",
    "DeleteSecurityGroup": "DependencyViolation",
    "DeleteVSwitch": "DependencyViolation IncorrectRouteEntryStatus",
    "DeleteVpc": "DependencyViolation.VSwitch DependencyViolation.SecurityGroup Forbbiden IncorrectVpcStatus",
}
# Codes that end a run and are told; `retry` goes on when the reason has gone.
FINAL = ("QuotaExceeded.Vpc QuotaExceeded InvalidAccountStatus.NotEnoughBalance InsufficientBalance Account.Arrearage "
         "InvalidPayMethod PaymentMethodNotFound InvalidAccountStatus.SnapshotServiceUnavailable RealNameAuthenticationError "
         "Forbidden.RAM Forbidden.Unauthorized Forbidden.SubUser Forbidden Forbidden.NotSupportRAM Forbidden.RiskControl "
         "InvalidAccessKeyId.NotFound InvalidAccessKeyId.Inactive Forbidden.AccessKeyDisabled SignatureDoesNotMatch "
         "IncompleteSignature InvalidParameter MissingParameter InvalidCidrBlock.Malformed IdempotentParameterMismatch "
         "InvalidIdempotenceParameter.Mismatch IdempotenceParamNotMatch InvalidParamter.Conflict NoPermission").split()


def met_codes(folder):
    """Every code that asks for another try comes once or more; the job ends in one image all the same."""
    with Emulator(folder) as emulator:
        for action, codes in AGAIN.items():
            for n, code in enumerate(codes.split(), 1):
                emulator.fault("error", action=action, nth=n, code=code)
        state = whole(folder, emulator, way="ecs", **SINGAPORE)
        met = {f"{a['action']} {a['code']}" for a in state["faults_applied"]}
        missed = {f"{action} {code}" for action, codes in AGAIN.items() for code in codes.split()} - met
        if missed:
            raise Failed(f"not met: {missed}")


def told_codes(folder):
    """Every code that ends a run is told by its name, with a sentence; when its reason has gone the job can be retried."""
    with Emulator(folder, real_instances=False) as emulator:
        job = Job(folder, emulator, way="direct", **BEIJING)
        for n, code in enumerate(FINAL):
            emulator.ask("DELETE", "faults")
            emulator.fault("error", action="CreateVpc", nth=1, code=code)
            job.begin("retry", "web1") if n else job.run()
            status = job.wait()
            told = job.status()
            if status != 1 or told.get("state") != "InError" or code not in json.dumps(told):
                raise Failed(f"{code}: ended with {status}: {told}\n{job.tail(10)}")
        job.begin("delete", "web1")
        if job.wait() != 0:
            raise Failed(job.tail(10))
        check_clean(emulator.state(), images=0)
