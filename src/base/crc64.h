/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CRC-64/XZ (ECMA-182, reflected), by which object stores name the bytes of an object and of its
 * parts. */
#ifndef BASE_CRC64_H
#define BASE_CRC64_H

#include <stddef.h>
#include <stdint.h>

/* Of more bytes behind those that gave crc; begin with 0. Any thread. */
uint64_t crc64(uint64_t crc, const void *data, size_t bytes);

/* Of bytes with first, and then second_bytes with second. */
uint64_t crc64_join(uint64_t first, uint64_t second, uint64_t second_bytes);

#endif
