/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SHA-256 with the CPU's SHA instructions. Private to base; hash.c asks first whether they are
 * there. */
#ifndef BASE_HASH_SHA_NI_H
#define BASE_HASH_SHA_NI_H

#include <stddef.h>
#include <stdint.h>

/* The state after so many blocks of 64 bytes. */
void hash_sha_ni_blocks(uint32_t state[8], const uint8_t *data, size_t blocks);

#endif
