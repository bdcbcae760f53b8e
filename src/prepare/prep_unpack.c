/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The compressions that initramfs images of today's distributions use; see prep_initrd.h. */
#include "prepare/prep_initrd.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"

#define OUT_BYTES (128 * 1024)

static void cleanup_inflate(z_stream *z)
{
	inflateEnd(z);
}

int initrd_ungzip(struct initrd_stream *s, initrd_sink_fn sink, void *ctx)
{
	CLEANUP_FREE uint8_t *out = malloc(OUT_BYTES);
	CLEANUP(cleanup_inflate) z_stream z = {0};
	int state = Z_OK;

	if (!out || inflateInit2(&z, 15 + 16) != Z_OK)
		return fail(ENOMEM, "memory to unpack gzip");
	while (state != Z_STREAM_END) {
		size_t before;
		int rc = initrd_fill(s);

		if (rc < 0)
			return rc;
		if (s->have == 0)
			return fail(EINVAL, "gzip data ends too early");
		before = s->have;
		z.next_in = s->buf + s->start;
		z.avail_in = (unsigned)before;
		do {
			z.next_out = out;
			z.avail_out = OUT_BYTES;
			state = inflate(&z, Z_NO_FLUSH);
			if (state != Z_OK && state != Z_STREAM_END && state != Z_BUF_ERROR)
				return fail(EINVAL, "gzip data is damaged");
			rc = sink(ctx, out, OUT_BYTES - z.avail_out);
			if (rc < 0)
				return rc;
		} while (state == Z_OK && z.avail_out == 0);
		initrd_take(s, before - z.avail_in);
	}
	return 0;
}

static void cleanup_zstd(ZSTD_DStream **z)
{
	ZSTD_freeDStream(*z);
}

int initrd_unzstd(struct initrd_stream *s, initrd_sink_fn sink, void *ctx)
{
	CLEANUP_FREE uint8_t *out = malloc(OUT_BYTES);
	CLEANUP(cleanup_zstd) ZSTD_DStream *z = ZSTD_createDStream();
	size_t left = 1;

	if (!out || !z)
		return fail(ENOMEM, "memory to unpack zstd");
	/* The kernel's limit for initramfs images is 8 MiB; distributions stay below 128 MiB. */
	ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, 27);
	while (left) {
		ZSTD_inBuffer in = {0};
		int rc = initrd_fill(s);

		if (rc < 0)
			return rc;
		if (s->have == 0)
			return fail(EINVAL, "zstd data ends too early");
		in.src = s->buf + s->start;
		in.size = s->have;
		while (left && in.pos < in.size) {
			ZSTD_outBuffer o = {.dst = out, .size = OUT_BYTES};

			left = ZSTD_decompressStream(z, &o, &in);
			if (ZSTD_isError(left))
				return fail(EINVAL, "zstd data is damaged (%s)",
					    ZSTD_getErrorName(left));
			rc = sink(ctx, out, o.pos);
			if (rc < 0)
				return rc;
		}
		initrd_take(s, in.pos);
	}
	return 0;
}

/* ---- LZ4 in its "legacy" frame, as `lz4 -l` writes and the kernel reads it ---- */

#define LZ4_BLOCK_BYTES	   ((size_t)8 << 20)
#define LZ4_BLOCK_IN_BYTES (LZ4_BLOCK_BYTES + LZ4_BLOCK_BYTES / 255 + 16)
#define LZ4_MAGIC	   0x184C2102u

/* A length that goes on in bytes of 255. */
static bool lz4_length(const uint8_t *in, size_t in_bytes, size_t *at, size_t *length)
{
	uint8_t b;

	if (*length != 15)
		return true;
	do {
		if (*at >= in_bytes || *length > LZ4_BLOCK_BYTES)
			return false;
		b = in[(*at)++];
		*length += b;
	} while (b == 255);
	return true;
}

/* One block: runs of literals, each followed by a copy from what was written before. */
static int lz4_block(const uint8_t *in, size_t in_bytes, uint8_t *out, size_t *out_bytes)
{
	size_t at = 0, to = 0;

	while (at < in_bytes) {
		uint8_t token = in[at++];
		size_t length = token >> 4, back;

		if (!lz4_length(in, in_bytes, &at, &length) || !range_ok(at, length, in_bytes) ||
		    !range_ok(to, length, LZ4_BLOCK_BYTES))
			return -EINVAL;
		memcpy(out + to, in + at, length);
		at += length;
		to += length;
		if (at == in_bytes)
			break; /* the last run has no copy */
		if (in_bytes - at < 2)
			return -EINVAL;
		back = (size_t)in[at] | (size_t)in[at + 1] << 8;
		at += 2;
		length = token & 15;
		if (!lz4_length(in, in_bytes, &at, &length))
			return -EINVAL;
		length += 4;
		if (back == 0 || back > to || !range_ok(to, length, LZ4_BLOCK_BYTES))
			return -EINVAL;
		/* Source and destination may overlap, by design. */
		for (size_t i = 0; i < length; i++, to++)
			out[to] = out[to - back];
	}
	*out_bytes = to;
	return 0;
}

/* Exactly bytes from the stream; 1 when it ends before the first of them. */
static int lz4_read(struct initrd_stream *s, uint8_t *buf, size_t bytes)
{
	for (size_t done = 0; done < bytes;) {
		size_t n;
		int rc = initrd_fill(s);

		if (rc < 0)
			return rc;
		if (s->have == 0)
			return done ? fail(EINVAL, "lz4 data ends too early") : 1;
		n = min_of(s->have, bytes - done);
		memcpy(buf + done, s->buf + s->start, n);
		initrd_take(s, n);
		done += n;
	}
	return 0;
}

/* Four bytes ahead without taking them; false at the end of the image. */
static int lz4_next_size(struct initrd_stream *s, uint32_t *size)
{
	uint8_t b[4];
	uint64_t at = s->at_bytes;
	int64_t n = s->input->read(s->input->ctx, at, b, sizeof(b));

	*size = 0;
	if (n < 0)
		return (int)n;
	if (n == 4)
		*size = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
			(uint32_t)b[3] << 24;
	return 0;
}

int initrd_unlz4(struct initrd_stream *s, initrd_sink_fn sink, void *ctx)
{
	CLEANUP_FREE uint8_t *in = malloc(LZ4_BLOCK_IN_BYTES);
	CLEANUP_FREE uint8_t *out = malloc(LZ4_BLOCK_BYTES);
	uint8_t skip[4];
	int rc;

	if (!in || !out)
		return fail(ENOMEM, "memory to unpack lz4");
	rc = lz4_read(s, skip, 4);
	while (rc == 0) {
		size_t out_bytes = 0;
		uint32_t size;

		/* The frame has no end mark: it ends with the image or at four zero bytes. */
		rc = lz4_next_size(s, &size);
		if (rc < 0 || size == 0)
			return rc;
		rc = lz4_read(s, skip, 4);
		if (rc || size == LZ4_MAGIC)
			continue;
		if (size > LZ4_BLOCK_IN_BYTES)
			return fail(EINVAL, "lz4 block of %u bytes", size);
		rc = lz4_read(s, in, size);
		if (rc == 0 && lz4_block(in, size, out, &out_bytes) < 0)
			return fail(EINVAL, "lz4 data is damaged");
		if (rc == 0)
			rc = sink(ctx, out, out_bytes);
	}
	return rc < 0 ? rc : fail(EINVAL, "lz4 data ends too early");
}
