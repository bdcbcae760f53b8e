# SPDX-License-Identifier: GPL-2.0-or-later
"""ECS 2014-05-26: instances. What runs in one is in machine.py."""

import base64
import calendar
import ipaddress
import json
import time
from fnmatch import fnmatchcase

from .ecs_disk import attach_new_disk, describe_disk_sizes, disks_of, release_disk
from .errors import ApiError
from .machine import Machine
from .params import TAG, TAGS, TOKEN_PAGE
from .rpc import action
from .store import page, tag_list, tags_match

CATEGORIES = ("cloud", "cloud_efficiency", "cloud_ssd", "cloud_essd", "cloud_auto", "cloud_essd_entry")
DISK = "enum " + "|".join(CATEGORIES)
MAX_DATA_DISKS = 16


def stock(cloud, region, zone, instance_type):
    """The error that a type gives in a zone, or None when it can be had."""
    types = cloud.config["instance_types"]
    if instance_type not in types:
        return ApiError("InvalidInstanceType.ValueNotSupported", "The specified InstanceType does not exist.", status=403)
    for entry in cloud.config["sold_out"]:
        kind, _, where = entry.partition("@")
        if fnmatchcase(instance_type, kind) and where in ("", region, zone):
            return ApiError("OperationDenied.NoStock")
    return None


@action("ecs", "DescribeZones", """
RegionId!            text
AcceptLanguage       text
InstanceChargeType   enum PostPaid|PrePaid
Verbose              bool
""")
async def describe_zones(cloud, p):
    return {"Zones": {"Zone": [{"ZoneId": z, "LocalName": z} for z in cloud.config["regions"][p["RegionId"]]]}}


@action("ecs", "DescribeRegions", "AcceptLanguage text")
async def describe_regions(cloud, p):
    return {"Regions": {"Region": [{"RegionId": r, "LocalName": r, "RegionEndpoint": f"ecs.{r}.aliyuncs.com"}
                                   for r in cloud.config["regions"]]}}


@action("ecs", "DescribeAvailableResource", """
RegionId!            text
DestinationResource! enum Zone|IoOptimized|InstanceType|Network|ddh|SystemDisk|DataDisk
ZoneId               text
InstanceChargeType   enum PostPaid|PrePaid
IoOptimized          enum optimized|none
Cores                int 1 1024
Memory               match [0-9.]+
InstanceType         text
SystemDiskCategory   text
DataDiskCategory     text
ResourceType         enum instance|disk
NetworkCategory      enum vpc|classic
SpotStrategy         text
""")
async def describe_available(cloud, p):
    region, zones = p["RegionId"], []
    what = p["DestinationResource"]
    if what == "SystemDisk" and not p.get("InstanceType"):
        raise ApiError("MissingParameter", "InstanceType is needed for SystemDisk.")
    for zone in cloud.config["regions"][region]:
        if p.get("ZoneId") not in (None, zone):
            continue
        values = []
        for name, (cores, memory) in cloud.config["instance_types"].items():
            if p.get("InstanceType") not in (None, name) or p.number("Cores", cores) != cores:
                continue
            if float(p.get("Memory", memory)) != float(memory):
                continue
            gone = stock(cloud, region, zone, name) is not None
            values.append({"Value": name, "Status": "SoldOut" if gone else "Available",
                           "StatusCategory": "WithoutStock" if gone else "WithStock"})
        if what in ("SystemDisk", "DataDisk"):
            any_left = any(v["Status"] == "Available" for v in values)
            values = [{"Value": c, "Status": "Available" if any_left else "SoldOut", "Min": 20, "Max": 32768, "Unit": "GiB",
                       "StatusCategory": "WithStock" if any_left else "WithoutStock"} for c in cloud.config["disk_categories"]]
        left = any(v["Status"] == "Available" for v in values)
        zones.append({"RegionId": region, "ZoneId": zone, "Status": "Available" if left else "SoldOut",
                      "StatusCategory": "WithStock" if left else "WithoutStock",
                      "AvailableResources": {"AvailableResource": [
                          {"Type": what, "SupportedResources": {"SupportedResource": values}}]}})
    return {"AvailableZones": {"AvailableZone": zones}}


