# SPDX-License-Identifier: GPL-2.0-or-later
"""ENS 2017-11-10: the import of images, which is where a migration ends. Imported files are kept and can be booted."""

import os

from . import exports
from .errors import ApiError
from .rpc import action
from .store import page

FAILED = {"fetch": "Upload_failed", "check": "Pack_failed"}
MAX_DATA_DISKS = 4
MAX_DATA_GIB = 500
MAX_TOTAL_BYTES = 1 << 40


def source_files(cloud, p):
    """[(bucket, key)] of the disks, system disk first."""
    entries = p.json("DiskDeviceMapping")
    single = {k: p.get(k) for k in ("OSSBucket", "OSSObject", "OSSRegion") if p.get(k)}
    if entries is None:
        entries = [single]
    elif single:
        raise ApiError("InvalidParameter.Conflict", "Either DiskDeviceMapping or OSSBucket, OSSObject, OSSRegion are given.")
    if not entries:
        raise ApiError("MissingParameter", "DiskDeviceMapping is empty.")
    files = []
    for entry in entries:
        if not isinstance(entry, dict) or set(entry) - {"OSSBucket", "OSSObject", "OSSRegion"}:
            raise ApiError("InvalidParameter.DiskDeviceMapping", "An entry has OSSBucket, OSSObject, OSSRegion, no more.")
        for name in ("OSSBucket", "OSSObject", "OSSRegion"):
            if not entry.get(name):
                raise ApiError("MissingParameter", f"{name} is mandatory.")
        bucket = cloud.buckets.get(entry["OSSBucket"])
        if bucket is None:
            raise ApiError("InvalidParameter.OSSBucket", "The bucket does not exist.")
        if bucket.region != entry["OSSRegion"] or bucket.region not in cloud.config["ens_regions"]:
            raise ApiError("InvalidParameter.OSSRegion", f"OSSRegion {entry['OSSRegion']} is not that of the bucket, or not "
                                                         "supported.")
        if bucket.find(entry["OSSObject"]) is None:
            raise ApiError("InvalidParameter.OSSObject", f"The object {entry['OSSObject']} does not exist.")
        files.append((bucket, entry["OSSObject"]))
    if len(files) > 1 + MAX_DATA_DISKS:
        raise ApiError("InvalidParameter.DiskDeviceMapping", "An image has at most 4 data disks.")
    if sum(bucket.find(key).size for bucket, key in files) > MAX_TOTAL_BYTES:
        raise ApiError("InvalidParameter.OSSObject", "The files have more than 1 TiB together.")
    return files


@action("ens", "ImportImage", """
ImageName!           image-name InvalidParameter.ImageName
ComputeType!         enum ens_vm InvalidParameter.ComputeType
Architecture!        enum x86_64 InvalidParameter.Architecture
OSType!              enum linux InvalidParameter.OSType
ImageFormat!         enum qcow2|raw|raw.tar.gz InvalidParameter.ImageFormat
OSSBucket            text
OSSObject            text
OSSRegion            text
DiskDeviceMapping    json 16 InvalidParameter.DiskDeviceMapping
Platform             text
OSVersion            text
TargetOSSRegionId    enum cn-beijing|ap-southeast-1 InvalidParameter.TargetOSSRegionId
LicenseType          text
""")
async def import_image(cloud, p):
    cloud.store.quota("ens_image", "ens_image", "QuotaExceeded")
    if p["ImageFormat"] not in cloud.config["ens_formats"]:
        raise ApiError("InvalidParameter.ImageFormat", "ImageFormat must be one of " + ", ".join(cloud.config["ens_formats"]))
    if cloud.store.all("ens_image", name=p["ImageName"]) and cloud.config["ens_unique_names"]:
        raise ApiError("InvalidParameter.ImageName", "An image of that name exists.")
    files = source_files(cloud, p)
    image = cloud.store.add("ens_image", region=p.get("TargetOSSRegionId", ""), name=p["ImageName"], status="Creating",
                            architecture=p["Architecture"], compute=p["ComputeType"], platform=p.get("Platform", ""),
                            os_version=p.get("OSVersion", ""), format=p["ImageFormat"], disks=[], files=[], reason="",
                            sources=[f"{bucket.name}/{key}" for bucket, key in files])
    cloud.spawn(run_import(cloud, image, files))
    return {"ImageId": image.id}


