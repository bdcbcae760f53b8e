/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xz and lzma, which SUSE and older distributions pack their images with; see prep_initrd.h. */
#include "prepare/prep_initrd.h"

#include <errno.h>
#include <lzma.h>

#include "base/cleanup.h"
#include "base/err.h"

#define OUT_BYTES (128 * 1024)
/* Dictionaries of 8 to 64 MiB occur; a machine of the least size has no more to give. */
#define MEMORY_MAX_BYTES ((uint64_t)96 << 20)

static int unpack(struct initrd_stream *s, lzma_stream *z, const char *name, initrd_sink_fn sink,
		  void *ctx)
{
	CLEANUP_FREE uint8_t *out = malloc(OUT_BYTES);
	lzma_ret state = LZMA_OK;

	if (!out)
		return fail(ENOMEM, "%s", name);
	while (state != LZMA_STREAM_END) {
		size_t before;
		int rc = initrd_fill(s);

		if (rc < 0)
			return rc;
		if (s->have == 0)
			return fail(EINVAL, "%s data ends too early", name);
		before = s->have;
		z->next_in = s->buf + s->start;
		z->avail_in = before;
		do {
			z->next_out = out;
			z->avail_out = OUT_BYTES;
			state = lzma_code(z, LZMA_RUN);
			if (state == LZMA_MEMLIMIT_ERROR)
				return fail(ENOMEM,
					    "%s data wants more than %llu MiB to be unpacked", name,
					    (unsigned long long)MEMORY_MAX_BYTES >> 20);
			if (state != LZMA_OK && state != LZMA_STREAM_END && state != LZMA_BUF_ERROR)
				return fail(EINVAL, "%s data is damaged", name);
			rc = sink(ctx, out, OUT_BYTES - z->avail_out);
			if (rc < 0)
				return rc;
		} while (state == LZMA_OK && z->avail_out == 0);
		initrd_take(s, before - z->avail_in);
	}
	return 0;
}

int initrd_unxz(struct initrd_stream *s, initrd_sink_fn sink, void *ctx)
{
	CLEANUP(lzma_end) lzma_stream z = LZMA_STREAM_INIT;

	if (lzma_stream_decoder(&z, MEMORY_MAX_BYTES, 0) != LZMA_OK)
		return fail(ENOMEM, "memory to unpack xz");
	return unpack(s, &z, "xz", sink, ctx);
}

int initrd_unlzma(struct initrd_stream *s, initrd_sink_fn sink, void *ctx)
{
	CLEANUP(lzma_end) lzma_stream z = LZMA_STREAM_INIT;

	if (lzma_alone_decoder(&z, MEMORY_MAX_BYTES) != LZMA_OK)
		return fail(ENOMEM, "memory to unpack lzma");
	return unpack(s, &z, "lzma", sink, ctx);
}
