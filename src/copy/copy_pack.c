/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a plain chunk to what is sent: zero blocks found, digest made, compressed where that pays.
 *
 * The scale is SMC's, 0 to 10. Measured on chunks of 1 MiB of a Debian system's files (256 MiB of
 * programs, libraries, documents), zstd 1.5.4, one core; plain MB/s and how much smaller it gets:
 *
 *   step     1     2     3     4     5     6     7     8     9    10
 *   zstd   -20    -7    -4    -2     1     2     3     5     6    12
 *   MB/s  1240   765   615   590   400   330   183    98    87    30
 *   ratio 1.36  1.63  1.80  1.98  2.35  2.50  2.61  2.70  2.76  2.80
 *
 * Each step buys bytes with time; beyond zstd 12 chunks of this size gain nothing more. The
 * default, 7, fills a link of 1 Gbit/s from two cores (2 * 183 / 2.61 = 140 MB/s).
 */
#define ZSTD_STATIC_LINKING_ONLY
#include <errno.h>
#include <string.h>
#include <zstd.h>

#include "copy/private.h"

static const int zstd_levels[COPY_COMPRESSION_MAX + 1] = {0, -20, -7, -4, -2, 1, 2, 3, 5, 6, 12};

/* zstd chooses its tables by the size of the input, in these classes. */
static const size_t input_classes[] = {16 * 1024, 128 * 1024, 256 * 1024, WIRE_CHUNK_BYTES};

#define CONTEXT_SLACK_BYTES (64 * 1024)
#define CONTEXT_ALIGN	    64

size_t pack_context_bytes(unsigned compression)
{
	size_t most = 0;

	for (unsigned step = 1; step <= compression; step++)
		for (size_t i = 0; i < ARRAY_SIZE(input_classes); i++)
			most = max_of(most, ZSTD_estimateCCtxSize_usingCParams(ZSTD_getCParams(
						    zstd_levels[step], input_classes[i], 0)));
	return most ? (most + CONTEXT_SLACK_BYTES) & ~(size_t)(CONTEXT_ALIGN - 1) : 0;
}

/* Memory whose pages are there, not only promised. */
static void *take(size_t align, size_t bytes)
{
	void *memory = aligned_alloc(align, bytes);

	return memory ? memset(memory, 0, bytes) : NULL;
}

int pack_init(struct packer *p, size_t context_bytes)
{
	*p = (struct packer){0};
	p->gathered = take(4096, WIRE_CHUNK_BYTES);
	p->spare = take(4096, WIRE_CHUNK_BYTES);
	if (context_bytes)
		p->context_memory = take(CONTEXT_ALIGN, context_bytes);
	if (p->context_memory)
		p->context = ZSTD_initStaticCCtx(p->context_memory, context_bytes);
	if (!p->gathered || !p->spare || (context_bytes && !p->context))
		return fail_code(ENOMEM, "COPY_NO_MEMORY", "no memory for compression");
	/* A static context starts with all parameters zero: without the content size in frames. */
	if (p->context)
		ZSTD_CCtx_reset(p->context, ZSTD_reset_session_and_parameters);
	return 0;
}

void pack_fini(struct packer *p)
{
	free(p->context_memory);
	free(p->gathered);
	free(p->spare);
	*p = (struct packer){0};
}

static void exchange(struct packer *p, struct item *item)
{
	uint8_t *plain = item->data;

	item->data = p->spare;
	p->spare = plain;
}

/* True when the compressed form stands in p->spare. */
static bool compress(struct packer *p, struct item *item, unsigned compression)
{
	const uint8_t *plain = item->data;
	size_t n;

	if (compression == 0 || !p->context)
		return false;
	if (item->plain_bytes < item->bytes) {
		wire_chunk_gather(item->data, item->bytes, item->wire.bitmap, p->gathered);
		plain = p->gathered;
	}
	ZSTD_CCtx_setParameter(p->context, ZSTD_c_compressionLevel, zstd_levels[compression]);
	/* Room for 97 % only, so that zstd gives up as soon as it does not pay. */
	n = ZSTD_compress2(p->context, p->spare, (uint64_t)item->plain_bytes * 97 / 100, plain,
			   item->plain_bytes);
	if (ZSTD_isError(n))
		return false;
	item->wire.data_bytes = (uint32_t)n;
	return true;
}

void pack_scan(struct item *item)
{
	item->patch = PATCH_NONE;
	item->wire.patch = false;
	item->plain_bytes = (uint32_t)wire_chunk_scan(item->data, item->bytes, item->wire.bitmap);
	if (item->plain_bytes == 0) {
		item->kind = ITEM_ZERO;
		item->zero_bytes = item->map_bytes;
		return;
	}
	/* For people: what of the map was zero. Gaps outside the map are no part of it. */
	item->zero_bytes = item->bytes - item->plain_bytes;
	item->zero_bytes -= min_of(item->zero_bytes, item->bytes - item->map_bytes);
	wire_digest(item->data, item->bytes, item->wire.digest);
}

void pack_compress(struct packer *p, struct item *item, unsigned compression)
{
	if (item->kind != ITEM_CHUNK)
		return;
	item->wire.codec = WIRE_CODEC_PLAIN;
	item->wire.data_bytes = item->bytes;
	if (compress(p, item, compression)) {
		item->wire.codec = WIRE_CODEC_ZSTD;
		exchange(p, item);
	}
	item->wire.data = item->data;
}

void pack_patch(struct item *item)
{
	uint8_t own[WIRE_MARKS_BYTES], bitmap[WIRE_BITMAP_BYTES] = {0};
	size_t bytes = 0;

	item->patch = PATCH_MADE;
	wire_chunk_marks(item->data, item->bytes, own);
	for (unsigned i = 0; (size_t)i * WIRE_BLOCK_BYTES < item->bytes; i++) {
		size_t at = i * WIRE_MARK_BYTES;

		if (memcmp(own + at, item->marks + at, WIRE_MARK_BYTES) != 0)
			bitmap[i / 8] = (uint8_t)(bitmap[i / 8] | 1u << i % 8);
	}
	/* At least one differs, or the digests would not. Blocks of zeros must be sent here. */
	if (wire_bitmap_bytes(bitmap, item->bytes, &bytes) < 0 || bytes == 0 ||
	    bytes >= item->plain_bytes)
		return;
	memcpy(item->wire.bitmap, bitmap, sizeof(bitmap));
	item->plain_bytes = (uint32_t)bytes;
	item->wire.patch = true;
}