@action("ecs", "DescribePrice", f"""
RegionId!                   text
ResourceType                enum instance|disk|bandwidth|ddh
InstanceType                text
PriceUnit                   enum Hour|Week|Month|Year
Period                      int 1 9
Amount                      int 1 1000
SystemDisk.Category         {DISK} InvalidSystemDiskCategory.ValueNotSupported
SystemDisk.Size             int 1 2048
SystemDisk.PerformanceLevel enum PL0|PL1|PL2|PL3
DataDisk.N.Category         {DISK} InvalidDataDiskCategory.ValueNotSupported
DataDisk.N.Size             int 1 65536
DataDisk.N.PerformanceLevel enum PL0|PL1|PL2|PL3
""")
async def describe_price(cloud, p):
    """Prices are made up: by the core, the GiB of memory and the GiB of disk."""
    if p["InstanceType"] not in cloud.config["instance_types"]:
        raise ApiError("InvalidInstanceType.ValueNotSupported", "The specified InstanceType does not exist.", status=403)
    cores, memory = cloud.config["instance_types"][p["InstanceType"]]
    disks = p.number("SystemDisk.Size", 0) + sum(int(d.get("Size", 0)) for d in p.items("DataDisk"))
    price = round(0.04 * cores + 0.02 * memory + 0.0005 * disks, 4)
    return {"PriceInfo": {"Price": {"Currency": "CNY", "OriginalPrice": price, "DiscountPrice": 0, "TradePrice": price},
                          "Rules": {"Rule": []}}}


def check_entry_disks(p, data):
    """Only two families take ESSD Entry disks."""
    if p["InstanceType"].startswith(("ecs.u1-", "ecs.e-")):
        return
    if p.get("SystemDisk.Category") == "cloud_essd_entry":
        raise ApiError("InvalidSystemDiskCategory.ValueNotSupported", "The instance type does not take this disk category.", 403)
    if any(d.get("Category") == "cloud_essd_entry" for d in data):
        raise ApiError("InvalidDataDiskCategory.ValueNotSupported", "The instance type does not take this disk category.", 403)


def check_release_time(cloud, text):
    """From half an hour to three years ahead."""
    if text is None:
        return
    seconds = calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")) - cloud.clock.now()
    if not 1800 <= seconds <= 3 * 365 * 86400:
        raise ApiError("InvalidAutoReleaseTime.Malformed", "The specified AutoReleaseTime is out of the permitted range.")


