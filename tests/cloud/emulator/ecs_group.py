# SPDX-License-Identifier: GPL-2.0-or-later
"""ECS 2014-05-26: security groups. Their rules are real: an instance's ports open to nobody else (machine.py)."""

import ipaddress

from .errors import ApiError
from .params import TAGS, TOKEN_PAGE, required_items
from .rpc import action
from .store import page, tag_list, tags_match

RULE_LIMIT = 200
RULE = """
Permissions.N.IpProtocol              match (?i)(tcp|udp|icmp|icmpv6|gre|all) InvalidIpProtocol.Malformed
Permissions.N.PortRange               ports InvalidPortRange.Malformed
Permissions.N.SourceCidrIp            cidr InvalidSourceCidrIp.Malformed
Permissions.N.SourceGroupId           text
Permissions.N.Policy                  match (?i)(accept|drop) InvalidPolicy.Malformed
Permissions.N.Priority                int 1 100 InvalidPriority.Malformed
Permissions.N.Description             text 1 512
Permissions.N.NicType                 enum intranet|internet InvalidNicType.ValueNotSupported
"""


@action("ecs", "CreateSecurityGroup", TAGS + """
RegionId!            text
VpcId                text
SecurityGroupName    name InvalidSecurityGroupName.Malformed
Description          text 2 256 InvalidDescription.Malformed
SecurityGroupType    enum normal|enterprise
""", token=True)
async def create_group(cloud, p):
    cloud.store.quota("group", "security_group", "QuotaExceed.SecurityGroup")
    if p.get("VpcId"):
        vpc = cloud.store.get("vpc", p["VpcId"], "InvalidVpcId.NotFound")
        if vpc.status != "Available":
            raise ApiError("IncorrectVpcStatus", "Current VPC status does not support this operation.")
    group = cloud.store.add("group", region=p["RegionId"], vpc=p.get("VpcId", ""), name=p.get("SecurityGroupName", ""),
                            description=p.get("Description", ""), rules=[], status="Available")
    group.tags = p.tags()
    return {"SecurityGroupId": group.id}


def check_ports(protocol, text):
    first, last = (int(n) for n in text.split("/"))
    if protocol in ("tcp", "udp"):
        if not 1 <= first <= last <= 65535:
            raise ApiError("InvalidPortRange.Malformed", "The specified parameter \"PortRange\" is not valid.")
    elif (first, last) != (-1, -1):
        raise ApiError("InvalidPortRange.Malformed", "PortRange must be -1/-1 for this protocol.")


@action("ecs", "AuthorizeSecurityGroup", RULE + """
RegionId!            text
SecurityGroupId!     text
""", token=True)
async def authorize_group(cloud, p):
    group = cloud.store.get("group", p["SecurityGroupId"], "InvalidSecurityGroupId.NotFound")
    if group.region != p["RegionId"]:
        raise ApiError("InvalidSecurityGroupId.NotFound", "The specified SecurityGroupId does not exist.")
    entries = required_items(p, "Permissions", ("IpProtocol", "PortRange"))
    if not entries:
        raise ApiError("MissingParameter", "The input parameter \"Permissions\" that is mandatory for processing this request "
                                           "is not supplied.")
    for entry in entries:
        if not entry.get("SourceCidrIp") and not entry.get("SourceGroupId"):
            raise ApiError("MissingParameter.Source", "One of the parameters SourceCidrIp and SourceGroupId is needed.")
        protocol = entry["IpProtocol"].lower()
        check_ports(protocol, entry["PortRange"])
        if entry.get("SourceCidrIp"):
            ipaddress.ip_network(entry["SourceCidrIp"])
        rule = {"Direction": "ingress", "IpProtocol": protocol.upper(), "PortRange": entry["PortRange"],
                "SourceCidrIp": entry.get("SourceCidrIp", ""), "SourceGroupId": entry.get("SourceGroupId", ""),
                "Policy": entry.get("Policy", "accept").capitalize(), "Priority": int(entry.get("Priority", 1)),
                "NicType": "intranet", "Description": entry.get("Description", "")}
        if rule not in group.rules:
            if len(group.rules) >= RULE_LIMIT:
                raise ApiError("AuthorizationLimitExceed", "The limit of authorization records is reached.", status=403)
            group.rules.append(rule)
    return {}


