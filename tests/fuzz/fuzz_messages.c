/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Each parser of a message, by the first byte: names, offers, chunk heads, reports. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sum {
	enum wire_digest_kind kind;
	uint64_t bytes;
};

static int take_run(void *ctx, uint64_t first, uint32_t count, enum wire_chunk_state state,
		    bool this_run, bool durable, const uint8_t *digests)
{
	struct sum *sum = ctx;

	(void)this_run;
	(void)durable;
	assert(count > 0 && first + count > first);
	for (uint32_t i = 0; digests && i < count * wire_digest_bytes(sum->kind); i++)
		sum->bytes += digests[i];
	assert((state == WIRE_DATA) == (digests != NULL));
	return 0;
}

static void chunk_head(const uint8_t *data, size_t size)
{
	uint8_t raw[WIRE_CHUNK_HEAD_BYTES];
	struct wire_chunk_head h;
	size_t chunk_bytes, present;
	uint32_t request;

	if (size < sizeof(raw) + 6)
		return;
	memcpy(raw, data, sizeof(raw));
	memcpy(&request, data + sizeof(raw), 4);
	chunk_bytes = (size_t)(data[sizeof(raw) + 4] | data[sizeof(raw) + 5] << 8) * 16 + 1;
	if (wire_chunk_head_parse(raw, request, chunk_bytes, &h) < 0)
		return;
	assert(wire_bitmap_bytes(h.bitmap, chunk_bytes, &present) == 0 &&
	       present == h.present_bytes);
	assert(h.payload_bytes <= WIRE_CHUNK_BYTES && h.present_bytes <= chunk_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_FREE struct nbd_go *go = malloc(sizeof(*go));
	CLEANUP_FREE struct nbd_meta *meta = malloc(sizeof(*meta));
	struct wire_offer offer;
	struct wire_grant grant;
	struct wire_durable durable;
	uint8_t marks[WIRE_MARKS_BYTES];
	int kind = size ? *data : 0;
	struct sum sum = {.kind = kind & 64 ? WIRE_DIGEST_SHA256 : WIRE_DIGEST_XXH3_128};

	data += size ? 1 : 0;
	size -= size ? 1 : 0;
	switch (kind % 8) {
	case 0:
		if (nbd_go_parse(data, size, go) == 0)
			assert(strlen(go->name) <= NBD_NAME_MAX);
		break;
	case 1:
		if (nbd_meta_parse(data, size, kind & 64, meta) == 0)
			assert(strlen(meta->name) <= NBD_NAME_MAX);
		break;
	case 2:
		wire_offer_parse(data, size, &offer);
		break;
	case 3:
		wire_grant_parse(data, size, &grant);
		break;
	case 4:
		wire_durable_parse(data, size, &durable);
		wire_marks_parse(data, size, 5, 1 + size * 1021, WIRE_MARK_BYTES, marks);
		wire_marks_parse(data, size, 5, 1 + size * 2043, WIRE_MARK_TO_PATCH_BYTES, marks);
		break;
	case 5:
		wire_digests_parse(sum.kind, data, size, take_run, &sum);
		break;
	case 6:
		chunk_head(data, size);
		break;
	case 7:
		wire_readback_parse(sum.kind, data, size, take_run, &sum);
		break;
	}
	return 0;
}