async def run_import(cloud, image, files):
    step = "fetch"
    try:
        for state in ("Packing", "Uploading"):
            await cloud.takes("import", 1 / 3)
            image.status = state
        if not cloud.lucky("import"):
            raise RuntimeError("the import failed by order of the scenario")
        for n, (bucket, key) in enumerate(files):
            found = bucket.find(key)
            if found is None:
                raise RuntimeError(f"the object {key} has gone while it was being imported")
            path = cloud.store.path("ens", image.id, f"disk{n}.{image.format}")
            await cloud.in_thread(cloud.copy_sparse, found.path, path)
            image.files.append(path)
        step = "check"
        for n, path in enumerate(image.files):
            await keep_disk(cloud, image, n, path)
        image.status = "Copying"
        await cloud.takes("import", 1 / 3)
    except (RuntimeError, OSError) as why:
        image.status, image.reason = FAILED[step], str(why)
        cloud.store.note(f"import of {image.id} failed: {why}")
        return
    if image.status == "Copying":
        image.status = "Available"


async def keep_disk(cloud, image, n, path):
    if image.format != "qcow2":
        size = os.path.getsize(path)
    else:
        size = (await exports.inspect(path, "qcow2"))["virtual-size"]
    gib = -(-size // cloud.config["gib_bytes"])
    if n > 0 and gib > MAX_DATA_GIB:
        raise RuntimeError(f"data disk {n} has {gib} GiB, more than {MAX_DATA_GIB}")
    image.disks.append({"Type": "data" if n else "system", "Size": str(gib), "Format": image.format, "imageId": image.id,
                        "bytes": size})


def describe_image(i, with_status):
    out = {"ImageId": i.id, "ImageName": i.name, "RegionId": i.region, "Architecture": i.architecture, "ComputeType": i.compute,
           "Platform": i.platform, "OsVersion": i.os_version, "CreationTime": i.created, "ImageOwnerAlias": "self",
           "ImageSize": str(sum(int(d["Size"]) for d in i.disks)), "ImageStorageSize": "0",
           "DiskDeviceMappings": {"DiskDeviceMapping": [{k: d[k] for k in ("Type", "Size", "Format", "imageId")}
                                                        for d in i.disks]}}
    if with_status:
        out["Status"] = i.status
    return out


def listing(cloud, p, with_status):
    # Both ids and names match by any part of them.
    entries = [i for i in cloud.store.seen("ens_image") if p.get("ImageId", "") in i.id and p.get("ImageName", "") in i.name]
    some, keys = page(p, entries)
    return {"Images": {"Image": [describe_image(i, with_status) for i in some]}, "Code": 0,
            "PageNumber": str(keys["PageNumber"]), "PageSize": str(keys["PageSize"]), "TotalCount": str(keys["TotalCount"])}


@action("ens", "DescribeSelfImages", """
ImageId              text
ImageName            text
SnapshotId           text
PageNumber           int 1 100000
PageSize             int 1 50
""")
async def describe_self_images(cloud, p):
    return listing(cloud, p, True)


@action("ens", "DescribeImages", """
EnsRegionId          text
ImageId              text
ImageName            text
PageNumber           int 1 100000
PageSize             int 1 50
""")
async def describe_images(cloud, p):
    return listing(cloud, p, False)


@action("ens", "DeleteImage", "ImageId! text")
async def delete_image(cloud, p):
    image = cloud.store.get("ens_image", p["ImageId"], "ImageIdNotFound")
    for path in image.files:
        os.unlink(path)
    cloud.store.remove(image)
    return {"Code": 0}
