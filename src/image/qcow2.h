/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The numbers of the qcow2 format (docs/interop/qcow2.txt of QEMU). Private to image. */
#ifndef IMAGE_QCOW2_H
#define IMAGE_QCOW2_H

#include <stdint.h>

#define QCOW2_MAGIC	     0x514649fbu
#define QCOW2_HEAD_V2	     72
#define QCOW2_HEAD_V3	     104
#define QCOW2_HEAD_TYPED     112 /* with a compression type */
#define QCOW2_DEFLATE_WINDOW (-12)
#define QCOW2_L1_MAX	     ((uint64_t)32 << 20) /* bytes of an L1 table that QEMU takes */

/* Incompatible features */
#define QCOW2_DIRTY	       ((uint64_t)1 << 0)
#define QCOW2_CORRUPT	       ((uint64_t)1 << 1)
#define QCOW2_COMPRESSION_TYPE ((uint64_t)1 << 3)

/* Entries of L1 and L2 tables */
#define QCOW2_COPIED	 ((uint64_t)1 << 63)
#define QCOW2_COMPRESSED ((uint64_t)1 << 62)
#define QCOW2_ZERO	 ((uint64_t)1 << 0)
#define QCOW2_OFFSET	 0x00fffffffffffe00u

/* Compression types */
#define QCOW2_TYPE_DEFLATE 0
#define QCOW2_TYPE_ZSTD	   1

#define QCOW2_SECTOR_BYTES 512

#endif
