/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Swap space: the header page (mkswap's union swap_header: version, size, bad pages, UUID, label)
 * is all that a copy needs. Source: include/linux/swap.h of the kernel. Space that holds a
 * suspended system has another signature there and is kept whole.
 */
#include "disk/used.h"

#include <string.h>

#include "base/io.h"
#include "base/log.h"
#include "base/num.h"

#define PAGE_BYTES	4096
#define SIGNATURE_BYTES 10

int used_swap(struct arena *a, const struct used_request *r, struct disk_extents *out)
{
	char signature[SIGNATURE_BYTES];
	int rc;

	if (r->length_bytes < PAGE_BYTES)
		return USED_WHOLE;
	rc = io_pread(r->fd, signature, sizeof(signature),
		      r->offset_bytes + PAGE_BYTES - SIGNATURE_BYTES, r->path);
	if (rc < 0)
		return rc;
	if (memcmp(signature, "SWAPSPACE2", SIGNATURE_BYTES) != 0 &&
	    memcmp(signature, "SWAP-SPACE", SIGNATURE_BYTES) != 0) {
		log_warn("%s: swap of another page size or with a suspended system; all of it is "
			 "copied",
			 r->path);
		return USED_WHOLE;
	}
	disk_extents_add(a, out, 0, PAGE_BYTES);
	return 0;
}
