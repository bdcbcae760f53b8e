/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a partition, disk or volume holds. libblkid finds and names the signature; sizes, features
 * and state of the file systems that we copy by their free space come from their own superblocks.
 */
#include "disk/probe.h"

#include <blkid/blkid.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"

#define HEAD_BYTES  (2 * MIB) /* signatures that matter stand below this */
#define TAIL_BYTES  (128 * KIB)
#define BLOCK_BYTES (64 * KIB)

static const char *const content_names[] = {
	[DISK_CONTENT_UNKNOWN] = "unknown", [DISK_CONTENT_EMPTY] = "empty",
	[DISK_CONTENT_EXT] = "ext",	    [DISK_CONTENT_XFS] = "xfs",
	[DISK_CONTENT_BTRFS] = "btrfs",	    [DISK_CONTENT_VFAT] = "vfat",
	[DISK_CONTENT_SWAP] = "swap",	    [DISK_CONTENT_LVM] = "lvm",
	[DISK_CONTENT_MD] = "md",	    [DISK_CONTENT_LUKS] = "luks",
	[DISK_CONTENT_OTHER] = "other",
};

/* libblkid's names for what we treat by its kind. */
static const struct {
	const char *type;
	enum disk_content content;
} types[] = {
	{"ext2", DISK_CONTENT_EXT},	    {"ext3", DISK_CONTENT_EXT},
	{"ext4", DISK_CONTENT_EXT},	    {"ext4dev", DISK_CONTENT_EXT},
	{"xfs", DISK_CONTENT_XFS},	    {"btrfs", DISK_CONTENT_BTRFS},
	{"vfat", DISK_CONTENT_VFAT},	    {"swap", DISK_CONTENT_SWAP},
	{"swsuspend", DISK_CONTENT_SWAP},   {"LVM2_member", DISK_CONTENT_LVM},
	{"crypto_LUKS", DISK_CONTENT_LUKS}, {"linux_raid_member", DISK_CONTENT_MD},
};

const char *disk_content_name(enum disk_content content)
{
	return content < ARRAY_SIZE(content_names) ? content_names[content] : "unknown";
}

int disk_content_parse(const char *name, enum disk_content *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(content_names); i++) {
		if (!strcmp(content_names[i], name)) {
			*out = (enum disk_content)i;
			return 0;
		}
	}
	return -EINVAL;
}

int disk_pieces_read(const struct disk_piece *pieces, size_t count, const char *name, void *buf,
		     size_t bytes, uint64_t offset_bytes)
{
	char *to = buf;

	for (size_t i = 0; i < count && bytes; i++) {
		const struct disk_piece *p = &pieces[i];
		uint64_t n;
		int rc;

		if (offset_bytes >= p->length_bytes) {
			offset_bytes -= p->length_bytes;
			continue;
		}
		n = min_of((uint64_t)bytes, p->length_bytes - offset_bytes);
		rc = io_pread(p->fd, to, n, p->offset_bytes + offset_bytes, name);
		if (rc < 0)
			return rc;
		to += n;
		bytes -= n;
		offset_bytes = 0;
	}
	return bytes ? -ERANGE : 0;
}

int probe_read(const struct probe_source *s, void *buf, size_t bytes, uint64_t offset_bytes)
{
	return disk_pieces_read(s->pieces, s->count, s->name, buf, bytes, offset_bytes);
}

static void close_probe(blkid_probe *p)
{
	blkid_free_probe(*p);
}

static const char *value(struct arena *a, blkid_probe p, const char *key)
{
	const char *data = NULL;

	return blkid_probe_lookup_value(p, key, &data, NULL) || !*data ? NULL
								       : arena_strdup(a, data);
}

/* 1: something was found. */
static int blkid_look(struct arena *a, int fd, const struct probe_source *s, uint64_t offset_bytes,
		      uint64_t length_bytes, struct disk_fs *out)
{
	CLEANUP(close_probe) blkid_probe p = blkid_new_probe();
	int rc;

	if (!p ||
	    blkid_probe_set_device(p, fd, (blkid_loff_t)offset_bytes, (blkid_loff_t)length_bytes))
		return fail(errno ? errno : EIO, "probe %s", s->name);
	blkid_probe_enable_partitions(p, 0);
	blkid_probe_enable_superblocks(p, 1);
	blkid_probe_set_superblocks_flags(p, BLKID_SUBLKS_LABEL | BLKID_SUBLKS_UUID |
						     BLKID_SUBLKS_TYPE);
	errno = 0;
	rc = blkid_do_safeprobe(p);
	if (rc == 1)
		return 0;
	if (rc == -2) {
		/* Two signatures that exclude each other: whoever is right, every byte is kept. */
		out->content = DISK_CONTENT_OTHER;
		out->type = "ambiguous";
		return 1;
	}
	if (rc < 0)
		return fail(errno ? errno : EIO, "probe %s", s->name);
	out->type = value(a, p, "TYPE");
	out->uuid = value(a, p, "UUID");
	out->label = value(a, p, "LABEL");
	out->content = DISK_CONTENT_OTHER;
	for (size_t i = 0; out->type && i < ARRAY_SIZE(types); i++)
		if (!strcmp(types[i].type, out->type))
			out->content = types[i].content;
	out->hibernated = out->type && !strcmp(out->type, "swsuspend");
	return 1;
}

