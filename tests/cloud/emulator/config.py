# SPDX-License-Identifier: GPL-2.0-or-later
"""How the emulated cloud is, unless a scenario says otherwise. Seconds are the cloud's; time_scale makes them shorter."""

import copy

DEFAULTS = {
    "seed": 1,
    # While it is True nothing that takes time comes to its end; or only the kinds of work of this list (names of "times").
    "hold": False,
    "time_scale": 0.01,
    "skew_s": 0,
    # How long what was made does not show in Describe calls; looked at when they are asked.
    "consistency_s": 3,
    "times": {"vpc": 10, "vswitch": 5, "instance_start": 40, "instance_stop": 20, "instance_delete": 15, "disk_detach": 30,
              "snapshot": 60, "snapshot_per_gib": 1, "image": 120, "export": 300, "import": 300},
    # Bytes of a GiB. Less makes disks that are quick to go over.
    "gib_bytes": 1 << 30,
    # Calls are checked and recorded, and nothing is done.
    "record_only": False,
    "real_instances": True,
    "instance_systemd": False,  # what user data finds there: a systemd, or the scripts of each boot alone
    "keep_instance_logs": True,
    # An instance takes so many bytes by this port, ever; what comes behind them waits: {"8703": 1000}.
    "let_in": {},
    # Each of the next connections to an instance's control port breaks when so many bytes have come by it.
    "lives": [],
    # A new public address is taken from here; 127/8 needs no set-up.
    "address_base": "",
    "regions": {"cn-beijing": ["cn-beijing-h", "cn-beijing-i"],
                "ap-southeast-1": ["ap-southeast-1a", "ap-southeast-1b"],
                "cn-hangzhou": ["cn-hangzhou-j"]},
    "format_regions": ["ap-southeast-1", "ap-northeast-1", "ap-southeast-5", "eu-central-1", "me-east-1", "us-east-1",
                       "eu-west-1", "ap-southeast-3", "us-west-1"],
    # name: [vCPUs, GiB]
    "instance_types": {"ecs.t6-c2m1.large": [2, 1], "ecs.t6-c1m1.large": [2, 2], "ecs.t6-c1m2.large": [2, 4],
                       "ecs.t6-c1m4.large": [2, 8], "ecs.t5-lc1m1.small": [1, 1], "ecs.t5-lc1m2.small": [1, 2],
                       "ecs.t5-lc1m4.large": [2, 8], "ecs.s6-c1m1.small": [1, 1], "ecs.s6-c1m2.small": [1, 2],
                       "ecs.s6-c1m2.large": [2, 4], "ecs.n4.small": [1, 2], "ecs.n4.large": [2, 4], "ecs.mn4.small": [1, 4],
                       "ecs.mn4.large": [2, 8], "ecs.n1.small": [1, 2], "ecs.n2.small": [1, 4], "ecs.e-c1m1.large": [2, 2],
                       "ecs.e-c1m2.large": [2, 4], "ecs.e-c1m4.large": [2, 8], "ecs.g6.large": [2, 8], "ecs.c6.large": [2, 4],
                       "ecs.u1-c1m1.large": [2, 2], "ecs.u1-c1m2.large": [2, 4]},
    # Patterns of types, with @region or @zone if only there.
    "sold_out": [],
    "disk_categories": ["cloud_essd", "cloud_efficiency", "cloud_ssd", "cloud_essd_entry", "cloud_auto"],
    "quotas": {"vpc": 10, "security_group": 100, "instance": 20, "image": 100, "snapshot": 256, "ens_image": 100,
               "concurrent_exports": 3, "weekly_exports": 20},
    "whitelists": {"data_disk_image": True, "export_image": True},
    "snapshot_service": True,
    "export_role": "AliyunECSImageExportDefaultRole",
    # The role that /_emulator/metadata/ gives keys for.
    "metadata_role": "",
    "roles": ["AliyunECSImageExportDefaultRole"],
    "export_answers_task_id": True,
    "ens_regions": ["cn-beijing", "ap-southeast-1"],
    "ens_formats": ["qcow2"],
    "ens_unique_names": False,
    # "product:Action", refused for lack of permission.
    "denied_actions": [],
    # Asynchronous work that fails the given number of times: {"export": 1}
    "failures": {},
    "keys": {"emulated-key": {"secret": "emulated-secret"}},
    "buckets": {"coldlift-beijing": {"region": "cn-beijing"}, "coldlift-singapore": {"region": "ap-southeast-1"}},
    # No list of a bucket has more entries in one answer.
    "oss_page": 1000,
    # No Describe call has more entries in one page, whatever was asked for by token.
    "describe_page": 1000,
    # The metadata service answers only those who have a session with it.
    "metadata_tokens": False,
    # How long the keys of a role last, by the servers' clock.
    "session_s": 3600,
    "faults": [],
}


def merged(base, more):
    """A copy of base with more laid over it; dicts by key, except those that are lists of things to have."""
    out = copy.deepcopy(base)
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(out.get(key), dict) and key not in ("buckets", "instance_types", "keys"):
            out[key] = merged(out[key], value)
        else:
            out[key] = copy.deepcopy(value)
    return out
