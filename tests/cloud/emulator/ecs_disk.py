# SPDX-License-Identifier: GPL-2.0-or-later
"""ECS 2014-05-26: disks and snapshots. A disk is a sparse file, a snapshot a sparse copy of it."""

import os

from .errors import ApiError
from .params import TAGS, TOKEN_PAGE
from .rpc import action
from .store import page, tag_list, tags_match

GIB = 1 << 30
# GiB, by category; cloud_essd as PL1, and from 1 as PL0.
SIZES = {"cloud_essd": (20, 65536), "cloud_efficiency": (20, 32768), "cloud_ssd": (20, 32768), "cloud": (5, 2000),
         "cloud_auto": (1, 65536), "cloud_essd_entry": (10, 32768)}


def describe_disk_sizes(disk):
    """Refuse a new data disk of an impossible size or category."""
    if "Size" not in disk and "SnapshotId" not in disk:
        raise ApiError("MissingParameter", "The input parameter \"DataDisk.Size\" that is mandatory for processing this "
                                           "request is not supplied.")
    low, high = SIZES[disk.get("Category", "cloud_efficiency")]
    if disk.get("PerformanceLevel") == "PL0":
        low = 1
    if not low <= int(disk.get("Size", low)) <= high:
        raise ApiError("InvalidDataDiskSize.ValueNotSupported", "The specified DataDisk.Size is beyond the permitted range.",
                       status=400)


def attach_new_disk(cloud, instance, kind, wanted, n):
    disk = cloud.store.add("disk", region=instance.region, zone=instance.zone, type=kind, size_gib=int(wanted["Size"]),
                           category=wanted.get("Category", "cloud_efficiency"), instance=instance.id, status="In_use",
                           name=wanted.get("DiskName", ""), device=f"/dev/xvd{chr(ord('a') + n)}", n=n,
                           delete_with_instance=wanted.get("DeleteWithInstance", "true") == "true", attached_once=True)
    disk.tags = dict(instance.tags)
    disk.serial = disk.id[2:]
    disk._path = cloud.store.path("disks", disk.id + ".raw")
    with open(disk._path, "wb") as f:
        f.truncate(disk.size_gib * cloud.config["gib_bytes"])
    if wanted.get("SnapshotId"):
        snapshot = cloud.store.get("snapshot", wanted["SnapshotId"], "InvalidSnapshotId.NotFound")
        cloud.copy_sparse(snapshot._path, disk._path)
    return disk


def disks_of(cloud, instance):
    return sorted(cloud.store.all("disk", instance=instance.id), key=lambda d: d.n)


def release_disk(cloud, disk):
    """The instance has gone; its disk goes too, or stands by itself."""
    if disk.delete_with_instance or disk.type == "system":
        drop_disk(cloud, disk)
    else:
        disk.instance, disk.status, disk.device = "", "Available", ""


def drop_disk(cloud, disk):
    if os.path.exists(disk._path):
        os.unlink(disk._path)
    cloud.store.remove(disk)


def describe_disk(d):
    attachments = [{"InstanceId": d.instance, "Device": d.device}] if d.instance else []
    return {"DiskId": d.id, "DiskName": d.name, "Type": d.type, "Status": d.status, "Device": d.device, "Size": d.size_gib,
            "Category": d.category, "InstanceId": d.instance, "SerialNumber": d.serial, "RegionId": d.region,
            "ZoneId": d.zone, "DeleteWithInstance": d.delete_with_instance, "Portable": d.type == "data",
            "CreationTime": d.created, "Attachments": {"Attachment": attachments}, "Tags": tag_list(d)}


