#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Make a part of a disk image a physical volume with one linear volume: vg0/root.

lvm itself wants device-mapper, which a host kernel may lack. Layout: the label in the second sector, one metadata
area behind the first 4 KiB, extents of 1 MiB from 1 MiB on; the volume has all of them.
    lvm.py IMAGE OFFSET_BYTES LENGTH_BYTES
"""

import struct
import sys
import zlib

MIB = 1 << 20
AREA_AT = 4096
SEED = 0xf597a6cf
PV = "2yO6r4-1Fij-md2H-7zpf-uz1q-Vtrm-U9ypGD"


def crc(data):
    return zlib.crc32(data, SEED ^ 0xffffffff) ^ 0xffffffff


def metadata(extents):
    return f"""vg0 {{
id = "aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa"
seqno = 2
format = "lvm2"
status = ["RESIZEABLE", "READ", "WRITE"]
flags = []
extent_size = 2048
max_lv = 0
max_pv = 0
metadata_copies = 0
physical_volumes {{
pv0 {{
id = "{PV}"
device = "/dev/sda1"
status = ["ALLOCATABLE"]
flags = []
dev_size = {(extents + 1) * 2048}
pe_start = 2048
pe_count = {extents}
}}
}}
logical_volumes {{
root {{
id = "bbbbbb-bbbb-bbbb-bbbb-bbbb-bbbb-bbbbbb"
status = ["READ", "WRITE", "VISIBLE"]
flags = []
segment_count = 1
segment1 {{
start_extent = 0
extent_count = {extents}
type = "striped"
stripe_count = 1
stripes = ["pv0", 0]
}}
}}
}}
}}
contents = "Text Format Volume Group"
version = 1
""".encode() + b"\0"


def main():
    path, offset, length = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    text = metadata(length // MIB - 1)
    area_bytes = MIB - AREA_AT
    body = b"LVM2 001" + PV.replace("-", "").encode() + struct.pack(
        "<Q QQ QQ QQ QQ", length, MIB, 0, 0, 0, AREA_AT, area_bytes, 0, 0) + struct.pack("<II", 2, 0)
    head = struct.pack("<I", 32)
    sector = (head + body).ljust(492, b"\0")
    label = b"LABELONE" + struct.pack("<QI", 1, crc(sector)) + sector
    area = b" LVM2 x[5A%r0N*>" + struct.pack("<IQQ", 1, AREA_AT, area_bytes) + struct.pack(
        "<QQII", 512, len(text), crc(text), 0)
    area = area.ljust(508, b"\0")
    with open(path, "r+b") as f:
        f.seek(offset + 512)
        f.write(label)
        f.seek(offset + AREA_AT)
        f.write(struct.pack("<I", crc(area)) + area)
        f.write(text)


main()
