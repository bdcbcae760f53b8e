# SPDX-License-Identifier: GPL-2.0-or-later
"""ECS 2014-05-26: custom images, their export to OSS, and the tasks that exports are."""

import os
import re

from . import exports
from .ecs_disk import make_snapshot
from .errors import ApiError
from .params import PAGE, TAGS, Params
from .rpc import action
from .store import page, tag_list, tags_match

PLATFORMS = ("Aliyun|Anolis|CentOS|Ubuntu|CoreOS|SUSE|Debian|OpenSUSE|FreeBSD|RedHat|Kylin|UOS|Fedora|Gentoo|AlmaLinux")
PLATFORM_NAMES = PLATFORMS.split("|") + ["Others Linux", "Customized Linux", "Rocky Linux", "CentOS Stream", "Fedora CoreOS"]
IMAGE_STATES = ("Creating", "Waiting", "Available", "UnAvailable", "CreateFailed", "Deprecated")
MAX_EXPORTED_DATA_DISKS = 4
MAX_EXPORTED_DATA_GIB = 500


@action("ecs", "CreateImage", TAGS + """
RegionId!                        text
InstanceId                       text
SnapshotId                       text
ImageName                        image-name InvalidImageName.Malformed
Description                      text 2 256 InvalidDescription.Malformed
Platform                         text 1 64 InvalidPlatform.Malformed
Architecture                     enum x86_64|i386|arm64 InvalidArchitecture.Malformed
BootMode                         enum BIOS|UEFI|UEFI-Preferred InvalidBootMode.Malformed
ImageFamily                      name
ImageVersion                     text 1 40
DetectionStrategy                enum Standard
DiskDeviceMapping.N.SnapshotId   text
DiskDeviceMapping.N.DiskType     enum system|data InvalidDiskType.ValueNotSupported
DiskDeviceMapping.N.Device       match /dev/xvd[a-z] InvalidDevice.Malformed
DiskDeviceMapping.N.Size         int 1 32768 InvalidSize.ValueNotSupported
DryRun                           bool
""", token=True)
async def create_image(cloud, p):
    cloud.store.quota("image", "image", "QuotaExceed.Image")
    region, name = p["RegionId"], p.get("ImageName", "image")
    if cloud.store.all("image", region=region, name=name):
        raise ApiError("InvalidImageName.Duplicated", "The specified Image name has already been used.")
    if p.get("Platform") and p["Platform"] not in PLATFORM_NAMES:
        raise ApiError("InvalidPlatform.Malformed", "The specified Platform is not valid.")
    if p.get("InstanceId"):
        mapping = await map_of_instance(cloud, p)
    elif p.items("DiskDeviceMapping"):
        mapping = map_of_snapshots(cloud, region, p.items("DiskDeviceMapping"))
    elif p.get("SnapshotId"):
        mapping = map_of_snapshots(cloud, region, [{"SnapshotId": p["SnapshotId"], "DiskType": "system"}])
    else:
        raise ApiError("MissingParameter", "One of InstanceId, DiskDeviceMapping and SnapshotId is needed.")
    turned = [m for m in mapping if m["type"] == "system" and m["from"] == "data"]
    if turned and not cloud.config["whitelists"]["data_disk_image"]:
        raise ApiError("UserNotInTheWhiteList")
    if turned and not (p.get("Platform") and p.get("Architecture")):
        raise ApiError("MissingParameter", "Platform and Architecture are needed when a data disk becomes the system disk.")
    image = cloud.store.add("image", region=region, name=name, mapping=mapping, status="Creating", progress=0,
                            platform=p.get("Platform", "Others Linux"), architecture=p.get("Architecture", "x86_64"),
                            boot_mode=p.get("BootMode", ""), size_gib=sum(m["size_gib"] for m in mapping))
    image.tags = p.tags()
    cloud.spawn(finish_image(cloud, image))
    return {"ImageId": image.id}


async def map_of_instance(cloud, p):
    from .ecs_disk import disks_of
    instance = cloud.store.get("instance", p["InstanceId"], "InvalidInstanceId.NotFound")
    if instance.status not in ("Running", "Stopped"):
        raise ApiError("IncorrectInstanceStatus", "The current status of the resource does not support this operation.")
    mapping = []
    for disk in disks_of(cloud, instance):
        snapshot = await make_snapshot(cloud, disk, Params({}))
        mapping.append({"snapshot": snapshot.id, "type": disk.type, "from": disk.type, "device": disk.device,
                        "size_gib": disk.size_gib})
    return mapping


