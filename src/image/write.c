/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writing an image: what was packed goes to its place; write_file.c has the sink that is a file. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/num.h"
#include "image/layout.h"

#define DEFLATE_LEVEL 4
#define ZSTD_LEVEL    3
#define PART_MAX      ((size_t)1 << 30)

static int complete(const struct image_source *s, struct image_options *o)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned max = o->compression == IMAGE_ZSTD ? 19 : 9;

	if (o->level == 0)
		o->level = o->compression == IMAGE_ZSTD ? ZSTD_LEVEL : DEFLATE_LEVEL;
	if (o->part_bytes == 0)
		o->part_bytes = IMAGE_PART_BYTES;
	if (o->threads == 0)
		o->threads = cpus > 0 ? (unsigned)cpus : 1;
	o->threads = min_of(o->threads, (unsigned)IMAGE_THREADS_MAX);
	if (o->level > max || o->part_bytes % IMAGE_CHUNK_BYTES != 0 || o->part_bytes > PART_MAX)
		return fail(EINVAL, "an image with level %u and parts of %zu bytes", o->level,
			    o->part_bytes);
	if (s->disk_bytes == 0 || s->disk_bytes > IMAGE_DISK_MAX ||
	    s->image_bytes < s->disk_bytes || s->image_bytes > IMAGE_DISK_MAX)
		return fail(EINVAL, "no image of %llu bytes can be made of %s, which has %llu",
			    (unsigned long long)s->image_bytes, s->name,
			    (unsigned long long)s->disk_bytes);
	return 0;
}

static int take_all(struct layout *l, struct pack *p)
{
	const struct image_options *o = &l->options;

	for (;;) {
		const struct packed *next;
		int rc = pack_next(p, &next);

		if (rc == 0 && next)
			rc = layout_take(l, next);
		if (rc == 0 && o->watch)
			rc = o->watch(o->watch_ctx, min_of(l->next_cluster * PACK_CLUSTER_BYTES,
							   l->source.disk_bytes));
		if (rc < 0 || !next)
			return rc;
	}
}

/* Chunks without a digest of their own are known to be right by this alone. */
static int check_root(const struct layout *l)
{
	char found[2 * MERKLE_ROOT_BYTES + 1], proved[2 * MERKLE_ROOT_BYTES + 1];
	uint8_t root[MERKLE_ROOT_BYTES];

	if (!l->source.root)
		return 0;
	merkle_root(&l->merkle, root);
	if (memcmp(root, l->source.root, sizeof(root)) == 0)
		return 0;
	hex_encode(root, sizeof(root), found);
	hex_encode(l->source.root, sizeof(root), proved);
	return fail_code(EBADMSG, "IMAGE_MEDIUM_DIFFERS",
			 "%s is not what was verified: its root is %s, not %s", l->source.name,
			 found, proved);
}

int image_write(const struct image_source *source, const struct image_options *options,
		const void *state, size_t state_bytes, const struct image_sink *sink,
		struct image_result *result)
{
	struct image_source s = *source;
	struct image_options o = *options;
	struct layout *l = NULL;
	struct pack *p = NULL;
	int rc;

	if (s.image_bytes == 0)
		s.image_bytes = s.disk_bytes;
	rc = complete(&s, &o);
	if (rc == 0)
		rc = layout_new(&s, &o, sink, &l);
	if (rc == 0 && state)
		rc = layout_load(l, state, state_bytes);
	if (rc == 0)
		rc = pack_start(&s, &o, l->next_cluster / PACK_CHUNK_CLUSTERS, &p);
	if (rc == 0)
		rc = take_all(l, p);
	if (rc == 0)
		rc = check_root(l);
	if (rc == 0)
		rc = layout_finish(l, result);
	pack_stop(p);
	layout_free(l);
	return rc;
}
