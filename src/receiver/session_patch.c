/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Patches: chunks of which only some blocks came. Those of codec near were packed with the blocks
 * around them in view, so they can be unpacked only once the chunk is ours and has been read.
 */
#define ZSTD_STATIC_LINKING_ONLY
#include <errno.h>
#include <stdlib.h>
#include <zstd.h>

#include "base/err.h"
#include "base/num.h"
#include "receiver/session.h"

/* In s->data: the payload, what becomes of it, and what it refers to. */
#define BLOCKS_AT WIRE_NEAR_PRESENT_BYTES
#define NEAR_AT	  (2 * WIRE_NEAR_PRESENT_BYTES)

_Static_assert(NEAR_AT + WIRE_NEAR_BLOCKS_MAX * WIRE_BLOCK_BYTES <= SESSION_DATA_BYTES, "room");

struct patch {
	struct session *s;
	const struct wire_chunk_head *h;
	size_t chunk_bytes;
	const uint8_t *blocks;
};

static int ready_blocks(void *ctx, const uint8_t *whole, const uint8_t **blocks)
{
	(void)whole;
	*blocks = ((struct patch *)ctx)->blocks;
	return 0;
}

static int near_blocks(void *ctx, const uint8_t *whole, const uint8_t **blocks)
{
	const struct patch *p = ctx;
	struct session *s = p->s;
	size_t bytes = wire_chunk_near(whole, p->chunk_bytes, p->h->bitmap, s->data + NEAR_AT);
	/* Always raw: a block may begin like one of zstd's own dictionaries. */
	const ZSTD_DDict *dict =
		ZSTD_initStaticDDict(s->near_dict, ZSTD_estimateDDictSize(0, ZSTD_dlm_byRef),
				     s->data + NEAR_AT, bytes, ZSTD_dlm_byRef, ZSTD_dct_rawContent);
	size_t got = ZSTD_decompress_usingDDict(s->zstd, s->data + BLOCKS_AT, p->h->present_bytes,
						s->data, p->h->payload_bytes, dict);

	if (ZSTD_isError(got) || got != p->h->present_bytes)
		return fail(EBADMSG, "a patch does not decompress: %s",
			    ZSTD_isError(got) ? ZSTD_getErrorName(got) : "it is too short");
	*blocks = s->data + BLOCKS_AT;
	return 0;
}

static int prepare_near(struct session *s, const struct wire_chunk_head *h)
{
	if (!s->near_ok)
		return fail(EINVAL, "codec 3 was not granted to this connection");
	if (ZSTD_getFrameContentSize(s->data, h->payload_bytes) != h->present_bytes)
		return fail(EBADMSG, "a patch's frame is not of the size that it should be");
	if (!s->near_dict)
		s->near_dict = malloc(ZSTD_estimateDDictSize(0, ZSTD_dlm_byRef));
	return s->near_dict ? 0 : fail(ENOMEM, "memory for patches");
}

int session_patch(struct session *s, uint64_t chunk, const struct wire_chunk_head *h,
		  const uint8_t *blocks)
{
	uint64_t offset_bytes = chunk << WIRE_CHUNK_SHIFT;
	struct patch p = {.s = s, .h = h, .blocks = blocks};
	int rc = blocks ? 0 : prepare_near(s, h);

	p.chunk_bytes = (size_t)min_of((uint64_t)WIRE_CHUNK_BYTES,
				       store_size_bytes(s->store) - offset_bytes);
	return rc < 0 ? rc
		      : store_patch(s->store, chunk, h->bitmap, blocks ? ready_blocks : near_blocks,
				    &p, blocks == s->blocks ? s->data : s->blocks, h->digest,
				    session_run_id(s));
}
