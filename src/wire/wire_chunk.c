/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Zero blocks inside a chunk: finding them, and the bitmap that names the others. */
#include <errno.h>
#include <string.h>

#include "base/io.h"
#include "base/num.h"
#include "wire/wire.h"

static bool bit(const uint8_t *bitmap, unsigned i)
{
	return bitmap[i / 8] >> i % 8 & 1;
}

size_t wire_chunk_scan(const void *chunk, size_t bytes, uint8_t bitmap[WIRE_BITMAP_BYTES])
{
	const uint8_t *data = chunk;
	size_t present = 0;

	memset(bitmap, 0, WIRE_BITMAP_BYTES);
	for (unsigned i = 0; (size_t)i * WIRE_BLOCK_BYTES < bytes; i++) {
		size_t at = (size_t)i * WIRE_BLOCK_BYTES;
		size_t n = min_of(bytes - at, (size_t)WIRE_BLOCK_BYTES);

		if (io_is_zero(data + at, n))
			continue;
		bitmap[i / 8] = (uint8_t)(bitmap[i / 8] | 1u << i % 8);
		present += n;
	}
	return present;
}

bool wire_bitmap_run(const uint8_t bitmap[WIRE_BITMAP_BYTES], unsigned *block, unsigned *count)
{
	unsigned i = *block, end;

	while (i < WIRE_CHUNK_BLOCKS && !bit(bitmap, i))
		i++;
	for (end = i; end < WIRE_CHUNK_BLOCKS && bit(bitmap, end);)
		end++;
	*block = i;
	*count = end - i;
	return end > i;
}

int wire_bitmap_bytes(const uint8_t bitmap[WIRE_BITMAP_BYTES], size_t chunk_bytes, size_t *present)
{
	unsigned block = 0, run = 0;

	*present = 0;
	while (wire_bitmap_run(bitmap, &block, &run)) {
		size_t start = (size_t)block * WIRE_BLOCK_BYTES;
		size_t blocks = div_up(chunk_bytes, WIRE_BLOCK_BYTES);

		if (block + run > blocks)
			return -EINVAL;
		*present += min_of((size_t)run * WIRE_BLOCK_BYTES, chunk_bytes - start);
		block += run;
	}
	return 0;
}

size_t wire_chunk_gather(const void *chunk, size_t bytes, const uint8_t bitmap[WIRE_BITMAP_BYTES],
			 void *out)
{
	unsigned block = 0, run = 0;
	size_t used = 0;

	while (wire_bitmap_run(bitmap, &block, &run)) {
		size_t start = (size_t)block * WIRE_BLOCK_BYTES;
		size_t n;

		if (start >= bytes)
			break;
		n = min_of((size_t)run * WIRE_BLOCK_BYTES, bytes - start);
		memcpy((uint8_t *)out + used, (const uint8_t *)chunk + start, n);
		used += n;
		block += run;
	}
	return used;
}

static bool is_near(const uint8_t *bitmap, unsigned block)
{
	unsigned from = block - min_of(block, (unsigned)WIRE_NEAR_REACH);
	unsigned to = min_of(block + WIRE_NEAR_REACH, WIRE_CHUNK_BLOCKS - 1);

	if (bit(bitmap, block))
		return false;
	for (; from <= to; from++)
		if (bit(bitmap, from))
			return true;
	return false;
}

size_t wire_chunk_near(const void *chunk, size_t bytes, const uint8_t bitmap[WIRE_BITMAP_BYTES],
		       void *out)
{
	unsigned left = WIRE_NEAR_BLOCKS_MAX;
	size_t used = 0;

	for (unsigned i = 0; left > 0 && (size_t)i * WIRE_BLOCK_BYTES < bytes; i++) {
		size_t start = (size_t)i * WIRE_BLOCK_BYTES;
		size_t n = min_of(bytes - start, (size_t)WIRE_BLOCK_BYTES);

		if (!is_near(bitmap, i))
			continue;
		memcpy((uint8_t *)out + used, (const uint8_t *)chunk + start, n);
		used += n;
		left--;
	}
	return used;
}

size_t wire_mark_bytes(unsigned command_flags)
{
	return command_flags & NBD_CMD_FLAG_TO_PATCH ? WIRE_MARK_TO_PATCH_BYTES : WIRE_MARK_BYTES;
}

void wire_chunk_marks(const void *chunk, size_t bytes, size_t mark_bytes,
		      uint8_t marks[WIRE_MARKS_BYTES])
{
	const uint8_t *data = chunk;

	memset(marks, 0, WIRE_MARKS_BYTES);
	for (unsigned i = 0; (size_t)i * WIRE_BLOCK_BYTES < bytes; i++) {
		size_t at = (size_t)i * WIRE_BLOCK_BYTES;
		uint8_t digest[WIRE_DIGEST_MAX];

		wire_digest(data + at, min_of(bytes - at, (size_t)WIRE_BLOCK_BYTES), digest);
		memcpy(marks + i * mark_bytes, digest, mark_bytes);
	}
}