def map_of_snapshots(cloud, region, entries):
    mapping = []
    for n, entry in enumerate(entries):
        snapshot = None
        if entry.get("SnapshotId"):
            snapshot = cloud.store.get("snapshot", entry["SnapshotId"], "InvalidSnapshotId.NotFound")
            if snapshot.region != region:
                raise ApiError("InvalidSnapshotId.NotFound", "The specified snapshot is of another region.")
            if snapshot.status != "accomplished":
                raise ApiError("InvalidSnapshotId.NotReady")
        elif not entry.get("Size"):
            raise ApiError("MissingParameter", "A disk without a snapshot needs a Size.")
        kind = entry.get("DiskType") or (snapshot.disk_type if snapshot else "data")
        size = int(entry.get("Size") or snapshot.size_gib)
        if snapshot and size < snapshot.size_gib:
            raise ApiError("InvalidSize.ValueNotSupported", "The disk is smaller than its snapshot.", status=400)
        device = entry.get("Device") or f"/dev/xvd{chr(ord('a') + n)}"
        if (kind == "system") != (device == "/dev/xvda"):
            raise ApiError("InvalidDevice.Malformed", "The system disk, and no other, is /dev/xvda.")
        mapping.append({"snapshot": snapshot.id if snapshot else "", "type": kind, "device": device, "size_gib": size,
                        "from": snapshot.disk_type if snapshot else kind})
    devices = [m["device"] for m in mapping]
    if len(set(devices)) != len(devices) or devices != sorted(devices):
        raise ApiError("InvalidDevice.InUse", "The devices of an image are unique and ascending.", status=400)
    systems = [m for m in mapping if m["type"] == "system"]
    if len(systems) != 1:
        raise ApiError("OperationDenied", "The image contains two or more system disk snapshots." if systems else
                       "The specified snapshot is not created from system disk.", status=403)
    return mapping


async def finish_image(cloud, image):
    for step in range(1, 5):
        await cloud.takes("image", 1 / 4)
        image.progress = 25 * step
    snapshots = [cloud.store.find("snapshot", m["snapshot"]) for m in image.mapping if m["snapshot"]]
    if image.status == "Creating":
        image.status = "Available" if all(snapshots) and cloud.lucky("image") else "CreateFailed"


def describe_image(i):
    return {"ImageId": i.id, "ImageName": i.name, "Status": i.status, "Usable": i.status == "Available", "Size": i.size_gib,
            "Progress": f"{i.progress}%", "Platform": i.platform, "Architecture": i.architecture, "OSType": "linux",
            "ImageOwnerAlias": "self", "CreationTime": i.created, "BootMode": i.boot_mode, "Tags": tag_list(i),
            "DiskDeviceMappings": {"DiskDeviceMapping": [
                {"Type": m["type"], "Device": m["device"], "Size": str(m["size_gib"]), "SnapshotId": m["snapshot"],
                 "Format": "", "Progress": f"{i.progress}%"} for m in i.mapping]}}


@action("ecs", "DescribeImages", PAGE + TAGS + """
RegionId!            text
ImageId              text
ImageName            text
ImageOwnerAlias      enum self|system|others|marketplace
Status               text
SnapshotId           text
OSType               enum linux|windows
Architecture         enum x86_64|i386|arm64
Usage                enum instance|none
InstanceType         text
IsSupportCloudinit   bool
IsSupportIoOptimized bool
ShowExpired          bool
ActionType           text
ImageFamily          text
Filter.N.Key         text
Filter.N.Value       text
""")
async def describe_images(cloud, p):
    ids = p["ImageId"].split(",") if p.get("ImageId") else None
    states = p.get("Status", "Available")
    states = IMAGE_STATES if states == "ALL" else states.split(",")
    if any(s not in IMAGE_STATES for s in states):
        raise ApiError("InvalidStatus.ValueNotSupported", "The specified Status is not valid.")
    wanted = re.escape(p.get("ImageName", "*")).replace(r"\*", ".*")
    entries = []
    if p.get("ImageOwnerAlias", "self") == "self":
        own = [i for i in cloud.store.seen("image", p["RegionId"]) if i.status in states and tags_match(i, p.tags())
               and (not p.get("SnapshotId") or any(m["snapshot"] == p["SnapshotId"] for m in i.mapping))]
        entries += [describe_image(i) for i in own]
    if p.get("ImageOwnerAlias", "system") == "system" and not p.tags() and not p.get("SnapshotId") and "Available" in states:
        entries += cloud.public_images(p["RegionId"])
    entries = [i for i in entries if (ids is None or i["ImageId"] in ids) and re.fullmatch(f".*{wanted}.*", i["ImageName"])
               and p.get("OSType") in (None, i["OSType"]) and p.get("Architecture") in (None, i["Architecture"])]
    some, keys = page(p, entries)
    return {"RegionId": p["RegionId"], "Images": {"Image": some}, **keys}