@action("ecs", "RunInstances", TAGS + f"""
RegionId!                   text
ImageId!                    text
InstanceType!               text
ZoneId                      text
SecurityGroupId             text
SecurityGroupIds.N          text
VSwitchId                   text
PrivateIpAddress            text
InstanceName                name InvalidInstanceName.Malformed
HostName                    text 2 64
Description                 text 2 256 InvalidDescription.Malformed
InstanceChargeType          enum PostPaid|PrePaid InvalidInstanceChargeType.ValueNotSupported
InternetChargeType          enum PayByTraffic|PayByBandwidth InvalidInternetChargeType.ValueNotSupported
InternetMaxBandwidthOut     int 0 100 InvalidParameter.Bandwidth
InternetMaxBandwidthIn      int 1 100 InvalidParameter.Bandwidth
SystemDisk.Category         {DISK} InvalidSystemDiskCategory.ValueNotSupported
SystemDisk.Size             int 20 2048 InvalidSystemDiskSize.ValueNotSupported
SystemDisk.PerformanceLevel enum PL0|PL1|PL2|PL3
SystemDisk.DiskName         name
SystemDisk.Description      text 2 256
DataDisk.N.Category         {DISK} InvalidDataDiskCategory.ValueNotSupported
DataDisk.N.Size             int 1 65536 InvalidDataDiskSize.ValueNotSupported
DataDisk.N.PerformanceLevel enum PL0|PL1|PL2|PL3
DataDisk.N.DiskName         name
DataDisk.N.Description      text 2 256
DataDisk.N.DeleteWithInstance bool
DataDisk.N.SnapshotId       text
DataDisk.N.Encrypted        bool
DataDisk.N.Device           text
Amount                      int 1 100
MinAmount                   int 1 100
UserData                    base64 32768 InvalidUserData.SizeExceeded
KeyPairName                 text
Password                    text 8 30 InvalidPassword.Malformed
PasswordInherit             bool
AutoReleaseTime             time InvalidAutoReleaseTime.Malformed
SecurityEnhancementStrategy enum Active|Deactive
IoOptimized                 enum optimized|none
RamRoleName                 text
SpotStrategy                enum NoSpot|SpotAsPriceGo|SpotWithPriceLimit
DeletionProtection          bool
CreditSpecification         enum Standard|Unlimited
HttpEndpoint                enum enabled|disabled
HttpTokens                  enum optional|required
DryRun                      bool
""", token=True)
async def run_instances(cloud, p):
    region = p["RegionId"]
    cloud.store.quota("instance", "instance", "QuotaExceed.AfterpayInstance")
    if not any(i["ImageId"] == p["ImageId"] for i in cloud.public_images(region)):
        image = cloud.store.get("image", p["ImageId"], "InvalidImageId.NotFound")
        if image.status != "Available":
            raise ApiError("ImageNotSupported", "The specified image is not available.")
    groups = p.items("SecurityGroupIds") + ([p["SecurityGroupId"]] if p.get("SecurityGroupId") else [])
    if not groups or (p.get("SecurityGroupId") and p.items("SecurityGroupIds")):
        raise ApiError("MissingParameter", "Either SecurityGroupId or SecurityGroupIds must be given.")
    if not p.get("VSwitchId"):
        raise ApiError("MissingParameter", "The input parameter \"VSwitchId\" that is mandatory for processing this request "
                                           "is not supplied.")
    switch = cloud.store.get("vswitch", p["VSwitchId"], "InvalidVSwitchId.NotFound")
    if switch.status != "Available":
        raise ApiError("IncorrectVSwitchStatus", "Current vSwitch status does not support this operation.")
    for group in (cloud.store.get("group", g, "InvalidSecurityGroupId.NotFound") for g in groups):
        if group.vpc != switch.vpc:
            raise ApiError("InvalidSecurityGroupId.VPCMismatch", "The security group and the vSwitch are of different VPCs.")
    if p.get("ZoneId") not in (None, switch.zone):
        raise ApiError("InvalidParameter.Conflict", "The zone is not that of the vSwitch.")
    sold = stock(cloud, region, switch.zone, p["InstanceType"])
    if sold:
        raise sold
    data = p.items("DataDisk")
    check_entry_disks(p, data)
    check_release_time(cloud, p.get("AutoReleaseTime"))
    if len(data) > MAX_DATA_DISKS:
        raise ApiError("InstanceDiskNumLimitExceed", "The number of disks of the instance exceeds its limit.", status=403)
    for disk in data:
        describe_disk_sizes(disk)
    return await create_instance(cloud, p, switch, groups, data)


async def create_instance(cloud, p, switch, groups, data):
    used = len(cloud.store.kinds["instance"]) + cloud.store.made["instance"]
    address = str(ipaddress.ip_network(switch.cidr).network_address + 10 + used % 200)
    instance = cloud.store.add(
        "instance", region=p["RegionId"], zone=switch.zone, type=p["InstanceType"], name=p.get("InstanceName", "instance"),
        vpc=switch.vpc, vswitch=switch.id, groups=groups, status="Pending", private_ip=address, image=p["ImageId"],
        public_ip=cloud.new_address() if p.number("InternetMaxBandwidthOut", 0) > 0 else "",
        auto_release=p.get("AutoReleaseTime", ""), protected=p.flag("DeletionProtection"), ram_role=p.get("RamRoleName", ""),
        key_pair=p.get("KeyPairName", ""))
    instance.tags = p.tags()
    instance._user_data = base64.b64decode(p.get("UserData", ""))
    attach_new_disk(cloud, instance, "system", {"Size": p.get("SystemDisk.Size", "40"),
                                                "Category": p.get("SystemDisk.Category", "cloud_efficiency")}, 0)
    for n, disk in enumerate(data, 1):
        attach_new_disk(cloud, instance, "data", disk, n)
    instance._machine = Machine(cloud, instance)
    cloud.spawn(boot(cloud, instance))
    return {"InstanceIdSets": {"InstanceIdSet": [instance.id]}, "OrderId": ""}


