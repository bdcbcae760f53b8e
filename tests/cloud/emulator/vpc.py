# SPDX-License-Identifier: GPL-2.0-or-later
"""VPC 2016-04-28: private networks and their switches."""

import ipaddress

from .errors import ApiError
from .params import TAG, TAGS, VPC_PAGE
from .rpc import action
from .store import page, tag_list, tags_match

NETWORKS = [ipaddress.ip_network(n) for n in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]


async def becomes_available(cloud, thing):
    await cloud.takes(thing.kind)
    if thing.status == "Pending":
        thing.status = "Available"


@action("vpc", "CreateVpc", TAGS + """
RegionId!        text
CidrBlock        cidr InvalidCidrBlock.Malformed
VpcName          name InvalidVpcName.Malformed
Description      text 1 256
DryRun           bool
""", token=True)
async def create_vpc(cloud, p):
    cloud.store.quota("vpc", "vpc", "QuotaExceeded.Vpc")
    block = ipaddress.ip_network(p.get("CidrBlock", "172.16.0.0/12"))
    if not any(block.subnet_of(n) for n in NETWORKS):
        raise ApiError("InvalidCidrBlock.Malformed", "Specified CIDR block is not a private one.")
    vpc = cloud.store.add("vpc", region=p["RegionId"], name=p.get("VpcName", ""), cidr=str(block), status="Pending")
    vpc.tags = p.tags()
    cloud.spawn(becomes_available(cloud, vpc))
    return {"VpcId": vpc.id, "VRouterId": vpc.id.replace("vpc-", "vrt-"), "RouteTableId": vpc.id.replace("vpc-", "vtb-")}


def switch_ids(cloud, vpc):
    return [s.id for s in cloud.store.all("vswitch", vpc=vpc.id)]


def describe_vpc(cloud, vpc):
    return {"VpcId": vpc.id, "RegionId": vpc.region, "Status": vpc.status, "CidrBlock": vpc.cidr, "VpcName": vpc.name,
            "VSwitchIds": {"VSwitchId": switch_ids(cloud, vpc)}, "CreationTime": vpc.created, "IsDefault": False,
            "Tags": tag_list(vpc, "Key", "Value")}


@action("vpc", "DescribeVpcAttribute", """
RegionId!        text
VpcId!           text
IsDefault        bool
""")
async def describe_vpc_attribute(cloud, p):
    for vpc in cloud.store.seen("vpc", p["RegionId"]):
        if vpc.id == p["VpcId"]:
            return describe_vpc(cloud, vpc)
    raise ApiError("InvalidVpcID.NotFound", "Specified VPC does not exist.")


@action("vpc", "DescribeVpcs", VPC_PAGE + TAGS + """
RegionId!        text
VpcId            text
VpcName          text
IsDefault        bool
""")
async def describe_vpcs(cloud, p):
    ids = p["VpcId"].split(",") if p.get("VpcId") else None
    if ids and len(ids) > 20:
        raise ApiError("InvalidParameter", "At most 20 VPCs can be asked for at once.")
    entries = [v for v in cloud.store.seen("vpc", p["RegionId"])
               if (ids is None or v.id in ids) and p.get("VpcName") in (None, v.name) and tags_match(v, p.tags())]
    some, keys = page(p, entries)
    return {"Vpcs": {"Vpc": [describe_vpc(cloud, v) for v in some]}, **keys}


@action("vpc", "DeleteVpc", """
RegionId         text
VpcId!           text
ForceDelete      bool
DryRun           bool
""", token=True)
async def delete_vpc(cloud, p):
    vpc = cloud.store.get("vpc", p["VpcId"], "InvalidVpcID.NotFound")
    if vpc.status != "Available":
        raise ApiError("IncorrectVpcStatus", "Current VPC status does not support this operation.")
    if switch_ids(cloud, vpc):
        raise ApiError("DependencyViolation.VSwitch", "Specified object has dependent resources.", status=400)
    if cloud.store.all("group", vpc=vpc.id):
        raise ApiError("DependencyViolation.SecurityGroup", "Specified object has dependent resources.", status=400)
    cloud.store.remove(vpc)
    return {}


