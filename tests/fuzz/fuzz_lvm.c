/* SPDX-License-Identifier: GPL-2.0-or-later */
/* LVM: the bytes as metadata text, and the same text inside a PV whose checksums are right. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/num.h"
#include "disk/crc.h"
#include "disk/disk.h"
#include "disk/lvm.h"

#define CRC_SEED 0xf597a6cfu
#define AREA_AT	 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct disk_lvm_vg *vg)
{
	for (size_t i = 0; i < vg->lv_count; i++) {
		const struct disk_lvm_lv *lv = &vg->lvs[i];
		uint64_t end = 0;

		for (size_t k = 0; k < lv->segment_count; k++) {
			const struct disk_lvm_segment *s = &lv->segments[k];

			assert(s->lv_offset_bytes == end);
			end += s->length_bytes;
			if (!lv->plain)
				continue;
			assert(s->stripe_count > 0);
			assert(s->stripe_count == 1 || s->stripe_bytes > 0);
			assert(s->length_bytes % s->stripe_count == 0);
		}
		assert(lv->size_bytes == end);
	}
}

static void put_le(uint8_t *p, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

/* The first 512 bytes become the label's header, the next 64 the area's, the rest its text. */
static void as_pv(struct arena *a, const uint8_t *data, size_t size)
{
	CLEANUP_CLOSE int fd = memfd_create("pv", MFD_CLOEXEC);
	CLEANUP_FREE uint8_t *pv = calloc(1, AREA_AT + 512 + size);
	uint8_t *label = pv + 512, *area = pv + AREA_AT;
	size_t bytes = AREA_AT + 512 + size, text = size - 576;
	struct disk_lvm_label out;

	memcpy(label + 32, data, 480);
	memcpy(label, "LABELONE\1\0\0\0\0\0\0\0", 16);
	put_le(label + 20, 32, 4);
	memcpy(label + 24, "LVM2 001", 8);
	put_le(label + 16, crc32_raw(CRC_SEED, label + 20, 492), 4);
	memcpy(area + 40, data + 512, 64);
	memcpy(area + 4, " LVM2 x[5A%r0N*>\1\0\0\0", 20);
	put_le(area + 24, AREA_AT, 8);
	put_le(area + 32, bytes - AREA_AT, 8);
	put_le(area + 56, crc32_raw(CRC_SEED, data + 576, text), 4);
	put_le(area, crc32_raw(CRC_SEED, area + 4, 508), 4);
	memcpy(area + 512, data + 576, text);
	if (write(fd, pv, bytes) != (ssize_t)bytes)
		return;
	if (disk_lvm_read(a, fd, "fuzz", 0, bytes, &out) == 0)
		for (size_t i = 0; i < out.meta.count; i++)
			assert(range_ok(out.meta.list[i].offset_bytes,
					out.meta.list[i].length_bytes, bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	struct disk_lvm_vg *vg = NULL;

	if (size > 64 * KIB)
		return 0;
	if (lvm_vg_parse(a, (const char *)data, size, "fuzz", &vg) == 0)
		check(vg);
	if (size >= 576)
		as_pv(a, data, size);
	return 0;
}