/* libblkid wants one descriptor: a volume in short pieces has its head copied into memory. */
static int look_at_pieces(struct arena *a, const struct probe_source *s, struct disk_fs *out)
{
	CLEANUP_CLOSE int fd = -1;
	CLEANUP_FREE char *head = NULL;
	size_t bytes = (size_t)min_of(s->length_bytes, HEAD_BYTES);
	int rc;

	if (s->count == 1 || s->pieces[0].length_bytes >= bytes)
		return blkid_look(a, s->pieces[0].fd, s, s->pieces[0].offset_bytes,
				  s->pieces[0].length_bytes, out);
	head = malloc(bytes);
	fd = memfd_create("head", MFD_CLOEXEC);
	if (!head || fd < 0)
		return fail(head ? errno : ENOMEM, "probe %s", s->name);
	rc = probe_read(s, head, bytes, 0);
	if (rc == 0)
		rc = io_pwrite(fd, head, bytes, 0, s->name);
	if (rc == 0 && ftruncate(fd, (off_t)s->length_bytes))
		rc = fail(errno, "probe %s", s->name);
	return rc < 0 ? rc : blkid_look(a, fd, s, 0, s->length_bytes, out);
}

static int is_blank(const struct probe_source *s, uint64_t from, uint64_t to)
{
	CLEANUP_FREE char *buf = malloc(BLOCK_BYTES);

	if (!buf)
		return fail(ENOMEM, "probe %s", s->name);
	for (; from < to; from += min_of(to - from, BLOCK_BYTES)) {
		size_t n = (size_t)min_of(to - from, BLOCK_BYTES);
		int rc = probe_read(s, buf, n, from);

		if (rc < 0)
			return rc;
		if (!io_is_zero(buf, n))
			return 0;
	}
	return 1;
}

static int look_blank(const struct probe_source *s, struct disk_fs *out)
{
	uint64_t head = min_of(s->length_bytes, HEAD_BYTES);
	uint64_t tail = s->length_bytes - min_of(s->length_bytes, TAIL_BYTES);
	int rc = is_blank(s, 0, head);

	if (rc > 0)
		rc = is_blank(s, tail, s->length_bytes);
	if (rc > 0)
		out->content = DISK_CONTENT_EMPTY;
	return min_of(rc, 0);
}

int disk_probe_pieces(struct arena *a, const struct disk_piece *pieces, size_t count,
		      const char *name, struct disk_fs *out)
{
	struct probe_source s = {.pieces = pieces, .count = count, .name = name};
	int rc;

	*out = (struct disk_fs){.content = DISK_CONTENT_UNKNOWN};
	for (size_t i = 0; i < count; i++)
		if (!add_ok(s.length_bytes, pieces[i].length_bytes, &s.length_bytes))
			return fail(EOVERFLOW, "size of %s", name);
	if (!s.length_bytes)
		return 0;
	rc = look_at_pieces(a, &s, out);
	if (rc < 0)
		return rc;
	if (rc == 0)
		return look_blank(&s, out);
	switch (out->content) {
	case DISK_CONTENT_EXT:
		rc = super_ext(a, &s, out);
		break;
	case DISK_CONTENT_XFS:
		rc = super_xfs(a, &s, out);
		break;
	case DISK_CONTENT_BTRFS:
		rc = super_btrfs(a, &s, out);
		break;
	case DISK_CONTENT_SWAP:
		rc = super_swap(a, &s, out);
		break;
	default:
		rc = 0;
		break;
	}
	/* Cut off behind its superblock: named, but with nothing known about it. */
	return rc == -ERANGE ? 0 : rc;
}

int disk_probe(struct arena *a, int fd, const char *name, uint64_t offset_bytes,
	       uint64_t length_bytes, struct disk_fs *out)
{
	struct disk_piece piece = {
		.fd = fd, .offset_bytes = offset_bytes, .length_bytes = length_bytes};

	return disk_probe_pieces(a, &piece, 1, name, out);
}
