/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packing a patch. A block by itself packs half as well as it did among its neighbours; but these
 * have not changed, and stand on both sides. So they are put before it as a prefix (codec near),
 * and looked through more thoroughly than a whole disk could be: it is only some blocks.
 */
#define ZSTD_STATIC_LINKING_ONLY
#include <errno.h>
#include <stdlib.h>
#include <zstd.h>

#include "copy/private.h"

/* From here on compression is worth more than the CPU; below it, patches go as chunks do. */
#define NEAR_STEP_MIN 7

#define CONTEXT_SLACK_BYTES (64 * 1024)
#define CONTEXT_ALIGN	    64

_Static_assert(WIRE_NEAR_BLOCKS_MAX *WIRE_BLOCK_BYTES + WIRE_NEAR_PRESENT_BYTES <= WIRE_CHUNK_BYTES,
	       "room");

/*
 * Three quarters of a MiB at most are looked at. Chains, not rows: most of the work is to take the
 * prefix in, and that they do in half the time.
 */
static const ZSTD_compressionParameters parameters = {
	.windowLog = 20,
	.chainLog = 17,
	.hashLog = 17,
	.searchLog = 4,
	.minMatch = 4,
	.targetLength = 8,
	.strategy = ZSTD_lazy,
};

size_t pack_near_bytes(unsigned compression)
{
	if (compression < NEAR_STEP_MIN)
		return 0;
	return round_up(ZSTD_estimateCCtxSize_usingCParams(parameters) + CONTEXT_SLACK_BYTES,
			CONTEXT_ALIGN);
}

int pack_near_init(struct packer *p, size_t near_bytes)
{
	if (near_bytes == 0)
		return 0;
	/* Its pages, some hundred of them, come with the first patch. */
	p->near_memory = aligned_alloc(CONTEXT_ALIGN, near_bytes);
	if (p->near_memory)
		p->near = ZSTD_initStaticCCtx(p->near_memory, near_bytes);
	if (!p->near)
		return fail_code(ENOMEM, "COPY_NO_MEMORY", "no memory for compression");
	ZSTD_CCtx_reset(p->near, ZSTD_reset_session_and_parameters);
	ZSTD_CCtx_setCParams(p->near, parameters);
	ZSTD_CCtx_setParameter(p->near, ZSTD_c_useRowMatchFinder, ZSTD_ps_disable);
	return 0;
}

bool pack_near_wanted(const struct packer *p, const struct item *item, unsigned compression)
{
	return p->near && p->near_ok && item->wire.patch && compression >= NEAR_STEP_MIN &&
	       item->plain_bytes <= WIRE_NEAR_PRESENT_BYTES;
}

bool pack_near(struct packer *p, struct item *item)
{
	const uint8_t *bitmap = item->wire.bitmap;
	size_t bytes = wire_chunk_near(item->data, item->bytes, bitmap, p->gathered), n;

	/* The blocks stand right behind: then it is one piece, which is looked through faster. */
	wire_chunk_gather(item->data, item->bytes, bitmap, p->gathered + bytes);
	ZSTD_CCtx_refPrefix(p->near, p->gathered, bytes);
	n = ZSTD_compress2(p->near, p->spare, (uint64_t)item->plain_bytes * 97 / 100,
			   p->gathered + bytes, item->plain_bytes);
	if (ZSTD_isError(n))
		return false;
	item->wire.data_bytes = (uint32_t)n;
	item->wire.codec = WIRE_CODEC_NEAR;
	return true;
}
