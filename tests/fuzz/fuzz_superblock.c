/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Superblocks: of file systems and of RAID members, from bytes that claim to be one. */
#include <assert.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/num.h"
#include "disk/probe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int (*const readers[])(struct arena *, const struct probe_source *,
				      struct disk_fs *) = {super_ext, super_xfs, super_btrfs,
							   super_swap};
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_CLOSE int fd = memfd_create("fs", MFD_CLOEXEC);
	struct disk_piece piece = {.fd = fd, .length_bytes = size};
	struct probe_source s = {
		.pieces = &piece, .count = 1, .name = "fuzz", .length_bytes = size};
	struct disk_md md;

	if (size > 256 * KIB || write(fd, data, size) != (ssize_t)size)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(readers); i++) {
		struct disk_fs fs = {0};

		if (readers[i](a, &s, &fs) == 0)
			assert(fs.used_bytes <= fs.size_bytes);
	}
	if (disk_md_read(a, fd, "fuzz", 0, size, &md) == 0)
		assert(md.uuid && md.name && md.metadata);
	return 0;
}
