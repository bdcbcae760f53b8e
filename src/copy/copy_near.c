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

/* In p->gathered, behind the blocks themselves. */
#define NEAR_AT (WIRE_CHUNK_BYTES / 2)

#define CONTEXT_SLACK_BYTES (64 * 1024)
#define CONTEXT_ALIGN	    64

_Static_assert(NEAR_AT + WIRE_NEAR_BLOCKS_MAX * WIRE_BLOCK_BYTES <= WIRE_CHUNK_BYTES, "room");

/* Three quarters of a MiB at most are looked at; more than 2^3 candidates a byte hardly gain. */
static const ZSTD_compressionParameters parameters = {
	.windowLog = 20,
	.chainLog = 17,
	.hashLog = 17,
	.searchLog = 3,
	.minMatch = 4,
	.targetLength = 8,
	.strategy = ZSTD_lazy2,
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
	return 0;
}

bool pack_near_wanted(const struct packer *p, const struct item *item, unsigned compression)
{
	return p->near && p->near_ok && item->wire.patch && compression >= NEAR_STEP_MIN &&
	       item->plain_bytes <= WIRE_NEAR_PRESENT_BYTES;
}

bool pack_near(struct packer *p, struct item *item)
{
	uint8_t *around = p->gathered + NEAR_AT;
	size_t bytes = wire_chunk_near(item->data, item->bytes, item->wire.bitmap, around);
	size_t n;

	ZSTD_CCtx_refPrefix(p->near, around, bytes);
	n = ZSTD_compress2(p->near, p->spare, (uint64_t)item->plain_bytes * 97 / 100, p->gathered,
			   item->plain_bytes);
	if (ZSTD_isError(n))
		return false;
	item->wire.data_bytes = (uint32_t)n;
	item->wire.codec = WIRE_CODEC_NEAR;
	return true;
}
