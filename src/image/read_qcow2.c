/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading qcow2. Nothing that the file says is trusted: sizes are bounded before memory is taken,
 * offsets are checked against the file, and a feature that is not known refuses the file.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"
#include "image/qcow2.h"
#include "image/read.h"

#define HEAD_MAX (64u << 10) /* extensions further behind are not looked for */

struct head {
	uint64_t backing, size, l1_offset, incompatible;
	uint32_t version, cluster_bits, crypt, l1_entries, length;
	uint8_t type;
};

static int unsupported(const struct image *i, const char *what)
{
	return fail_code(ENOTSUP, "IMAGE_UNSUPPORTED", "%s %s", i->name, what);
}

static bool parse_head(struct cursor c, struct head *h)
{
	*h = (struct head){.length = QCOW2_HEAD_V2};
	cursor_skip(&c, 4);
	h->version = cursor_be32(&c);
	h->backing = cursor_be64(&c);
	cursor_skip(&c, 4);
	h->cluster_bits = cursor_be32(&c);
	h->size = cursor_be64(&c);
	h->crypt = cursor_be32(&c);
	h->l1_entries = cursor_be32(&c);
	h->l1_offset = cursor_be64(&c);
	cursor_skip(&c, 8 + 4 + 4 + 8); /* refcounts and snapshots say nothing to a reader */
	if (h->version >= 3) {
		h->incompatible = cursor_be64(&c);
		cursor_skip(&c, 8 + 8 + 4);
		h->length = cursor_be32(&c);
		if (h->length >= QCOW2_HEAD_TYPED)
			h->type = cursor_u8(&c);
	}
	return cursor_ok(&c);
}

static int check_head(const struct image *i, const struct head *h)
{
	const uint64_t known = QCOW2_DIRTY | QCOW2_CORRUPT | QCOW2_COMPRESSION_TYPE;

	if (h->version != 2 && h->version != 3)
		return unsupported(i, "is of a version of qcow2 that is not known");
	if (h->backing != 0)
		return unsupported(i, "has a backing file; flatten it first (qemu-img convert)");
	if (h->crypt != 0)
		return unsupported(i, "is encrypted");
	if (h->incompatible & ~known)
		return unsupported(i, "uses a feature of qcow2 that is not known here");
	if (h->incompatible & QCOW2_CORRUPT)
		return image_invalid(i, "it is marked as corrupt");
	if (h->cluster_bits < 9 || h->cluster_bits > 21)
		return image_invalid(i, "its clusters are of no valid size");
	if (h->version == 3 &&
	    (h->length < QCOW2_HEAD_V3 || h->length > 1u << h->cluster_bits || h->length % 8 != 0))
		return image_invalid(i, "its header has no valid length");
	if (h->type > QCOW2_TYPE_ZSTD ||
	    (h->type != QCOW2_TYPE_DEFLATE) != !!(h->incompatible & QCOW2_COMPRESSION_TYPE))
		return unsupported(i, "is compressed in a way that is not known here");
	if (h->size > IMAGE_DISK_MAX)
		return unsupported(i, "is larger than 64 TiB");
	return 0;
}

/* Our own extension among those behind the header. */
static void find_root(struct image *i, struct cursor c)
{
	for (;;) {
		uint32_t type = cursor_be32(&c), bytes = cursor_be32(&c);
		struct cursor body = cursor_sub(&c, bytes);

		cursor_skip(&c, -bytes & 7);
		if (!cursor_ok(&body) || type == 0)
			return;
		if (type != IMAGE_EXTENSION || cursor_u8(&body) != 1)
			continue;
		i->digest = cursor_u8(&body);
		if ((i->digest != IMAGE_XXH3_128 && i->digest != IMAGE_SHA256) ||
		    cursor_u8(&body) != 20)
			continue;
		cursor_skip(&body, 5);
		i->disk_bytes = cursor_be64(&body);
		cursor_copy(&body, i->root, sizeof(i->root));
		i->has_root = cursor_ok(&body);
		return;
	}
}

static int load_l1(struct image *i, const struct head *h)
{
	uint64_t needed = div_up(h->size, (uint64_t)1 << (i->cluster_bits + i->l2_bits));
	int rc;

	if (h->l1_entries < needed || needed * 8 > QCOW2_L1_MAX)
		return image_invalid(i, "its L1 table does not fit its size");
	if (!range_ok(h->l1_offset, needed * 8, i->file_bytes))
		return image_invalid(i, "its L1 table lies behind the end of the file");
	i->l1_entries = needed;
	i->l1 = malloc(needed * 8 + 1);
	if (!i->l1)
		return fail(ENOMEM, "memory for the L1 table of %s", i->name);
	rc = io_pread(i->fd, i->l1, needed * 8, h->l1_offset, i->name);
	return rc;
}

