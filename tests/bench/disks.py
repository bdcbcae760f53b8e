# SPDX-License-Identifier: GPL-2.0-or-later
"""The disks of the bench. Made once from this machine's own files and kept in the cache, outside the work tree."""

import os
import shutil
import subprocess

MIB = 1 << 20

# Recipes: what changes here is made anew.
VERSIONS = {"root": 1, "data": 1, "random": 1, "empty": 2}
FILES_MIB, STALE_MIB, ROOT_MIB = 2500, 1500, 5000
DATA_FILES_MIB, DATA_MIB = 1000, 2000
RANDOM_MIB = 1500


def run(*command, **options):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)


def real_files():
    """Programs, libraries, documents, sources: of every package that is installed here, in the order of their names."""
    for top in ("/usr/bin", "/usr/include", "/usr/sbin", "/usr/share", "/usr/lib"):
        for directory, names, files in os.walk(top):
            names.sort()
            for name in sorted(files):
                path = os.path.join(directory, name)
                if os.path.isfile(path) and not os.path.islink(path) and os.path.getsize(path) < 64 * MIB:
                    yield path


def copy_files(tree, mib, skip_mib=0):
    """Files of that size altogether; from the start again, into another folder, when the machine has fewer."""
    done, again = -skip_mib * MIB, 0
    while done < mib * MIB:
        before = done
        for path in real_files():
            size = os.path.getsize(path)
            if done >= 0:
                to = f"{tree}/{again}{path}"
                os.makedirs(os.path.dirname(to), exist_ok=True)
                shutil.copyfile(path, to)
            done += size
            if done >= mib * MIB:
                return
        if done == before:
            raise RuntimeError("this machine has no files to make disks of")
        again += 1


def make_root(path):
    """ext4: FILES_MIB of files, and STALE_MIB of files that were deleted: their bytes stand in free space."""
    tree = path + ".files"
    copy_files(f"{tree}/kept", FILES_MIB)
    copy_files(f"{tree}/stale", STALE_MIB, skip_mib=FILES_MIB // 2)
    run("truncate", "-s", f"{ROOT_MIB}M", path)
    run("mke2fs", "-qF", "-t", "ext4", "-L", "root", "-d", tree, path)
    stale, rest = [], []
    for directory, names, files in os.walk(f"{tree}/stale"):
        stale += [os.path.join(directory, name)[len(tree):] for name in files]
        rest += [os.path.join(directory, name)[len(tree):] for name in names]
    with open(path + ".rm", "w") as commands:
        commands.writelines(f'rm "{name}"\n' for name in stale)
    run("debugfs", "-w", "-f", path + ".rm", path)
    run("e2fsck", "-fn", path)
    os.unlink(path + ".rm")
    shutil.rmtree(tree)


def make_data(path):
    """XFS, half full."""
    mount = path + ".mount"
    run("truncate", "-s", f"{DATA_MIB}M", path)
    run("mkfs.xfs", "-q", "-f", "-L", "data", path)
    os.makedirs(mount, exist_ok=True)
    run("mount", "-o", "loop", path, mount)
    try:
        copy_files(mount, DATA_FILES_MIB, skip_mib=400)
    finally:
        run("umount", mount)
    os.rmdir(mount)


def make_random(path):
    with open(path, "wb") as out, open("/dev/urandom", "rb") as source:
        for _ in range(RANDOM_MIB):
            out.write(source.read(MIB))


def make_empty(path):
    tree = path + ".files"
    os.makedirs(tree)
    for name in ("passwd", "group", "fstab", "hosts", "services", "protocols"):
        if os.path.isfile(f"/etc/{name}"):
            shutil.copyfile(f"/etc/{name}", f"{tree}/{name}")
    run("truncate", "-s", "1T", path)
    run("mke2fs", "-qF", "-t", "ext4", "-L", "empty", "-d", tree, path)
    shutil.rmtree(tree)


DISKS = {
    "root": (f"ext4 root, {ROOT_MIB} MiB: {FILES_MIB} MiB of files, {STALE_MIB} MiB of stale ones in free space", make_root),
    "data": (f"XFS data disk, {DATA_MIB} MiB: {DATA_FILES_MIB} MiB of files", make_data),
    "random": (f"incompressible disk, {RANDOM_MIB} MiB", make_random),
    "empty": ("nearly empty ext4, 1 TiB, sparse", make_empty),
}


def make(folder):
    """All disks, as {name: (what it is, path)}."""
    os.makedirs(folder, exist_ok=True)
    made = {}
    for name, (words, maker) in DISKS.items():
        path = f"{folder}/{name}-{VERSIONS[name]}.raw"
        if not os.path.exists(path):
            print(f"making the disk {name}: {words}", flush=True)
            for old in os.listdir(folder):
                if old.startswith(f"{name}-"):
                    old = f"{folder}/{old}"
                    shutil.rmtree(old) if os.path.isdir(old) else os.unlink(old)
            maker(path + ".part")
            os.rename(path + ".part", path)
        made[name] = (words, path)
    return made
