# SPDX-License-Identifier: GPL-2.0-or-later
"""Sparse disk files: copy them for one run, and compare them bit for bit without reading the holes."""

import os
import subprocess

BLOCK = 1 << 20


def private_copy(source, target):
    subprocess.run(["cp", "--sparse=always", source, target], check=True)
    os.chmod(target, 0o600)


def extents(fd, size):
    """Yield (start, end) of what may be other than zeros."""
    at = 0
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:  # ENXIO: nothing but a hole up to the end
            return
        at = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, at


def first_difference(a, b):
    """None when both files have the same bytes, else the first offset where they differ."""
    fa, fb = os.open(a, os.O_RDONLY), os.open(b, os.O_RDONLY)
    try:
        size = os.fstat(fa).st_size
        if os.fstat(fb).st_size != size:
            return min(size, os.fstat(fb).st_size)
        places = set()
        for fd in (fa, fb):
            for start, end in extents(fd, size):
                places.update(range(start // BLOCK, (end - 1) // BLOCK + 1))
        for place in sorted(places):
            one, two = os.pread(fa, BLOCK, place * BLOCK), os.pread(fb, BLOCK, place * BLOCK)
            if one != two:
                return place * BLOCK + next(i for i, (x, y) in enumerate(zip(one, two)) if x != y)
        return None
    finally:
        os.close(fa)
        os.close(fb)
