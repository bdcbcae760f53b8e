/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parts, raw images, and the Merkle root. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "image/layout.h"

static uint64_t clusters_of(uint64_t bytes)
{
	return div_up(bytes, PACK_CLUSTER_BYTES);
}

static int zero_digests(struct layout *l)
{
	size_t rest = l->source.disk_bytes % IMAGE_CHUNK_BYTES;
	uint8_t *zeros = calloc(1, IMAGE_CHUNK_BYTES);

	if (!zeros)
		return fail(ENOMEM, "memory for an image");
	l->source.digest(zeros, IMAGE_CHUNK_BYTES, l->zero_digest);
	l->source.digest(zeros, rest, l->short_digest);
	free(zeros);
	return 0;
}

int layout_new(const struct image_source *source, const struct image_options *options,
	       const struct image_sink *sink, struct layout **out)
{
	struct layout *l = calloc(1, sizeof(*l));
	int rc;

	if (!l)
		return fail(ENOMEM, "memory for an image");
	l->source = *source;
	l->options = *options;
	l->sink = sink;
	l->number = 1;
	merkle_init(&l->merkle);
	rc = zero_digests(l);
	if (rc == 0 && options->format == IMAGE_QCOW2)
		rc = layout_qcow2_init(l);
	l->state_max = layout_state_max(l);
	l->state = malloc(l->state_max);
	l->scratch = malloc(PACK_CLUSTER_BYTES);
	if (rc == 0 && (!l->state || !l->scratch))
		rc = fail(ENOMEM, "memory for an image");
	if (rc < 0) {
		layout_free(l);
		return rc;
	}
	*out = l;
	return 0;
}

void layout_free(struct layout *l)
{
	if (!l)
		return;
	free(l->l1);
	free(l->blocks);
	free(l->scratch);
	free(l->state);
	free(l);
}

/* There is a buffer; what is before fill is zero where nothing was put. */
static int need_buffer(struct layout *l)
{
	if (l->buffer)
		return 0;
	l->buffer = l->sink->buffer(l->sink->ctx);
	if (!l->buffer)
		return -ECANCELED;
	memset(l->buffer, 0, l->fill);
	return 0;
}

int layout_cut(struct layout *l)
{
	struct image_part p = {.number = l->number,
			       .offset_bytes = l->part_offset,
			       .data = l->buffer,
			       .bytes = l->fill};

	p.done_bytes = min_of(l->next_cluster * PACK_CLUSTER_BYTES, l->source.disk_bytes);
	l->number++;
	l->part_offset += l->fill;
	l->fill = 0;
	l->buffer = NULL;
	if (!l->tail) {
		p.state_bytes = layout_save(l);
		p.state = l->state;
	}
	return l->sink->part(l->sink->ctx, &p);
}

/* Zeros up to the end of the part, which is then whole. */
static int fill_up(struct layout *l)
{
	if (l->buffer)
		memset(l->buffer + l->fill, 0, l->options.part_bytes - l->fill);
	l->fill = l->options.part_bytes;
	return layout_cut(l);
}

int layout_room(struct layout *l, size_t bytes, size_t align)
{
	size_t start = round_up(l->fill, align);
	int rc = 0;

	if (start + bytes > l->options.part_bytes) {
		rc = fill_up(l);
		start = 0;
	}
	if (rc == 0)
		rc = need_buffer(l);
	if (rc < 0)
		return rc;
	memset(l->buffer + l->fill, 0, start - l->fill);
	l->fill = start;
	return 0;
}

/* A part is left open when it is full, as it may be the last one, which is no part more. */
static int raw_bytes(struct layout *l, const uint8_t *data, uint64_t bytes)
{
	while (bytes > 0) {
		size_t n;
		int rc = l->fill == l->options.part_bytes ? layout_cut(l) : 0;

		if (rc == 0 && data)
			rc = need_buffer(l);
		if (rc < 0)
			return rc;
		n = (size_t)min_of(bytes, (uint64_t)(l->options.part_bytes - l->fill));
		if (data) {
			memcpy(l->buffer + l->fill, data, n);
			data += n;
		} else if (l->buffer) {
			memset(l->buffer + l->fill, 0, n);
		}
		l->fill += n;
		bytes -= n;
	}
	return 0;
}

