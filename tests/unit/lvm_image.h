/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A physical volume made by hand: label, one metadata area, its text. */
#ifndef UNIT_LVM_IMAGE_H
#define UNIT_LVM_IMAGE_H

#include "base/num.h"
#include "image.h"

#define PV_BYTES   (64 * MIB)
#define AREA_AT	   4096
#define AREA_BYTES (MIB - 4096)
#define CRC_SEED   0xf597a6cfu
#define PV0	   "2yO6r4-1Fij-md2H-7zpf-uz1q-Vtrm-U9ypGD"

/* The text begins at text_at of the area, a ring; PV0 is the volume's name. */
static inline struct image pv_image(size_t bytes, const char *metadata, size_t text_at)
{
	struct image i = image_new(bytes);
	uint8_t *label = i.data + 512, *area = i.data + AREA_AT;
	size_t n = strlen(metadata), first = min_of(n, (size_t)AREA_BYTES - text_at);

	memcpy(label, "LABELONE", 8);
	put_le(label + 8, 1, 8);
	put_le(label + 20, 32, 4);
	memcpy(label + 24, "LVM2 001", 8);
	memcpy(label + 32, "2yO6r41Fijmd2H7zpfuz1qVtrmU9ypGD", 32);
	put_le(label + 64, PV_BYTES, 8);
	put_le(label + 72, MIB, 8);
	put_le(label + 104, AREA_AT, 8);
	put_le(label + 112, AREA_BYTES, 8);
	put_le(label + 136, 2, 4);
	put_le(label + 16, plain_crc(CRC_SEED, label + 20, 492), 4);
	memcpy(area + 4, " LVM2 x[5A%r0N*>", 16);
	put_le(area + 20, 1, 4);
	put_le(area + 24, AREA_AT, 8);
	put_le(area + 32, AREA_BYTES, 8);
	put_le(area + 40, text_at, 8);
	put_le(area + 48, n, 8);
	put_le(area + 56, plain_crc(CRC_SEED, metadata, n), 4);
	put_le(area, plain_crc(CRC_SEED, area + 4, 508), 4);
	memcpy(area + text_at, metadata, first);
	memcpy(area + 512, metadata + first, n - first);
	return i;
}

#endif