int image_qcow2_open(struct image *i)
{
	size_t bytes = (size_t)min_of(i->file_bytes, (uint64_t)HEAD_MAX);
	uint8_t *raw = malloc(bytes);
	struct cursor c = cursor_of(raw, bytes), rest;
	struct head h;
	int rc;

	if (!raw)
		return fail(ENOMEM, "memory for the header of %s", i->name);
	rc = io_pread(i->fd, raw, bytes, 0, i->name);
	if (rc == 0 && !parse_head(c, &h))
		rc = image_invalid(i, "its header is cut off");
	if (rc == 0)
		rc = check_head(i, &h);
	if (rc == 0) {
		size_t cluster = (size_t)1 << h.cluster_bits;

		i->version = h.version;
		i->cluster_bits = h.cluster_bits;
		i->l2_bits = h.cluster_bits - 3;
		i->type = h.type;
		i->size_bytes = h.size;
		rest = cursor_of(raw, min_of(bytes, cluster));
		cursor_skip(&rest, h.length);
		find_root(i, rest);
		i->plain = malloc(cluster);
		i->packed = malloc(2 * cluster);
		rc = i->plain && i->packed ? load_l1(i, &h)
					   : fail(ENOMEM, "memory to read %s", i->name);
	}
	free(raw);
	return rc;
}

void image_qcow2_close(struct image *i)
{
	for (size_t k = 0; k < IMAGE_TABLES; k++)
		free(i->tables[k].bytes);
	if (i->inflate_ready)
		inflateEnd(&i->inflate);
	ZSTD_freeDCtx(i->zstd);
	free(i->l1);
	free(i->plain);
	free(i->packed);
}

static uint64_t entry_at(const uint8_t *table, uint64_t index)
{
	struct cursor c = cursor_of(table + index * 8, 8);

	return cursor_be64(&c);
}

/* The L2 table at an offset of the file, from the few that are kept. */
static int table_at(struct image *i, uint64_t offset, const uint8_t **out)
{
	size_t cluster = (size_t)1 << i->cluster_bits;
	struct image_table *t = &i->tables[(offset >> i->cluster_bits) % IMAGE_TABLES];
	int rc;

	if (t->offset == offset) {
		*out = t->bytes;
		return 0;
	}
	if (offset % cluster != 0 || !range_ok(offset, cluster, i->file_bytes))
		return image_invalid(i, "an L2 table at %" PRIu64, offset);
	if (!t->bytes)
		t->bytes = malloc(cluster);
	if (!t->bytes)
		return fail(ENOMEM, "memory to read %s", i->name);
	t->offset = 0;
	rc = io_pread(i->fd, t->bytes, cluster, offset, i->name);
	if (rc < 0)
		return rc;
	t->offset = offset;
	*out = t->bytes;
	return 0;
}

/* The L2 entry of a cluster of the disk; 0 for one that was never written. *same: from this cluster
 * on so many are told by one L1 entry. */
static int entry_of(struct image *i, uint64_t cluster, uint64_t *entry, uint64_t *same)
{
	uint64_t l1 = cluster >> i->l2_bits, index = cluster & ((1u << i->l2_bits) - 1);
	uint64_t offset;
	const uint8_t *table = NULL;
	int rc;

	*entry = 0;
	*same = ((uint64_t)1 << i->l2_bits) - index;
	if (l1 >= i->l1_entries)
		return image_invalid(i, "its L1 table is too short");
	offset = entry_at(i->l1, l1) & QCOW2_OFFSET;
	if (offset == 0)
		return 0;
	*same = 1;
	rc = table_at(i, offset, &table);
	if (rc == 0)
		*entry = entry_at(table, index);
	return rc;
}

/* A version 3 cluster can be allocated and zero all the same. */
static bool is_zero(const struct image *i, uint64_t entry)
{
	return entry == 0 ||
	       (!(entry & QCOW2_COMPRESSED) &&
		((i->version >= 3 && entry & QCOW2_ZERO) || (entry & QCOW2_OFFSET) == 0));
}

static bool inflate_cluster(struct image *i, size_t packed, size_t cluster)
{
	z_stream *z = &i->inflate;
	int got;

	if (!i->inflate_ready) {
		if (inflateInit2(z, QCOW2_DEFLATE_WINDOW) != Z_OK)
			return false;
		i->inflate_ready = true;
	} else {
		inflateReset(z);
	}
	z->next_in = i->packed;
	z->avail_in = (uInt)packed;
	z->next_out = i->plain;
	z->avail_out = (uInt)cluster;
	got = inflate(z, Z_FINISH);
	/* Not all writers end the stream inside of the sectors that they count. */
	return z->avail_out == 0 && (got == Z_STREAM_END || got == Z_BUF_ERROR || got == Z_OK);
}