@action("ecs", "RevokeSecurityGroup", RULE + """
RegionId!            text
SecurityGroupId!     text
""", token=True)
async def revoke_group(cloud, p):
    group = cloud.store.get("group", p["SecurityGroupId"], "InvalidSecurityGroupId.NotFound")
    for entry in required_items(p, "Permissions", ("IpProtocol", "PortRange")):
        group.rules = [r for r in group.rules if (r["IpProtocol"], r["PortRange"], r["SourceCidrIp"]) !=
                       (entry["IpProtocol"].upper(), entry["PortRange"], entry.get("SourceCidrIp", ""))]
    return {}


@action("ecs", "DescribeSecurityGroupAttribute", """
RegionId!            text
SecurityGroupId!     text
Direction            enum ingress|egress|all
NicType              enum intranet|internet
MaxResults           int 10 1000
NextToken            text
""")
async def describe_group(cloud, p):
    for group in cloud.store.seen("group", p["RegionId"]):
        if group.id == p["SecurityGroupId"]:
            rules = [] if p.get("Direction") == "egress" else group.rules
            return {"RegionId": group.region, "SecurityGroupId": group.id, "SecurityGroupName": group.name,
                    "VpcId": group.vpc, "Description": group.description, "Permissions": {"Permission": rules}}
    raise ApiError("InvalidSecurityGroupId.NotFound", "The specified SecurityGroupId does not exist.")


@action("ecs", "DescribeSecurityGroups", TOKEN_PAGE + TAGS + """
RegionId!            text
SecurityGroupId      text
SecurityGroupIds     json
SecurityGroupName    text
VpcId                text
""")
async def describe_groups(cloud, p):
    ids = p.json("SecurityGroupIds") or ([p["SecurityGroupId"]] if p.get("SecurityGroupId") else None)
    entries = [g for g in cloud.store.seen("group", p["RegionId"])
               if (ids is None or g.id in ids) and p.get("SecurityGroupName") in (None, g.name)
               and p.get("VpcId") in (None, g.vpc) and tags_match(g, p.tags())]
    some, keys = page(p, entries)
    return {"RegionId": p["RegionId"], "SecurityGroups": {"SecurityGroup": [
        {"SecurityGroupId": g.id, "SecurityGroupName": g.name, "Description": g.description, "VpcId": g.vpc,
         "SecurityGroupType": "normal", "CreationTime": g.created, "Tags": tag_list(g)} for g in some]}, **keys}


@action("ecs", "DeleteSecurityGroup", """
RegionId!            text
SecurityGroupId!     text
""")
async def delete_group(cloud, p):
    group = cloud.store.get("group", p["SecurityGroupId"], "InvalidSecurityGroupId.NotFound")
    if any(group.id in i.groups for i in cloud.store.all("instance")):
        raise ApiError("DependencyViolation", "There is still instance(s) in the specified security group.")
    cloud.store.remove(group)
    return {}


def admits(cloud, groups, peer, port):
    """Whether a rule of one of the groups lets this peer in: the lowest priority decides, drop before accept."""
    matching = []
    for group in filter(None, (cloud.store.find("group", g) for g in groups)):
        for rule in group.rules:
            first, last = (int(n) for n in rule["PortRange"].split("/"))
            if rule["IpProtocol"] not in ("TCP", "ALL") or not (first == -1 or first <= port <= last):
                continue
            if rule["SourceCidrIp"] and ipaddress.ip_address(peer) in ipaddress.ip_network(rule["SourceCidrIp"]):
                matching.append((rule["Priority"], rule["Policy"] != "Drop"))
    return bool(matching) and min(matching)[1]
