/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The digest's two builds; wire_digest.c picks one at run time. Private to wire. */
#ifndef WIRE_WIRE_DIGEST_H
#define WIRE_WIRE_DIGEST_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "wire/wire.h"

/* Digest of the parts in order, as if they were one piece. */
void digest_parts_base(const struct iovec *parts, size_t count, uint8_t out[WIRE_DIGEST_MAX]);
void digest_parts_avx2(const struct iovec *parts, size_t count, uint8_t out[WIRE_DIGEST_MAX]);

#endif
