/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a plain chunk to what is sent: zero blocks found, digest made, compressed where that pays.
 *
 * The scale is SMC's, 0 to 10. Up to step 6 each chunk is a zstd frame of its own. From 7 on, where
 * the receiver takes it, a worker's chunks are one long frame on one connection, with a window of
 * up to 32 MiB and long-distance matches: level 1 is then as small as level 3 of a whole disk and
 * much faster. docs/copy.md has the figures.
 */
#define ZSTD_STATIC_LINKING_ONLY
#include <errno.h>
#include <string.h>
#include <zstd.h>

#include "base/memory.h"
#include "copy/private.h"

static const int zstd_levels[COPY_COMPRESSION_MAX + 1] = {0, -20, -7, -4, -2, -1, 1, 3, 5, 6, 12};

/* The level of a step where the receiver takes streams; 0: each chunk is for itself there too. */
static const int stream_levels[COPY_COMPRESSION_MAX + 1] = {0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 5};

/* Tables twice as large as those levels have: 1 to 2 % fewer bytes. 0: the level's own. */
static const int stream_hash_logs[COPY_COMPRESSION_MAX + 1] = {[7] = 15, [8] = 17, [9] = 18};

/* zstd chooses its tables by the size of the input, in these classes. */
static const size_t input_classes[] = {16 * 1024, 128 * 1024, 256 * 1024, WIRE_CHUNK_BYTES};

#define CONTEXT_SLACK_BYTES (64 * 1024)

#define LDM_RATE_LOG 7

#define PROBE_PARTS	8
#define PROBE_BYTES	2048
#define PROBE_BYTES_MIN 512 /* one block in all: below, chance has too much to say */
#define PROBE_PERCENT	105 /* of what even chance gives */
#define CONTEXT_ALIGN	64

size_t pack_context_bytes(unsigned compression)
{
	size_t most = 0;

	for (unsigned step = 1; step <= compression; step++)
		for (size_t i = 0; i < ARRAY_SIZE(input_classes); i++)
			most = max_of(most, ZSTD_estimateCCtxSize_usingCParams(ZSTD_getCParams(
						    zstd_levels[step], input_classes[i], 0)));
	return most ? (most + CONTEXT_SLACK_BYTES) & ~(size_t)(CONTEXT_ALIGN - 1) : 0;
}

static void set_stream(ZSTD_CCtx_params *params, unsigned step, unsigned window_log)
{
	ZSTD_CCtxParams_reset(params);
	ZSTD_CCtxParams_setParameter(params, ZSTD_c_compressionLevel, stream_levels[step]);
	ZSTD_CCtxParams_setParameter(params, ZSTD_c_windowLog, (int)window_log);
	ZSTD_CCtxParams_setParameter(params, ZSTD_c_hashLog, stream_hash_logs[step]);
	ZSTD_CCtxParams_setParameter(params, ZSTD_c_enableLongDistanceMatching, 1);
	/* What zstd would choose itself; but its estimate of the memory fails without. */
	ZSTD_CCtxParams_setParameter(params, ZSTD_c_ldmHashRateLog, LDM_RATE_LOG);
	ZSTD_CCtxParams_setParameter(params, ZSTD_c_ldmHashLog, (int)window_log - LDM_RATE_LOG);
	ZSTD_CCtxParams_setParameter(params, ZSTD_c_ldmMinMatch, 64);
	ZSTD_CCtxParams_setParameter(params, ZSTD_c_ldmBucketSizeLog, 4);
	ZSTD_CCtxParams_setParameter(params, ZSTD_c_contentSizeFlag, 0);
}

size_t pack_stream_bytes(unsigned compression, unsigned window_log)
{
	ZSTD_CCtx_params *params = window_log ? ZSTD_createCCtxParams() : NULL;
	size_t most = 0;

	if (!params)
		return 0;
	for (unsigned step = 1; step <= compression; step++) {
		size_t bytes;

		if (!stream_levels[step])
			continue;
		set_stream(params, step, window_log);
		bytes = ZSTD_estimateCStreamSize_usingCCtxParams(params);
		if (!ZSTD_isError(bytes))
			most = max_of(most, bytes);
	}
	ZSTD_freeCCtxParams(params);
	return most ? (most + CONTEXT_SLACK_BYTES) & ~(size_t)(CONTEXT_ALIGN - 1) : 0;
}

unsigned pack_stream_window(unsigned step, unsigned window_log, size_t context_bytes)
{
	for (; window_log >= WIRE_STREAM_LOG_MIN; window_log--)
		if (pack_stream_bytes(step, window_log) <= context_bytes)
			return window_log;
	return 0;
}

int pack_init(struct packer *p, size_t context_bytes)
{
	*p = (struct packer){0};
	p->gathered = memory_take(WIRE_CHUNK_BYTES);
	p->spare = memory_take(WIRE_CHUNK_BYTES);
	/* Its pages come with the first chunk that is worth compressing: that is at the start of
	 * the copy, or never. */
	p->context_bytes = context_bytes;
	if (context_bytes)
		p->context_memory = aligned_alloc(CONTEXT_ALIGN, context_bytes);
	if (p->context_memory)
		p->context = ZSTD_initStaticCCtx(p->context_memory, context_bytes);
	if (!p->gathered || !p->spare || (context_bytes && !p->context))
		return fail_code(ENOMEM, "COPY_NO_MEMORY", "no memory for compression");
	p->lane = -1;
	p->params = ZSTD_createCCtxParams();
	if (!p->params)
		return fail_code(ENOMEM, "COPY_NO_MEMORY", "no memory for compression");
	/* A static context starts with all parameters zero: without the content size in frames. */
	if (p->context)
		ZSTD_CCtx_reset(p->context, ZSTD_reset_session_and_parameters);
	return 0;
}

