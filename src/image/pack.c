/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The threads that read and compress. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"
#include "base/thread.h"
#include "image/pack.h"
#include "image/qcow2.h"

#define PACK_STACK (256u << 10)
/* With a small window a larger one is slower: all of it is gone through for each 4 KiB. */
#define DEFLATE_MEMORY 8
#define SAMPLE_PLACES  16
#define SAMPLE_BYTES   4096
#define SAMPLE_EVEN    (SAMPLE_BYTES + SAMPLE_BYTES * SAMPLE_BYTES / 256)
#define SAMPLE_SPREAD  1800 /* the deviation is 360 */
/* A run of zeros longer than this is handed over in pieces, so that the taker can be stopped. */
#define ZERO_RUN_MAX ((uint64_t)1 << 16)

enum slot_state { SLOT_FREE, SLOT_TAKEN, SLOT_DONE };

struct slot {
	enum slot_state state;
	struct packed packed;
	uint8_t *plain; /* a chunk as it was read */
	uint8_t *small; /* its clusters, compressed */
};

struct pack {
	struct image_source source;
	struct image_options options;
	uint64_t chunks;

	pthread_mutex_t lock; /* of all below */
	pthread_cond_t changed;
	struct slot *slots;
	unsigned slot_count, started;
	uint64_t given, taken; /* slots that were claimed; that were handed over and given back */
	uint64_t next_chunk, hole_end, data_end; /* what lseek() said last, in bytes */
	bool holding;				 /* the taker has slot taken % slot_count */
	bool stopping;
	int error;
	char code[ERR_CODE_MAX], reason[ERR_REASON_MAX];
	pthread_t threads[IMAGE_THREADS_MAX];
};

/* What one thread compresses with. */
struct packer {
	z_stream deflate;
	bool deflate_ready;
	ZSTD_CCtx *zstd;
};

