/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An initramfs image as the kernel unpacks it: segments one behind another, each an uncompressed
 * archive or a compressed one, with zeros between them (init/initramfs.c, unpack_to_rootfs). Reads
 * in pieces; memory is bounded whatever the image's size.
 */
#ifndef PREPARE_PREP_INITRD_H
#define PREPARE_PREP_INITRD_H

#include <stddef.h>
#include <stdint.h>

#include "prepare/prep_cpio.h"

#define INITRD_PLAIN_MAX_BYTES ((uint64_t)4 << 30) /* of all segments, unpacked */

/* Where the image's bytes come from. */
struct initrd_input {
	/* Up to bytes from the offset into buf; 0 at the end, -errno with a reason. */
	int64_t (*read)(void *ctx, uint64_t offset_bytes, void *buf, size_t bytes);
	void *ctx;
	const char *name;
};

enum initrd_packing {
	INITRD_PLAIN,
	INITRD_GZIP,
	INITRD_ZSTD,
	INITRD_LZ4,
	INITRD_XZ,
	INITRD_BZIP2,
	INITRD_LZMA,
	INITRD_LZO,
	INITRD_UNKNOWN,
};

struct initrd_shape {
	unsigned segments;
	enum initrd_packing last; /* how the last segment is packed */
	enum initrd_packing main; /* how the segment with the most content is packed */
	uint64_t content_bytes;	  /* the file up to the end of its last segment */
	uint64_t main_bytes;	  /* unpacked size of the main segment */
};

/*
 * Walk all entries of all segments in the order in which the kernel unpacks them: a later entry of
 * the same name wins. -ENOTSUP with code INITRAMFS_FORMAT for a packing that is not understood;
 * -EINVAL with code INITRAMFS_DAMAGED for an image that the kernel could not unpack whole.
 */
int initrd_walk(const struct initrd_input *input, const struct cpio_visitor *visitor,
		struct initrd_shape *shape);

/* ---- between the walker and the unpackers ---- */

#define INITRD_BUFFER_BYTES (64 * 1024)

/* Reads ahead in pieces. have is 0 at the end of the image. */
struct initrd_stream {
	const struct initrd_input *input;
	uint64_t at_bytes; /* in the image, of the next byte in the buffer */
	size_t start;
	size_t have;
	uint8_t buf[INITRD_BUFFER_BYTES];
};

/* Make at least one byte available unless at the end; then stream->have says how many. */
int initrd_fill(struct initrd_stream *s);
void initrd_take(struct initrd_stream *s, size_t bytes);

/* Takes plain bytes of a segment. */
typedef int (*initrd_sink_fn)(void *ctx, const uint8_t *data, size_t bytes);

/* Each unpacks one compressed stream from s to sink and leaves s behind its last byte. */
int initrd_ungzip(struct initrd_stream *s, initrd_sink_fn sink, void *ctx);
int initrd_unzstd(struct initrd_stream *s, initrd_sink_fn sink, void *ctx);
int initrd_unlz4(struct initrd_stream *s, initrd_sink_fn sink, void *ctx);
int initrd_unxz(struct initrd_stream *s, initrd_sink_fn sink, void *ctx);
int initrd_unlzma(struct initrd_stream *s, initrd_sink_fn sink, void *ctx);

#endif