@action("ecs", "DescribeDisks", TOKEN_PAGE + TAGS + """
RegionId!            text
ZoneId               text
DiskIds              json InvalidDiskIds.Malformed
InstanceId           text
DiskType             enum all|system|data
Status               enum In_use|Available|Attaching|Detaching|Creating|ReIniting|All
DiskName             text
Category             text
""")
async def describe_disks(cloud, p):
    ids = p.json("DiskIds")
    entries = [d for d in cloud.store.seen("disk", p["RegionId"])
               if (ids is None or d.id in ids) and p.get("InstanceId") in (None, d.instance)
               and p.get("DiskType", "all") in ("all", d.type) and p.get("Status", "All") in ("All", d.status)
               and p.get("DiskName") in (None, d.name) and tags_match(d, p.tags())]
    some, keys = page(p, entries)
    return {"Disks": {"Disk": [describe_disk(d) for d in some]}, **keys}


@action("ecs", "DetachDisk", """
InstanceId!          text
DiskId!              text
DeleteWithInstance   bool
""")
async def detach_disk(cloud, p):
    disk = cloud.store.get("disk", p["DiskId"], "InvalidDiskId.NotFound")
    instance = cloud.store.get("instance", p["InstanceId"], "InvalidInstanceId.NotFound")
    if disk.status == "Available":
        raise ApiError("InvalidDisk.AlreadyDetached", "The specified disk has been detached.")
    if disk.instance != instance.id:
        raise ApiError("DependencyViolation", "The specified disk has not been attached to the specified instance.")
    if disk.status != "In_use":
        raise ApiError("IncorrectDiskStatus", "The current disk status does not support this operation.")
    if instance.status not in (("Stopped",) if disk.type == "system" else ("Running", "Stopped")):
        raise ApiError("IncorrectInstanceStatus", "The current status of the resource does not support this operation.")
    disk.status = "Detaching"
    cloud.spawn(detach(cloud, instance, disk))
    return {}


async def detach(cloud, instance, disk):
    await cloud.takes("disk_detach")
    instance._machine.unplug(disk)
    disk.instance, disk.status, disk.device = "", "Available", ""


@action("ecs", "AttachDisk", """
InstanceId!          text
DiskId!              text
DeleteWithInstance   bool
Device               text
Bootable             bool
""")
async def attach_disk(cloud, p):
    disk = cloud.store.get("disk", p["DiskId"], "InvalidDiskId.NotFound")
    instance = cloud.store.get("instance", p["InstanceId"], "InvalidInstanceId.NotFound")
    if disk.status != "Available" or instance.status != "Stopped":
        raise ApiError("IncorrectDiskStatus" if disk.status != "Available" else "IncorrectInstanceStatus")
    disk.instance, disk.status = instance.id, "In_use"
    disk.n = max((d.n for d in disks_of(cloud, instance) if d is not disk), default=0) + 1
    disk.device = f"/dev/xvd{chr(ord('a') + disk.n)}"
    disk.delete_with_instance = p.flag("DeleteWithInstance")
    return {}


@action("ecs", "DeleteDisk", "DiskId! text")
async def delete_disk(cloud, p):
    disk = cloud.store.find("disk", p["DiskId"])
    if disk is not None:
        if disk.status != "Available":
            raise ApiError("IncorrectDiskStatus", "The current disk status does not support this operation.")
        drop_disk(cloud, disk)
    return {}


# ---- snapshots ----

def check_can_be_snapshotted(cloud, disk):
    if cloud.config["snapshot_service"] is False:
        raise ApiError("InvalidAccountStatus.SnapshotServiceUnavailable", "The snapshot service has not been activated.")
    cloud.store.quota("snapshot", "snapshot", "QuotaExceed.Snapshot")
    if disk.status not in ("In_use", "Available"):
        raise ApiError("IncorrectDiskStatus", "The current disk status does not support this operation.")
    if disk.type == "data" and os.stat(disk._path).st_blocks == 0:
        raise ApiError("IncorrectDiskStatus.NeverUsed")
    if cloud.store.all("snapshot", disk=disk.id, status="progressing"):
        raise ApiError("IncorrectDiskStatus.CreatingSnapshot", "A previous snapshot creation is in process.")
    instance = cloud.store.find("instance", disk.instance)
    if instance is not None and instance.status not in ("Running", "Stopped"):
        raise ApiError("IncorrectInstanceStatus", "The current status of the resource does not support this operation.")