void pack_fini(struct packer *p)
{
	ZSTD_freeCCtxParams(p->params);
	free(p->context_memory);
	free(p->near_memory);
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

void pack_use_stream(struct packer *p, int lane, unsigned window_log)
{
	p->lane = window_log ? lane : -1;
	p->window_log = window_log;
	p->stream_step = 0;
	p->fitted_step = 0;
}

/*
 * What was packed before has all bytes about equally often; packing it again costs most of all and
 * gains nothing. Some kilobytes of it tell.
 */
static bool looks_packed(const uint8_t *plain, size_t bytes)
{
	uint32_t counts[256] = {0};
	uint64_t squares = 0, n = min_of((uint64_t)PROBE_PARTS * PROBE_BYTES, (uint64_t)bytes);
	size_t part_bytes = n / PROBE_PARTS;

	n = part_bytes * PROBE_PARTS;
	if (part_bytes < PROBE_BYTES_MIN)
		return false;
	for (size_t part = 0; part < PROBE_PARTS; part++) {
		const uint8_t *at = plain + (bytes - part_bytes) / (PROBE_PARTS - 1) * part;

		for (size_t i = 0; i < part_bytes; i++)
			counts[at[i]]++;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(counts); i++)
		squares += (uint64_t)counts[i] * counts[i];
	/* Even chance gives n * n / 256 + n; text has ten times that. */
	return squares * 100 < (n * n / 256 + n) * PROBE_PERCENT;
}

/* True when the next part of the stream stands in p->spare. */
static bool compress_stream(struct packer *p, struct item *item, const uint8_t *plain,
			    unsigned step)
{
	ZSTD_inBuffer in = {plain, item->plain_bytes, 0};
	ZSTD_outBuffer out = {p->spare, item->plain_bytes - 1, 0};
	bool begins = p->stream_step != step;

	if (begins) {
		/* A step that was ordered later has the memory of the first. */
		if (p->fitted_step != step)
			p->fitted_log = pack_stream_window(step, p->window_log, p->context_bytes);
		p->fitted_step = step;
		set_stream(p->params, step, p->fitted_log);
		ZSTD_CCtx_reset(p->context, ZSTD_reset_session_and_parameters);
		ZSTD_CCtx_setParametersUsingCCtxParams(p->context, p->params);
	}
	p->stream_step = step;
	p->stream_set = true;
	/* Not smaller: the frame ends here unfinished, and the next chunk begins another. */
	if (ZSTD_compressStream2(p->context, &out, &in, ZSTD_e_flush) != 0) {
		p->stream_step = 0;
		return false;
	}
	item->lane = p->lane;
	item->wire.begins = begins;
	item->wire.codec = WIRE_CODEC_STREAM;
	item->wire.data_bytes = (uint32_t)out.pos;
	return true;
}

static void take_context(struct packer *p)
{
	if (!p->context_taken)
		memory_populate(p->context_memory, p->context_bytes);
	p->context_taken = true;
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
	if (looks_packed(plain, item->plain_bytes))
		return false;
	if (pack_near_wanted(p, item, compression))
		return pack_near(p, item);
	take_context(p);
	if (p->lane >= 0 && stream_levels[compression])
		return compress_stream(p, item, plain, compression);
	if (p->stream_set)
		ZSTD_CCtx_reset(p->context, ZSTD_reset_session_and_parameters);
	p->stream_set = false;
	p->stream_step = 0;
	ZSTD_CCtx_setParameter(p->context, ZSTD_c_compressionLevel, zstd_levels[compression]);
	/* Room for 97 % only, so that zstd gives up as soon as it does not pay. */
	n = ZSTD_compress2(p->context, p->spare, (uint64_t)item->plain_bytes * 97 / 100, plain,
			   item->plain_bytes);
	if (ZSTD_isError(n))
		return false;
	item->wire.data_bytes = (uint32_t)n;
	item->wire.codec = WIRE_CODEC_ZSTD;
	return true;
}

void pack_scan(struct item *item, enum wire_digest_kind digest)
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
	wire_digest_of(digest)(item->data, item->bytes, item->wire.digest);
}

void pack_compress(struct packer *p, struct item *item, unsigned compression)
{
	if (item->kind != ITEM_CHUNK)
		return;
	item->lane = -1;
	item->wire.begins = false;
	item->wire.codec = WIRE_CODEC_PLAIN;
	item->wire.data_bytes = item->bytes;
	if (compress(p, item, compression))
		exchange(p, item);
	item->wire.data = item->data;
}

void pack_patch(struct item *item, size_t mark_bytes)
{
	uint8_t own[WIRE_MARKS_BYTES], bitmap[WIRE_BITMAP_BYTES] = {0};
	size_t bytes = 0;

	item->patch = PATCH_MADE;
	wire_chunk_marks(item->data, item->bytes, mark_bytes, own);
	for (unsigned i = 0; (size_t)i * WIRE_BLOCK_BYTES < item->bytes; i++) {
		size_t at = i * mark_bytes;

		if (memcmp(own + at, item->marks + at, mark_bytes) != 0)
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