async def boot(cloud, instance):
    await cloud.takes("instance_start", 1 / 2)
    if instance.status not in ("Pending", "Stopped"):
        return
    instance.status = "Starting"
    await cloud.takes("instance_start", 1 / 2)
    if instance.status == "Starting" and cloud.store.find("instance", instance.id):
        await instance._machine.start()
        instance.status = "Running"


def describe_instance(cloud, i):
    public = [i.public_ip] if i.public_ip and i.status in ("Running", "Starting", "Stopping", "Stopped") else []
    return {"InstanceId": i.id, "InstanceName": i.name, "Status": i.status, "RegionId": i.region, "ZoneId": i.zone,
            "InstanceType": i.type, "ImageId": i.image, "CreationTime": i.created, "AutoReleaseTime": i.auto_release,
            "PublicIpAddress": {"IpAddress": public}, "EipAddress": {"IpAddress": "", "AllocationId": ""},
            "VpcAttributes": {"VpcId": i.vpc, "VSwitchId": i.vswitch, "PrivateIpAddress": {"IpAddress": [i.private_ip]}},
            "SecurityGroupIds": {"SecurityGroupId": i.groups}, "OperationLocks": {"LockReason": []},
            "InstanceNetworkType": "vpc", "Tags": tag_list(i)}


@action("ecs", "DescribeInstances", TOKEN_PAGE + TAGS + """
RegionId!            text
InstanceIds          json InvalidInstanceIds.Malformed
InstanceName         text
Status               enum Pending|Running|Starting|Stopping|Stopped
VpcId                text
VSwitchId            text
""")
async def describe_instances(cloud, p):
    ids = p.json("InstanceIds")
    entries = [i for i in cloud.store.seen("instance", p["RegionId"])
               if (ids is None or i.id in ids) and fnmatchcase(i.name, p.get("InstanceName", "*"))
               and p.get("Status") in (None, i.status) and p.get("VpcId") in (None, i.vpc)
               and p.get("VSwitchId") in (None, i.vswitch) and tags_match(i, p.tags())]
    some, keys = page(p, entries)
    return {"Instances": {"Instance": [describe_instance(cloud, i) for i in some]}, **keys}


@action("ecs", "DescribeInstanceStatus", """
RegionId!            text
InstanceId.N         text
ZoneId               text
PageNumber           int 1 100000
PageSize             int 1 50
""")
async def describe_status(cloud, p):
    ids = p.items("InstanceId")
    entries = [i for i in cloud.store.seen("instance", p["RegionId"]) if not ids or i.id in ids]
    some, keys = page(p, entries)
    return {"InstanceStatuses": {"InstanceStatus": [{"InstanceId": i.id, "Status": i.status} for i in some]}, **keys}


@action("ecs", "StopInstance", """
InstanceId!          text
ForceStop            bool
ConfirmStop          bool
StoppedMode          enum StopCharging|KeepCharging
DryRun               bool
""")
async def stop_instance(cloud, p):
    instance = cloud.store.get("instance", p["InstanceId"], "InvalidInstanceId.NotFound")
    if instance.status not in ("Running", "Stopped"):
        raise ApiError("IncorrectInstanceStatus", f"The current status of the resource does not support this operation "
                                                  f"({instance.status}).")
    if instance.status == "Running":
        instance.status = "Stopping"
        cloud.spawn(halt(cloud, instance, p.flag("ForceStop")))
    return {}


async def halt(cloud, instance, force):
    fail_snapshots(cloud, instance)
    await instance._machine.stop(force)
    await cloud.takes("instance_stop")
    if instance.status == "Stopping":
        instance.status = "Stopped"


def fail_snapshots(cloud, instance):
    """A snapshot under way does not survive a stop or a start of the instance."""
    disks = {d.id for d in disks_of(cloud, instance)}
    for snapshot in cloud.store.all("snapshot", status="progressing"):
        if snapshot.disk in disks:
            snapshot.status = "failed"


@action("ecs", "StartInstance", """
InstanceId!          text
DryRun               bool
""")
async def start_instance(cloud, p):
    instance = cloud.store.get("instance", p["InstanceId"], "InvalidInstanceId.NotFound")
    if instance.status != "Stopped":
        raise ApiError("IncorrectInstanceStatus", "The current status of the resource does not support this operation.")
    fail_snapshots(cloud, instance)
    cloud.spawn(boot(cloud, instance))
    return {}


