/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How well contents compress: some blocks of each, spread evenly with a little disorder that is the
 * same in every run. Zero blocks do not count, as they are not sent. The sample of a PV stands for
 * its volumes.
 */
#include "inventory/inv.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <zstd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/num.h"

#define BLOCK_BYTES (128 * KIB)
#define BLOCKS	    48
#define LEVEL	    3

struct sampler {
	char *block;
	char *packed;
	size_t packed_bytes;
	uint64_t noise;
	uint64_t ratios[BLOCKS]; /* permille */
	unsigned count;
};

static uint64_t next_noise(struct sampler *s)
{
	s->noise ^= s->noise << 13;
	s->noise ^= s->noise >> 7;
	s->noise ^= s->noise << 17;
	return s->noise;
}

static void take_block(struct sampler *s, const struct inv_disk *d, uint64_t offset_bytes)
{
	size_t n;

	if (io_pread(d->fd, s->block, BLOCK_BYTES, offset_bytes, d->name) < 0 ||
	    io_is_zero(s->block, BLOCK_BYTES))
		return;
	n = ZSTD_compress(s->packed, s->packed_bytes, s->block, BLOCK_BYTES, LEVEL);
	if (!ZSTD_isError(n))
		s->ratios[s->count++] = min_of(n * 1000 / BLOCK_BYTES, (uint64_t)1000);
}

/* {"blocks", "ratio_permille", "error_permille"}: mean, and two standard errors of it. */
static json_t *sample_json(const struct sampler *s)
{
	double sum = 0, squares = 0, mean = 0, error = 0;

	for (unsigned i = 0; i < s->count; i++)
		sum += (double)s->ratios[i];
	mean = s->count ? sum / s->count : 0;
	for (unsigned i = 0; i < s->count; i++)
		squares += ((double)s->ratios[i] - mean) * ((double)s->ratios[i] - mean);
	if (s->count > 1)
		error = 2 * sqrt(squares / (s->count - 1) / s->count);
	else
		error = 1000;
	return json_pack("{s:i, s:i, s:i}", "blocks", (int)s->count, "ratio_permille",
			 (int)(mean + 0.5), "error_permille", (int)(error + 0.5));
}

static void sample_range(struct sampler *s, const struct inv_disk *d, uint64_t offset_bytes,
			 uint64_t length_bytes, json_t *content)
{
	const char *kind = json_string_value(json_object_get(content, "kind"));
	uint64_t step = length_bytes / BLOCKS;

	if (!kind || !strcmp(kind, "swap") || !strcmp(kind, "empty") || step < BLOCK_BYTES)
		return;
	s->count = 0;
	s->noise = 0x9e3779b97f4a7c15u;
	for (uint64_t i = 0; i < BLOCKS; i++) {
		uint64_t at = step * i + next_noise(s) % (step - BLOCK_BYTES + 1);

		take_block(s, d, offset_bytes + round_down(at, 4096));
	}
	json_object_set_new(content, "sample", sample_json(s));
}

static void sample_disk(struct sampler *s, const struct inv_disk *d)
{
	size_t i;
	json_t *p;

	sample_range(s, d, 0, d->size_bytes, json_object_get(d->json, "content"));
	json_array_foreach (json_object_get(d->json, "partitions"), i, p) {
		uint64_t offset = 0, length = 0;

		if (json_get_u64(p, "offset_bytes", &offset) == 0 &&
		    json_get_u64(p, "length_bytes", &length) == 0)
			sample_range(s, d, offset, length, json_object_get(p, "content"));
	}
}

int inv_sample(struct inv *inv)
{
	CLEANUP_FREE char *block = malloc(BLOCK_BYTES);
	CLEANUP_FREE char *packed = malloc(ZSTD_compressBound(BLOCK_BYTES));
	CLEANUP_FREE struct sampler *s = calloc(1, sizeof(*s));

	if (!block || !packed || !s)
		return fail(ENOMEM, "memory for a sample of the disks");
	s->block = block;
	s->packed = packed;
	s->packed_bytes = ZSTD_compressBound(BLOCK_BYTES);
	for (size_t i = 0; i < inv->disk_count; i++)
		sample_disk(s, &inv->disks[i]);
	return 0;
}
