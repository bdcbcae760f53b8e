/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * XXH3-128 of a list of byte ranges, once for each instruction set: the includer defines
 * DIGEST_NAME, and sets the target before. Private to wire_digest*.c.
 */
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "wire/wire.h"
#include "wire/wire_digest.h"

void DIGEST_NAME(const struct iovec *parts, size_t count, uint8_t out[WIRE_DIGEST_MAX])
{
	XXH128_canonical_t canonical;

	memset(out, 0, WIRE_DIGEST_MAX);
	if (count == 1) {
		XXH128_canonicalFromHash(&canonical,
					 XXH3_128bits(parts[0].iov_base, parts[0].iov_len));
	} else {
		XXH3_state_t state;

		XXH3_128bits_reset(&state);
		for (size_t i = 0; i < count; i++)
			XXH3_128bits_update(&state, parts[i].iov_base, parts[i].iov_len);
		XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state));
	}
	memcpy(out, canonical.digest, sizeof(canonical.digest));
}