DELETE = """
Force                bool
ForceStop            bool
TerminateSubscription bool
DryRun               bool
"""


async def delete_one(cloud, instance, force):
    if instance.protected:
        raise ApiError("InvalidOperation.DeletionProtection", "The instance is protected against deletion.", status=403)
    if instance.status in ("Pending", "Starting"):
        raise ApiError("IncorrectInstanceStatus.Initializing", "The specified instance status does not support this operation.")
    if instance.status not in ("Stopped",) and not force:
        raise ApiError("IncorrectInstanceStatus", "The current status of the resource does not support this operation.")
    instance.status = "Stopping"
    fail_snapshots(cloud, instance)
    await instance._machine.stop(True)
    cloud.spawn(vanish(cloud, instance))


async def vanish(cloud, instance):
    await cloud.takes("instance_delete")
    for disk in disks_of(cloud, instance):
        release_disk(cloud, disk)
    instance._machine.forget()
    cloud.store.remove(instance)


@action("ecs", "DeleteInstance", DELETE + "\nInstanceId! text")
async def delete_instance(cloud, p):
    instance = cloud.store.get("instance", p["InstanceId"], "InvalidInstanceId.NotFound")
    await delete_one(cloud, instance, p.flag("Force"))
    return {}


@action("ecs", "DeleteInstances", DELETE + "\nRegionId! text\nInstanceId.N text", token=True)
async def delete_instances(cloud, p):
    if not p.items("InstanceId"):
        raise ApiError("MissingParameter", "The input parameter \"InstanceId\" that is mandatory for processing this request is "
                                           "not supplied.")
    for ident in p.items("InstanceId"):
        await delete_one(cloud, cloud.store.get("instance", ident, "InvalidInstanceId.NotFound"), p.flag("Force"))
    return {}


def tag_changes(cloud, p):
    kinds = {"instance": "instance", "disk": "disk", "snapshot": "snapshot", "image": "image", "securitygroup": "group"}
    kind = kinds.get(p["ResourceType"].lower())
    if kind is None:
        raise ApiError("InvalidResourceType.NotFound", "The ResourceType provided does not exist in our records.")
    return kind, p.items("ResourceId")


@action("ecs", "TagResources", TAG + "\nRegionId! text\nResourceType! text\nResourceId.N text")
async def tag_resources(cloud, p):
    kind, ids = tag_changes(cloud, p)
    for ident in ids:
        cloud.store.get(kind, ident, "InvalidResourceId.NotFound").tags.update(p.tags())
    return {}


@action("ecs", "ListTagResources", TAG + """
RegionId!            text
ResourceType!        text
ResourceId.N         text
NextToken            text
""")
async def list_tags(cloud, p):
    kind, ids = tag_changes(cloud, p)
    rows = [{"ResourceId": t.id, "ResourceType": p["ResourceType"], "TagKey": k, "TagValue": v}
            for t in cloud.store.seen(kind, p["RegionId"]) if (not ids or t.id in ids) and tags_match(t, p.tags())
            for k, v in sorted(t.tags.items())]
    return {"TagResources": {"TagResource": rows}, "NextToken": ""}


@action("ecs", "DescribeUserData", "RegionId! text\nInstanceId! text")
async def describe_user_data(cloud, p):
    instance = cloud.store.get("instance", p["InstanceId"], "InvalidInstanceId.NotFound")
    return {"InstanceId": instance.id, "RegionId": instance.region,
            "UserData": base64.b64encode(instance._user_data).decode()}


def metadata(cloud, instance, path):
    """What http://100.100.100.200/latest/ says inside an instance, or None."""
    role = instance.ram_role
    fixed = {"meta-data/instance-id": instance.id, "meta-data/region-id": instance.region,
             "meta-data/zone-id": instance.zone, "meta-data/private-ipv4": instance.private_ip,
             "meta-data/eipv4": instance.public_ip, "meta-data/public-ipv4": instance.public_ip,
             "meta-data/image-id": instance.image, "meta-data/instance/instance-type": instance.type,
             "user-data": instance._user_data.decode("utf-8", "replace")}
    if role:
        fixed["meta-data/ram/security-credentials/"] = role
        if path == f"meta-data/ram/security-credentials/{role}":
            return json.dumps(cloud.new_session(role))
    return fixed.get(path)