@action("ecs", "DeleteImage", """
RegionId!            text
ImageId!             text
Force                bool
""")
async def delete_image(cloud, p):
    image = cloud.store.get("image", p["ImageId"], "InvalidImageId.NotFound")
    if any(t.status in ("Waiting", "Processing") for t in cloud.store.all("task", resource=image.id)):
        raise ApiError("ImageIsExporting", "The specified image is exporting.")
    if not p.flag("Force") and cloud.store.all("instance", image=image.id):
        raise ApiError("ImageUsingByInstance", "The specified image is being used by instances.")
    cloud.store.remove(image)
    return {}


# ---- export ----

def check_export(cloud, p, image):
    region = p["RegionId"]
    if not cloud.config["whitelists"]["export_image"]:
        raise ApiError("UserNotInTheWhiteList")
    if image.status != "Available":
        raise ApiError("ImageNotSupported", "The specified image is not available.")
    data = [m for m in image.mapping if m["type"] == "data"]
    if len(data) > MAX_EXPORTED_DATA_DISKS or any(m["size_gib"] > MAX_EXPORTED_DATA_GIB for m in data):
        raise ApiError("InvalidImage.DiskAmountOrSize", "The image has too many or too large data disks.")
    bucket = cloud.buckets.get(p["OSSBucket"])
    if bucket is None:
        raise ApiError("InvalidOSSBucket.NotFound", "The specified OSS bucket is not found.")
    if bucket.region != region:
        raise ApiError("InvalidOSSBucket.NotMatched", "The OSS bucket and the image are not in the same region.")
    if p.get("RoleName", cloud.config["export_role"]) not in cloud.config["roles"]:
        raise ApiError("NoSetRoletoECSServiceAcount")
    running = [t for t in cloud.store.all("task") if t.status in ("Waiting", "Processing")]
    if any(t.resource == image.id for t in running):
        raise ApiError("ImageIsExporting", "The specified image is exporting.")
    if len(running) >= cloud.config["quotas"]["concurrent_exports"]:
        raise ApiError("ConcurrentQuotaExceed.ExportImage", "The maximum number of concurrent exports is exceeded.")
    if cloud.store.made["task"] >= cloud.config["quotas"]["weekly_exports"]:
        raise ApiError("WeeklyQuotaExceed.ExportImage", "The weekly number of exports is exceeded.")


@action("ecs", "ExportImage", """
RegionId!            text
ImageId!             text
OSSBucket!           text
OSSPrefix            match [A-Za-z0-9]{1,30} InvalidOSSPrefix.Malformed
ImageFormat          enum raw|RAW|vhd|VHD|qcow2|QCOW2|vmdk|VMDK|vdi|VDI InvalidImageFormat.Malformed
RoleName             text
DryRun               bool
""")
async def export_image(cloud, p):
    image = cloud.store.get("image", p["ImageId"], "InvalidImageId.NotFound")
    check_export(cloud, p, image)
    # Only some regions heed the format; elsewhere RAW is written, whatever was asked for.
    wanted = p.get("ImageFormat", "raw").lower()
    written = wanted if p["RegionId"] in cloud.config["format_regions"] else "raw"
    task = cloud.store.add("task", region=p["RegionId"], resource=image.id, action="ExportImage", status="Waiting", progress=0,
                           format=written, bucket=p["OSSBucket"], prefix=p.get("OSSPrefix", ""), objects=[], error="",
                           finished="")
    cloud.spawn(run_export(cloud, task, image))
    key = "TaskId" if cloud.config["export_answers_task_id"] else "ExportTaskId"
    return {key: task.id, "RegionId": p["RegionId"]}


