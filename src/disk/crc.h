/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Private to disk: the CRC-32 that GPT and LVM use (polynomial 0xedb88320, reflected). */
#ifndef DISK_CRC_H
#define DISK_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Without inversion at either end; the formats differ in that. */
uint32_t crc32_raw(uint32_t crc, const void *data, size_t bytes);

/* As GPT has it. */
static inline uint32_t crc32_efi(const void *data, size_t bytes)
{
	return ~crc32_raw(~0u, data, bytes);
}

#endif