static int raw_cluster(struct layout *l, uint64_t cluster, const struct packed_cluster *c)
{
	uint64_t offset = cluster * PACK_CLUSTER_BYTES;

	return raw_bytes(l, c->data,
			 min_of((uint64_t)PACK_CLUSTER_BYTES, l->source.disk_bytes - offset));
}

static const uint8_t *digest_of_zeros(const struct layout *l, uint64_t chunk)
{
	bool is_short = (chunk + 1) * IMAGE_CHUNK_BYTES > l->source.disk_bytes;

	return is_short ? l->short_digest : l->zero_digest;
}

static void add_leaves(struct layout *l, const struct packed *p)
{
	/* What a state brought is in the tree already. */
	for (uint64_t i = p->chunk; i < p->chunk + p->count; i++)
		if (i >= l->merkle.leaves)
			merkle_add(&l->merkle, p->zero ? digest_of_zeros(l, i) : p->digest,
				   image_digest_bytes(&l->source));
}

/* Zeros from next_cluster up to end: nothing in a qcow2. */
static int take_zeros(struct layout *l, uint64_t end)
{
	uint64_t from = l->next_cluster * PACK_CLUSTER_BYTES;
	uint64_t to = min_of(end * PACK_CLUSTER_BYTES, l->source.disk_bytes);
	int rc = 0;

	/* By parts, so that the state that goes with one tells where it ends. */
	while (rc == 0 && l->options.format == IMAGE_RAW && from < to) {
		uint64_t n = min_of(to - from, (uint64_t)PACK_CLUSTER_BYTES);
		size_t room = l->options.part_bytes - l->fill;

		if (room > 0)
			n = min_of(to - from, (uint64_t)room);
		rc = raw_bytes(l, NULL, n);
		from += n;
		if (rc == 0)
			l->next_cluster = from / PACK_CLUSTER_BYTES;
	}
	if (rc == 0)
		l->next_cluster = end;
	return rc;
}

static int take_data(struct layout *l, const struct packed *p)
{
	uint64_t first = p->chunk * PACK_CHUNK_CLUSTERS;
	uint64_t end = min_of(first + PACK_CHUNK_CLUSTERS, clusters_of(l->source.disk_bytes));

	for (uint64_t i = max_of(first, l->next_cluster); i < end; i++) {
		const struct packed_cluster *c = &p->clusters[i - first];
		int rc = l->options.format == IMAGE_RAW ? raw_cluster(l, i, c)
			 : c->kind == PACKED_ZERO	? 0
							: layout_qcow2_cluster(l, i, c);

		if (rc < 0)
			return rc;
		l->next_cluster = i + 1;
		l->data_bytes += c->kind == PACKED_ZERO ? 0 : PACK_CLUSTER_BYTES;
	}
	return 0;
}

int layout_take(struct layout *l, const struct packed *p)
{
	uint64_t end = min_of((p->chunk + p->count) * PACK_CHUNK_CLUSTERS,
			      clusters_of(l->source.disk_bytes));

	add_leaves(l, p);
	return p->zero ? take_zeros(l, end) : take_data(l, p);
}

int layout_finish(struct layout *l, struct image_result *result)
{
	int rc = 0;

	merkle_root(&l->merkle, result->root);
	if (l->options.format == IMAGE_QCOW2) {
		rc = layout_qcow2_finish(l, result->root);
	} else {
		l->tail = true;
		rc = raw_bytes(l, NULL, l->source.image_bytes - l->source.disk_bytes);
		if (rc == 0)
			rc = layout_cut(l);
	}
	result->image_bytes = l->source.image_bytes;
	result->file_bytes = l->part_offset;
	result->data_bytes = l->data_bytes;
	result->parts = l->number - 1;
	return rc;
}