async def run_export(cloud, task, image):
    await cloud.takes("export", 1 / 4)
    if task.status != "Waiting":
        return
    task.status, task.progress = "Processing", 10
    written = []
    try:
        if not cloud.lucky("export"):
            raise OSError("the export failed by order of the scenario")
        stem = f"{task.prefix}_{image.id}" if task.prefix else image.id
        for m in image.mapping:
            what = "system" if m["type"] == "system" else f"data_{os.path.basename(m['device'])}"
            key = f"{stem}_{what}.{exports.EXTENSION[task.format]}"
            source = cloud.store.find("snapshot", m["snapshot"])
            target = cloud.store.path("exports", task.id + key)
            await exports.write(task.format, source._path if source else None, target,
                                m["size_gib"] * cloud.config["gib_bytes"], cloud.in_thread)
            written.append((key, target))
            task.progress += 80 // len(image.mapping)
        await cloud.takes("export", 3 / 4)
    except (OSError, RuntimeError) as why:
        task.status, task.error = "Failed", str(why)
        return
    if task.status == "Processing":
        bucket = cloud.buckets[task.bucket]
        for key, target in written:
            bucket.put_file(key, target)
            task.objects.append(key)
        task.status, task.progress, task.finished = "Finished", 100, cloud.clock.utc()


def operation(task, key):
    items = [("OSSBucket", task.bucket), ("OSSObject", key), ("ImageFormat", task.format.upper())]
    return {"OperationStatus": "Success", "ErrorCode": "", "ErrorMsg": "",
            "RelatedItemSet": {"RelatedItem": [{"Name": n, "Value": v} for n, v in items]}}


@action("ecs", "DescribeTaskAttribute", """
RegionId!            text
TaskId!              text
""")
async def describe_task(cloud, p):
    for t in cloud.store.seen("task", p["RegionId"]):
        if t.id == p["TaskId"]:
            failed = [{"OperationStatus": "Failed", "ErrorCode": "ExportImageFailed", "ErrorMsg": t.error,
                       "RelatedItemSet": {"RelatedItem": []}}] if t.error else []
            return {"TaskId": t.id, "RegionId": t.region, "TaskAction": t.action, "TaskStatus": t.status,
                    "TaskProcess": f"{t.progress}%", "SupportCancel": "true", "TotalCount": max(1, len(t.objects)),
                    "SuccessCount": len(t.objects), "FailedCount": len(failed), "CreationTime": t.created,
                    "FinishedTime": t.finished, "OperationProgressSet": {
                        "OperationProgress": [operation(t, key) for key in t.objects] + failed}}
    raise ApiError("InvalidTaskId.NotFound", "The specified task is not found.")


@action("ecs", "DescribeTasks", """
RegionId!            text
TaskIds              text
TaskAction           enum ExportImage|ImportImage
TaskStatus           enum Finished|Processing|Failed|Waiting|Deleted|Paused
ResourceIds.N        text
StartTime            time
EndTime              time
PageNumber           int 1 100000
PageSize             int 1 100
""")
async def describe_tasks(cloud, p):
    ids = p["TaskIds"].split(",") if p.get("TaskIds") else None
    resources = p.items("ResourceIds")
    entries = [t for t in cloud.store.seen("task", p["RegionId"])
               if (ids is None or t.id in ids) and p.get("TaskAction") in (None, t.action)
               and p.get("TaskStatus") in (None, t.status) and (not resources or t.resource in resources)]
    some, keys = page(p, entries)
    return {"RegionId": p["RegionId"], "TaskSet": {"Task": [
        {"TaskId": t.id, "TaskAction": t.action, "TaskStatus": t.status, "ResourceId": t.resource, "SupportCancel": "true",
         "CreationTime": t.created, "FinishedTime": t.finished} for t in some]}, **keys}


@action("ecs", "CancelTask", """
RegionId!            text
TaskId!              text
""")
async def cancel_task(cloud, p):
    task = cloud.store.get("task", p["TaskId"], "InvalidTaskId.NotFound")
    if task.status not in ("Waiting", "Processing"):
        raise ApiError("InvalidTaskId.IncorrectTaskStatus", "The task has ended.")
    task.status = "Failed"
    return {}