static int packer_init(struct packer *k, const struct image_options *o)
{
	*k = (struct packer){0};
	if (o->format == IMAGE_RAW || o->compression == IMAGE_PLAIN)
		return 0;
	if (o->compression == IMAGE_ZSTD) {
		k->zstd = ZSTD_createCCtx();
		if (!k->zstd)
			return fail(ENOMEM, "memory to compress");
		ZSTD_CCtx_setParameter(k->zstd, ZSTD_c_compressionLevel, (int)o->level);
		return 0;
	}
	if (deflateInit2(&k->deflate, (int)o->level, Z_DEFLATED, QCOW2_DEFLATE_WINDOW,
			 DEFLATE_MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
		return fail(ENOMEM, "memory to compress");
	k->deflate_ready = true;
	return 0;
}

static void packer_fini(struct packer *k)
{
	if (k->deflate_ready)
		deflateEnd(&k->deflate);
	ZSTD_freeCCtx(k->zstd);
}

/*
 * Bytes that are spread as evenly as those of compressed and encrypted files, by a sample: deflate
 * would try them for long and in vain. Of n even bytes the squares of the counts sum up to n + n *
 * n / 256, give or take five deviations; what is more even than chance is a pattern.
 */
static bool looks_random(const uint8_t *plain)
{
	unsigned counts[256] = {0}, sum = 0;

	for (unsigned k = 0; k < PACK_CLUSTER_BYTES; k += PACK_CLUSTER_BYTES / SAMPLE_PLACES)
		for (unsigned i = 0; i < SAMPLE_BYTES / SAMPLE_PLACES; i++)
			counts[plain[k + i]]++;
	for (unsigned i = 0; i < 256; i++)
		sum += counts[i] * counts[i];
	return sum > SAMPLE_EVEN - SAMPLE_SPREAD && sum < SAMPLE_EVEN + SAMPLE_SPREAD;
}

/* Bytes of out that were used; 0 when it does not fit. */
static size_t compress_cluster(struct packer *k, const uint8_t *plain, uint8_t *out, size_t room)
{
	if (k->zstd) {
		size_t n = ZSTD_compress2(k->zstd, out, room, plain, PACK_CLUSTER_BYTES);

		return ZSTD_isError(n) ? 0 : n;
	}
	if (!k->deflate_ready || looks_random(plain))
		return 0;
	deflateReset(&k->deflate);
	k->deflate.next_in = (uint8_t *)plain;
	k->deflate.avail_in = PACK_CLUSTER_BYTES;
	k->deflate.next_out = out;
	k->deflate.avail_out = (uInt)room;
	if (deflate(&k->deflate, Z_FINISH) != Z_STREAM_END)
		return 0;
	return room - k->deflate.avail_out;
}

static void pack_clusters(struct packer *k, struct slot *s, bool raw)
{
	uint8_t *out = s->small;

	for (unsigned i = 0; i < PACK_CHUNK_CLUSTERS; i++) {
		struct packed_cluster *c = &s->packed.clusters[i];
		const uint8_t *plain = s->plain + (size_t)i * PACK_CLUSTER_BYTES;
		size_t n;

		*c = (struct packed_cluster){.kind = PACKED_ZERO};
		if (io_is_zero(plain, PACK_CLUSTER_BYTES))
			continue;
		n = raw ? 0
			: compress_cluster(k, plain, out, PACK_CLUSTER_BYTES - PACK_GAIN_MIN_BYTES);
		if (n == 0) {
			*c = (struct packed_cluster){PACKED_PLAIN, plain, PACK_CLUSTER_BYTES};
			continue;
		}
		*c = (struct packed_cluster){PACKED_SMALL, out, n};
		out += n;
	}
}

static enum image_knowledge known(const struct pack *p, uint64_t chunk,
				  uint8_t digest[IMAGE_DIGEST_ROOM])
{
	return p->source.known ? p->source.known(p->source.known_ctx, chunk, digest)
			       : IMAGE_UNKNOWN;
}

static int read_chunk(const struct pack *p, struct slot *s)
{
	uint64_t offset = s->packed.chunk * IMAGE_CHUNK_BYTES;
	size_t bytes = (size_t)min_of((uint64_t)IMAGE_CHUNK_BYTES, p->source.disk_bytes - offset);
	uint8_t expected[IMAGE_DIGEST_ROOM];
	int rc = io_pread(p->source.fd, s->plain, bytes, offset, p->source.name);

	if (rc < 0)
		return rc;
	/* It will not be wanted again, and memory has better uses. */
	posix_fadvise(p->source.fd, (off_t)offset, (off_t)bytes, POSIX_FADV_DONTNEED);
	memset(s->plain + bytes, 0, IMAGE_CHUNK_BYTES - bytes);
	p->source.digest(s->plain, bytes, s->packed.digest);
	if (known(p, s->packed.chunk, expected) == IMAGE_DATA &&
	    memcmp(expected, s->packed.digest, image_digest_bytes(&p->source)) != 0)
		return fail_code(EBADMSG, "IMAGE_MEDIUM_DIFFERS",
				 "%s holds other bytes in the %zu from byte %llu on than were "
				 "written and verified there",
				 p->source.name, bytes, (unsigned long long)offset);
	return 0;
}

/* Where the hole or the data at the offset ends; under lock. */
static uint64_t hole_end_at(struct pack *p, uint64_t offset)
{
	off_t next;

	if (offset < p->data_end || offset < p->hole_end)
		return p->hole_end;
	next = lseek(p->source.fd, (off_t)offset, SEEK_DATA);
	if (next < 0 && errno == ENXIO) {
		p->hole_end = UINT64_MAX;
	} else if (next < 0) {
		p->data_end = UINT64_MAX; /* it cannot tell */
	} else {
		p->hole_end = (uint64_t)next;
		next = lseek(p->source.fd, next, SEEK_HOLE);
		p->data_end = next < 0 ? UINT64_MAX : (uint64_t)next;
	}
	return p->hole_end;
}

/* What the next slot is to hold; false at the end of the disk. Under lock. */
static bool claim(struct pack *p, struct packed *out)
{
	uint64_t first = p->next_chunk, n = 0;

	if (first >= p->chunks)
		return false;
	while (n < ZERO_RUN_MAX && first + n < p->chunks) {
		uint8_t digest[IMAGE_DIGEST_ROOM];
		uint64_t offset = (first + n) * IMAGE_CHUNK_BYTES;
		uint64_t end = min_of(offset + IMAGE_CHUNK_BYTES, p->source.disk_bytes);
		enum image_knowledge k = known(p, first + n, digest);

		/* A chunk that should hold data is read even where the file has a hole. */
		if (k != IMAGE_ZERO && (k == IMAGE_DATA || hole_end_at(p, offset) < end))
			break;
		n++;
	}
	*out = (struct packed){.chunk = first, .count = max_of(n, (uint64_t)1), .zero = n > 0};
	p->next_chunk = first + out->count;
	return true;
}

/* The next slot to work on, claimed; NULL when there is nothing more to do. */
static struct slot *take_slot(struct pack *p)
{
	LOCK_SCOPE(&p->lock);

	for (;;) {
		struct slot *s = &p->slots[p->given % p->slot_count];

		if (p->stopping || p->error)
			return NULL;
		if (s->state == SLOT_FREE && p->given < p->taken + p->slot_count) {
			if (!claim(p, &s->packed))
				return NULL;
			s->state = SLOT_TAKEN;
			p->given++;
			return s;
		}
		pthread_cond_wait(&p->changed, &p->lock);
	}
}

static void finish_slot(struct pack *p, struct slot *s, int rc)
{
	LOCK_SCOPE(&p->lock);

	s->state = SLOT_DONE;
	if (rc < 0 && !p->error) {
		p->error = rc;
		snprintf(p->code, sizeof(p->code), "%s", err_code());
		snprintf(p->reason, sizeof(p->reason), "%s", err_reason());
	}
	pthread_cond_broadcast(&p->changed);
}

static void *run_packer(void *arg)
{
	struct pack *p = arg;
	struct packer k;
	struct slot *s;
	int rc;

	err_clear();
	rc = packer_init(&k, &p->options);
	while ((s = take_slot(p))) {
		if (rc == 0 && !s->packed.zero) {
			rc = read_chunk(p, s);
			if (rc == 0)
				pack_clusters(&k, s, p->options.format == IMAGE_RAW);
		}
		finish_slot(p, s, rc);
	}
	packer_fini(&k);
	return NULL;
}

static int make_slots(struct pack *p)
{
	p->slots = calloc(p->slot_count, sizeof(*p->slots));
	for (unsigned i = 0; p->slots && i < p->slot_count; i++) {
		p->slots[i].plain = malloc(IMAGE_CHUNK_BYTES);
		p->slots[i].small = malloc(IMAGE_CHUNK_BYTES);
		if (!p->slots[i].plain || !p->slots[i].small)
			return fail(ENOMEM, "memory to pack");
	}
	return p->slots ? 0 : fail(ENOMEM, "memory to pack");
}

int pack_start(const struct image_source *source, const struct image_options *options,
	       uint64_t first_chunk, struct pack **out)
{
	struct pack *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return fail(ENOMEM, "memory to pack");
	p->source = *source;
	p->options = *options;
	p->chunks = div_up(source->disk_bytes, IMAGE_CHUNK_BYTES);
	p->next_chunk = first_chunk;
	p->slot_count = 2 * options->threads + 2;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	rc = make_slots(p);
	while (rc == 0 && p->started < options->threads) {
		rc = thread_start(&p->threads[p->started], "the packing of an image", PACK_STACK,
				  run_packer, p);
		if (rc == 0)
			p->started++;
		else if (p->started > 0)
			break; /* fewer do as well */
	}
	if (p->started == 0) {
		pack_stop(p);
		return rc;
	}
	*out = p;
	return 0;
}

int pack_next(struct pack *p, const struct packed **out)
{
	struct slot *s;
	LOCK_SCOPE(&p->lock);

	if (p->holding) {
		p->slots[p->taken % p->slot_count].state = SLOT_FREE;
		p->taken++;
		p->holding = false;
		pthread_cond_broadcast(&p->changed);
	}
	*out = NULL;
	if (p->taken == p->given && p->next_chunk >= p->chunks)
		return p->error;
	s = &p->slots[p->taken % p->slot_count];
	while (!p->error && (s->state != SLOT_DONE || p->taken == p->given)) {
		if (p->taken == p->given && p->next_chunk >= p->chunks)
			return 0;
		pthread_cond_wait(&p->changed, &p->lock);
	}
	if (p->error) {
		err_adopt(p->code, p->reason);
		return p->error;
	}
	p->holding = true;
	*out = &s->packed;
	return 0;
}

void pack_stop(struct pack *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->started; i++)
		pthread_join(p->threads[i], NULL);
	for (unsigned i = 0; p->slots && i < p->slot_count; i++) {
		free(p->slots[i].plain);
		free(p->slots[i].small);
	}
	free(p->slots);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->changed);
	free(p);
}