@action("vpc", "CreateVSwitch", TAG + """
RegionId         text
ZoneId!          text
VpcId!           text
CidrBlock        cidr InvalidCidrBlock.Malformed
VSwitchName      name
Description      text 1 256
""", token=True)
async def create_vswitch(cloud, p):
    vpc = cloud.store.get("vpc", p["VpcId"], "InvalidVpcId.NotFound")
    if p["ZoneId"] not in cloud.config["regions"][vpc.region]:
        raise ApiError("InvalidZoneId.NotFound", "Specified value of \"ZoneId\" is not exists.", status=404)
    if vpc.status != "Available":
        raise ApiError("IncorrectVpcStatus", "Current VPC status does not support this operation.")
    if any(s.status == "Pending" for s in cloud.store.all("vswitch", vpc=vpc.id)):
        raise ApiError("OperationConflict", "Another vSwitch of the VPC is being created.")
    if not p.get("CidrBlock"):
        raise ApiError("MissingParameter", "The input parameter \"CidrBlock\" that is mandatory for processing this request "
                                           "is not supplied.")
    block, around = ipaddress.ip_network(p["CidrBlock"]), ipaddress.ip_network(vpc.cidr)
    if not block.subnet_of(around) or not 16 <= block.prefixlen <= 29:
        raise ApiError("InvalidCidrBlock.Malformed", "Specified CIDR block is not inside that of the VPC.")
    if any(block.overlaps(ipaddress.ip_network(s.cidr)) for s in cloud.store.all("vswitch", vpc=vpc.id)):
        raise ApiError("InvalidCidrBlock.Overlapped", "Specified CIDR block overlapped with other subnets.")
    switch = cloud.store.add("vswitch", region=vpc.region, vpc=vpc.id, zone=p["ZoneId"], cidr=str(block),
                             name=p.get("VSwitchName", ""), status="Pending")
    switch.tags = p.tags()
    cloud.spawn(becomes_available(cloud, switch))
    return {"VSwitchId": switch.id}


def describe_switch(cloud, s):
    used = len(cloud.store.all("instance", vswitch=s.id))
    return {"VSwitchId": s.id, "VpcId": s.vpc, "ZoneId": s.zone, "Status": s.status, "CidrBlock": s.cidr,
            "VSwitchName": s.name, "CreationTime": s.created, "Tags": tag_list(s, "Key", "Value"),
            "AvailableIpAddressCount": ipaddress.ip_network(s.cidr).num_addresses - 4 - used}


@action("vpc", "DescribeVSwitchAttributes", """
RegionId         text
VSwitchId!       text
""")
async def describe_vswitch_attributes(cloud, p):
    for switch in cloud.store.seen("vswitch", p.get("RegionId")):
        if switch.id == p["VSwitchId"]:
            return describe_switch(cloud, switch)
    raise ApiError("InvalidVSwitchId.NotFound", "Specified vSwitch does not exist.")


@action("vpc", "DescribeVSwitches", VPC_PAGE + TAGS + """
RegionId         text
VpcId            text
VSwitchId        text
VSwitchName      text
ZoneId           text
""")
async def describe_vswitches(cloud, p):
    if not p.get("RegionId") and not p.get("VpcId"):
        raise ApiError("MissingParameter", "Either RegionId or VpcId must be given.")
    ids = p["VSwitchId"].split(",") if p.get("VSwitchId") else None
    entries = [s for s in cloud.store.seen("vswitch", p.get("RegionId"))
               if (ids is None or s.id in ids) and p.get("VpcId") in (None, s.vpc) and p.get("ZoneId") in (None, s.zone)
               and p.get("VSwitchName") in (None, s.name) and tags_match(s, p.tags())]
    some, keys = page(p, entries)
    return {"VSwitches": {"VSwitch": [describe_switch(cloud, s) for s in some]}, **keys}


@action("vpc", "DeleteVSwitch", """
RegionId         text
VSwitchId!       text
DryRun           bool
""")
async def delete_vswitch(cloud, p):
    switch = cloud.store.get("vswitch", p["VSwitchId"], "InvalidVswitchID.NotFound")
    if cloud.store.all("instance", vswitch=switch.id):
        raise ApiError("DependencyViolation", "Specified object has dependent resources.", status=400)
    if switch.status != "Available":
        raise ApiError("IncorrectVSwitchStatus", "Current vSwitch status does not support this operation.")
    switch.status = "Pending"
    cloud.spawn(goes_away(cloud, switch))
    return {}


async def goes_away(cloud, switch):
    await cloud.takes("vswitch")
    cloud.store.remove(switch)


@action("vpc", "ListTagResources", """
RegionId!        text
ResourceType!    text
ResourceId.N     text
Tag.N.Key        text
Tag.N.Value      text
MaxResults       int 1 1000
NextToken        text
""")
async def list_tag_resources(cloud, p):
    kind = {"VPC": "vpc", "VSWITCH": "vswitch"}.get(p["ResourceType"].upper())
    if kind is None:
        raise ApiError("InvalidResourceType.NotFound", "The ResourceType provided does not exist in our records.")
    ids = p.items("ResourceId")
    rows = [{"ResourceId": t.id, "ResourceType": p["ResourceType"], "TagKey": k, "TagValue": v}
            for t in cloud.store.seen(kind, p["RegionId"]) if (not ids or t.id in ids) and tags_match(t, p.tags())
            for k, v in sorted(t.tags.items())]
    return {"TagResources": {"TagResource": rows}, "NextToken": ""}