async def make_snapshot(cloud, disk, p):
    """The state of the disk at this moment, however long the service says that it takes."""
    snapshot = cloud.store.add("snapshot", region=disk.region, disk=disk.id, disk_type=disk.type, size_gib=disk.size_gib,
                               name=p.get("SnapshotName", ""), status="progressing", progress=0,
                               description=p.get("Description", ""), retention=p.get("RetentionDays", ""))
    snapshot.tags = p.tags()
    snapshot._path = cloud.store.path("snapshots", snapshot.id + ".raw")
    await cloud.in_thread(cloud.copy_sparse, disk._path, snapshot._path)
    cloud.spawn(finish_snapshot(cloud, snapshot))
    return snapshot


async def finish_snapshot(cloud, snapshot):
    for step in range(1, 5):
        await cloud.takes("snapshot_per_gib", snapshot.size_gib / 4)
        await cloud.takes("snapshot", 1 / 4)
        if snapshot.status != "progressing":
            return
        snapshot.progress = 25 * step
    snapshot.status = "accomplished" if cloud.lucky("snapshot") else "failed"


SNAPSHOT = TAGS + """
SnapshotName         match (?!auto)(?!https?://)[A-Za-z][\\w:.\\-]{1,127} InvalidSnapshotName.Malformed
Description          text 2 256 InvalidDescription.Malformed
RetentionDays        int 1 65536 InvalidRetentionDays.Malformed
"""


@action("ecs", "CreateSnapshot", SNAPSHOT + """
DiskId!              text
InstantAccess        bool
Category             enum Standard|Flash
""", token=True)
async def create_snapshot(cloud, p):
    disk = cloud.store.get("disk", p["DiskId"], "InvalidDiskId.NotFound")
    check_can_be_snapshotted(cloud, disk)
    return {"SnapshotId": (await make_snapshot(cloud, disk, p)).id}


@action("ecs", "DescribeSnapshots", TOKEN_PAGE + TAGS + """
RegionId!            text
SnapshotIds          json InvalidSnapshotIds.Malformed
DiskId               text
InstanceId           text
SnapshotName         text
Status               enum progressing|accomplished|failed|all
Usage                text
""")
async def describe_snapshots(cloud, p):
    ids = p.json("SnapshotIds")
    disks = {d.id for d in cloud.store.all("disk", instance=p["InstanceId"])} if p.get("InstanceId") else None
    entries = [s for s in cloud.store.seen("snapshot", p["RegionId"])
               if (ids is None or s.id in ids) and p.get("DiskId") in (None, s.disk) and (disks is None or s.disk in disks)
               and p.get("SnapshotName") in (None, s.name) and p.get("Status", "all") in ("all", s.status)
               and tags_match(s, p.tags())]
    some, keys = page(p, entries)
    return {"Snapshots": {"Snapshot": [
        {"SnapshotId": s.id, "SnapshotName": s.name, "Status": s.status, "Progress": f"{s.progress}%", "RemainTime": 0,
         "Available": s.status == "accomplished", "SourceDiskType": s.disk_type, "SourceDiskId": s.disk,
         "SourceDiskSize": str(s.size_gib), "CreationTime": s.created, "Usage": "image" if uses(cloud, s) else "none",
         "Tags": tag_list(s)} for s in some]}, **keys}


def uses(cloud, snapshot):
    return [i for i in cloud.store.all("image") if any(m["snapshot"] == snapshot.id for m in i.mapping)]


@action("ecs", "DeleteSnapshot", "SnapshotId! text\nForce bool")
async def delete_snapshot(cloud, p):
    snapshot = cloud.store.find("snapshot", p["SnapshotId"])
    if snapshot is None:
        return {}
    if uses(cloud, snapshot):
        raise ApiError("SnapshotCreatedImage", "The snapshot has been used to create custom images.")
    snapshot.status = "failed"
    os.unlink(snapshot._path)
    cloud.store.remove(snapshot)
    return {}
