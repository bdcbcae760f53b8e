# SPDX-License-Identifier: GPL-2.0-or-later
"""STS 2015-04-01 and the little of RAM 2015-05-01 that a job asks."""

from .errors import ApiError
from .rpc import action


@action("sts", "GetCallerIdentity", "Nothing text")
async def caller(cloud, p):
    return {"AccountId": "1000000000000001", "UserId": "200000000000000001", "IdentityType": "RAMUser",
            "Arn": "acs:ram::1000000000000001:user/emulated"}


@action("sts", "AssumeRole", """
RoleArn!             text
RoleSessionName!     text 2 64
DurationSeconds      int 900 43200
Policy               text 0 2048
ExternalId           text
""")
async def assume_role(cloud, p):
    role = p["RoleArn"].rpartition("/")[2]
    session = cloud.new_session(role)
    return {"AssumedRoleUser": {"Arn": p["RoleArn"] + "/" + p["RoleSessionName"], "AssumedRoleId": "3000:" + role},
            "Credentials": {k: session[k] for k in ("AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration")}}


@action("ram", "GetRole", "RoleName! text 1 64")
async def get_role(cloud, p):
    if p["RoleName"] not in cloud.config["roles"]:
        raise ApiError("EntityNotExist.Role", "The role not exists.", status=404)
    return {"Role": {"RoleName": p["RoleName"], "Arn": f"acs:ram::1000000000000001:role/{p['RoleName'].lower()}"}}
