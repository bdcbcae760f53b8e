/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An open image; read.c has what formats share, read_qcow2.c the rest. Private to image. */
#ifndef IMAGE_READ_H
#define IMAGE_READ_H

#include <zlib.h>
#include <zstd.h>

#include "image/image.h"

#define IMAGE_TABLES 8 /* L2 tables that are kept */

struct image_table {
	uint64_t offset; /* in the file; 0: none */
	uint8_t *bytes;	 /* of a cluster */
};

struct image {
	int fd;
	char *name;
	enum image_format format;
	uint64_t size_bytes, file_bytes;
	bool has_root;
	uint8_t root[MERKLE_ROOT_BYTES];
	enum image_digest digest; /* that it is over */
	uint64_t disk_bytes;

	/* qcow2 */
	unsigned version, cluster_bits, l2_bits;
	uint8_t type; /* QCOW2_TYPE_* */
	uint8_t *l1;  /* l1_entries, big-endian as they came */
	uint64_t l1_entries;
	struct image_table tables[IMAGE_TABLES];
	uint64_t plain_entry; /* of the cluster that plain holds; 0: none */
	uint8_t *plain, *packed;
	z_stream inflate;
	bool inflate_ready;
	ZSTD_DCtx *zstd;
};

int image_qcow2_open(struct image *i);
void image_qcow2_close(struct image *i);
int image_qcow2_read(struct image *i, uint8_t *buf, size_t bytes, uint64_t offset_bytes);
int image_qcow2_extent(struct image *i, uint64_t offset_bytes, uint64_t length_bytes,
		       uint64_t *extent_bytes, bool *zero);

/* The image is damaged. Returns -EINVAL. */
int image_invalid(const struct image *i, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