static bool unzstd_cluster(struct image *i, size_t packed, size_t cluster)
{
	ZSTD_inBuffer in = {.src = i->packed, .size = packed};
	ZSTD_outBuffer out = {.dst = i->plain, .size = cluster};
	size_t left = 1;

	if (!i->zstd)
		i->zstd = ZSTD_createDCtx();
	if (!i->zstd)
		return false;
	ZSTD_DCtx_reset(i->zstd, ZSTD_reset_session_only);
	/* A window larger than the cluster serves nothing, and its memory is asked for by the file.
	 */
	ZSTD_DCtx_setParameter(i->zstd, ZSTD_d_windowLogMax, 22);
	while (out.pos < out.size) {
		size_t before = in.pos + out.pos;

		left = ZSTD_decompressStream(i->zstd, &out, &in);
		if (ZSTD_isError(left) || in.pos + out.pos == before)
			return false;
	}
	return left == 0;
}

/* Into i->plain. */
static int load_packed(struct image *i, uint64_t entry)
{
	unsigned shift = 62 - (i->cluster_bits - 8);
	uint64_t offset = entry & (((uint64_t)1 << shift) - 1);
	uint64_t sectors = ((entry & (QCOW2_COMPRESSED - 1)) >> shift) + 1;
	uint64_t bytes = sectors * QCOW2_SECTOR_BYTES - offset % QCOW2_SECTOR_BYTES;
	size_t cluster = (size_t)1 << i->cluster_bits;
	int rc;

	if (entry == i->plain_entry)
		return 0;
	i->plain_entry = 0;
	if (offset >= i->file_bytes)
		return image_invalid(i, "a compressed cluster at %" PRIu64, offset);
	bytes = min_of(bytes, i->file_bytes - offset);
	rc = io_pread(i->fd, i->packed, (size_t)bytes, offset, i->name);
	if (rc < 0)
		return rc;
	if (!(i->type == QCOW2_TYPE_ZSTD ? unzstd_cluster(i, (size_t)bytes, cluster)
					 : inflate_cluster(i, (size_t)bytes, cluster)))
		return image_invalid(i, "the compressed cluster at %" PRIu64 " cannot be unpacked",
				     offset);
	i->plain_entry = entry;
	return 0;
}

static int read_plain(struct image *i, uint64_t entry, uint8_t *buf, size_t bytes, uint64_t inside)
{
	uint64_t offset = entry & QCOW2_OFFSET;

	if (offset % ((uint64_t)1 << i->cluster_bits) != 0 ||
	    entry & ~(QCOW2_OFFSET | QCOW2_COPIED | QCOW2_ZERO))
		return image_invalid(i, "an L2 entry of no valid form");
	if (!range_ok(offset, inside + bytes, i->file_bytes))
		return image_invalid(i, "a cluster at %" PRIu64 " behind the end of the file",
				     offset);
	return io_pread(i->fd, buf, bytes, offset + inside, i->name);
}

int image_qcow2_read(struct image *i, uint8_t *buf, size_t bytes, uint64_t offset_bytes)
{
	uint64_t cluster = (uint64_t)1 << i->cluster_bits;

	while (bytes > 0) {
		uint64_t inside = offset_bytes & (cluster - 1), entry, same;
		size_t n = (size_t)min_of((uint64_t)bytes, cluster - inside);
		int rc = entry_of(i, offset_bytes >> i->cluster_bits, &entry, &same);

		if (rc == 0 && is_zero(i, entry)) {
			memset(buf, 0, n);
		} else if (rc == 0 && entry & QCOW2_COMPRESSED) {
			rc = load_packed(i, entry);
			if (rc == 0)
				memcpy(buf, i->plain + inside, n);
		} else if (rc == 0) {
			rc = read_plain(i, entry, buf, n, inside);
		}
		if (rc < 0)
			return fail_in(rc, "byte %" PRIu64 " of the disk", offset_bytes);
		buf += n;
		bytes -= n;
		offset_bytes += n;
	}
	return 0;
}

int image_qcow2_extent(struct image *i, uint64_t offset_bytes, uint64_t length_bytes,
		       uint64_t *extent_bytes, bool *zero)
{
	uint64_t end = offset_bytes + length_bytes, at = offset_bytes;

	while (at < end) {
		uint64_t cluster = at >> i->cluster_bits, entry, same;
		int rc = entry_of(i, cluster, &entry, &same);

		if (rc < 0)
			return rc;
		if (at == offset_bytes)
			*zero = is_zero(i, entry);
		else if (*zero != is_zero(i, entry))
			break;
		at = (cluster + same) << i->cluster_bits;
	}
	*extent_bytes = min_of(at, end) - offset_bytes;
	return 0;
}
